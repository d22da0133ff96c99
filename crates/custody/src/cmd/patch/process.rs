//! Which process is meant.

use clap::Args;

/// Which process.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct ProcessArgs {
    /// The number of the process
    #[arg(long)]
    pub(super) pid: Option<i32>,
    /// The name of its executable, if only one process runs it
    #[arg(long)]
    pub(super) name: Option<String>,
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) use here::{all_named, open};

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod here {
    use goproc::Process;

    use super::ProcessArgs;
    use crate::failure::Failure;

    impl ProcessArgs {
        pub(in crate::cmd::patch) fn open(&self) -> Result<Process, Failure> {
            match (self.pid, &self.name) {
                (Some(pid), _) => open(pid),
                (None, Some(name)) => open(only(name)?),
                (None, None) => {
                    Err(Failure::input(anyhow::anyhow!("name a process with `--pid` or `--name`")))
                }
            }
        }
    }

    pub(in crate::cmd::patch) fn open(pid: i32) -> Result<Process, Failure> {
        Process::open(pid).map_err(|e| match e {
            goproc::Error::Gone { .. } => Failure::input(e),
            other => Failure::environment(other)
                .hint("run as the user of the process with CAP_SYS_PTRACE, or as root"),
        })
    }

    /// Every process whose executable has this name, by number.
    pub(in crate::cmd::patch) fn all_named(name: &str) -> Result<Vec<i32>, Failure> {
        let processes = std::fs::read_dir("/proc").map_err(Failure::environment)?;
        let runs = |pid: &i32| {
            let file = std::fs::read_link(format!("/proc/{pid}/exe"));
            let file = file.as_deref().ok().and_then(|f| f.file_name()).map(|n| n.to_string_lossy());
            file.is_some_and(|n| n.trim_end_matches(" (deleted)") == name)
        };
        let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut found: Vec<i32> = numbers.filter(runs).collect();
        found.sort_unstable();
        Ok(found)
    }

    fn only(name: &str) -> Result<i32, Failure> {
        match all_named(name)?.as_slice() {
            [one] => Ok(*one),
            [] => Err(Failure::input(anyhow::anyhow!("no process runs an executable named `{name}`"))),
            many => {
                let pids: Vec<_> = many.iter().map(ToString::to_string).collect();
                let what = format!("{} processes run `{name}`: {}", many.len(), pids.join(", "));
                Err(Failure::input(anyhow::anyhow!(what)).hint("name one of them with `--pid`"))
            }
        }
    }
}
