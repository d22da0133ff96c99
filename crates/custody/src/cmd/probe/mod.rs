//! `custody probe`: a live view of an unmodified Go process.
#![cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    allow(dead_code, reason = "elsewhere the command only says that it cannot")
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod clock;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod func;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod goroutines;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod http;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod live;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod routes;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod until;

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use event::Fact;
use probe::{Error, Target};
use serde::Serialize;

use super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

const FUNC: &str = "\
NAME is what tracebacks print: `main.pay`, `net/http.(*Server).Serve`; `*` stands for anything. Calls that the
compiler inlined are not seen. Most functions are probed at an instruction that the kernel emulates, at about a
microsecond a call; a remark says which are not.

Examples:
  $ custody probe func --binary bin/payments 'main.*' --duration 2
  $ custody probe func --binary bin/payments main.main --args --duration 2
  $ custody probe func --binary bin/payments main.main --calls-only --duration 2 --json

Exit codes: 0 it was watched, 2 no such process, file or function, 3 probes cannot be had here";

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const GOROUTINES: &str = "\
The process stands still while they are read; for how long is printed. The executable needs its symbols and debug data, and
must not be position-independent.

Example:
  $ custody probe goroutines --pid 4711 --json

Exit codes: 0 they were counted, 2 no such process, 3 it may not be stopped, or its executable does not tell enough";

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const MEMORY: &str = "\
First what is executable now, then every mapping that becomes executable: its file with SHA-256 and SM3, or that it
has none. Memory that is writable and executable, of no file, of a file without a name, or other than its file, and with
--seal every file that the seal does not have, is a violation. With --enforce new code is held until it has been judged;
what is a violation is stopped or ended before it runs. What was there before is told, not answered.

Examples:
  $ custody probe memory --pid $$ --duration 1
  $ custody probe memory --pid 4711 --seal payments.seal.json --enforce stop --json

Exit codes: 0 nothing but files was code, 1 there was a violation, 2 no such process or seal, 3 it cannot be seen here";
const HTTP: &str = "\
Requests that net/http serves and sends, HTTP/1 and HTTP/2, with TLS or without, as they end. Queries are left out
unless asked for: they may hold secrets.

Examples:
  $ custody probe http --binary bin/payments --duration 2
  $ custody probe http --binary bin/payments --server --query --duration 2 --json

Exit codes: 0 it was watched, 2 no such process or file, or it has no HTTP, 3 probes cannot be had here";

/// Arguments of `custody probe`.
#[derive(Args)]
pub(crate) struct ProbeArgs {
    #[command(subcommand)]
    command: ProbeCommand,
}

#[derive(Subcommand)]
enum ProbeCommand {
    /// Show requests that are served and sent
    #[command(after_help = HTTP)]
    Http(HttpArgs),
    /// Count calls of functions, and how long they take
    #[command(after_help = FUNC)]
    Func(FuncArgs),
    /// Count goroutines by what they do
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[command(after_help = GOROUTINES)]
    Goroutines(goroutines::GoroutinesArgs),
    /// Watch memory that becomes executable, and what stands behind it
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[command(after_help = MEMORY)]
    Memory(memory::MemoryArgs),
}

/// What is probed, and for how long.
#[derive(Args)]
struct TargetArgs {
    /// A running process
    #[arg(long, value_name = "PID", required_unless_present = "binary", conflicts_with = "binary")]
    pid: Option<NonZeroU32>,
    /// An executable: every process that runs it now or later
    #[arg(long, value_name = "BIN")]
    binary: Option<PathBuf>,
    /// End after so many seconds; otherwise at Ctrl-C, or when the process ends
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_153_600_000))]
    duration: Option<u64>,
}

/// Arguments of `custody probe http`.
#[derive(Args)]
struct HttpArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only requests that are served
    #[arg(long, conflicts_with = "client")]
    server: bool,
    /// Only requests that are sent
    #[arg(long)]
    client: bool,
    /// Print lines on a terminal too, not the live view
    #[arg(long)]
    lines: bool,
    /// Show queries too
    #[arg(long)]
    query: bool,
}

/// Arguments of `custody probe func`.
#[derive(Args)]
struct FuncArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Functions to watch
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Show each call with its arguments; needs debug data
    #[arg(long)]
    args: bool,
    /// With `--args`: take debug data from this unstripped build of the same program
    #[arg(long, value_name = "BIN", requires = "args")]
    debug_from: Option<PathBuf>,
    /// Count calls only: the ends of calls cost a single step where a function has no cheaper instruction
    #[arg(long)]
    calls_only: bool,
}

pub(crate) fn run(args: ProbeArgs, context: &Context) -> Outcome {
    match args.command {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        ProbeCommand::Func(args) => func::run(&args, context),
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        ProbeCommand::Memory(args) => memory::run(&args, context),
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        ProbeCommand::Goroutines(args) => goroutines::run(&args, context),
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        ProbeCommand::Http(args) => http::run(&args, context),
        #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
        ProbeCommand::Func(_) | ProbeCommand::Http(_) => Err(failure(Error::Platform)),
    }
}

impl TargetArgs {
    fn open(&self) -> Result<Target, Failure> {
        let target = match (self.pid, &self.binary) {
            (Some(pid), _) => Target::process(pid),
            (None, Some(path)) => Target::executable(path),
            (None, None) => return Err(Failure::input(anyhow::anyhow!("neither --pid nor --binary"))),
        };
        target.map_err(failure)
    }

    fn name(&self) -> String {
        match (self.pid, &self.binary) {
            (Some(pid), _) => pid.to_string(),
            (None, path) => path.as_deref().unwrap_or("".as_ref()).display().to_string(),
        }
    }
}

/// A probe that was attached or has ended, for the ledger.
#[derive(Serialize)]
struct Act {
    action: &'static str,
    probe: &'static str,
    target: String,
    what: String,
    seen: u64,
    lost: u64,
}

impl Recorded for Act {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.action)
            .subject("svc", "custody")
            .object("probe", self.probe)
            .object("target", self.target.clone())
            .context("what", self.what.clone());
        Some(match self.action {
            "PROBE.ENDED" => {
                fact.context("seen", self.seen.to_string()).context("lost", self.lost.to_string())
            }
            _ => fact,
        })
    }
}

/// Whether probes can be had here.
pub(crate) fn available() -> Result<(), Error> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        if !probe::programs::BUILT {
            return Err(Error::NotBuilt);
        }
        probe::privilege::check()
    }
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    Err(Error::Platform)
}

/// Sorts an error by who must act, and says how.
fn failure(error: Error) -> Failure {
    let hint = mend(&error);
    let input = matches!(
        error,
        Error::Target { .. } | Error::NotGo { .. } | Error::NoFunction { .. } | Error::TooMany { .. }
    );
    if input && !denied(&error) {
        Failure::input(error).hint(hint)
    } else {
        Failure::environment(error).hint(hint)
    }
}

fn denied(error: &Error) -> bool {
    matches!(error, Error::Target { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied)
}

/// What to do about it.
pub(crate) fn mend(error: &Error) -> &'static str {
    match error {
        Error::Privilege { .. } => {
            "run it as root, or give the capabilities CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE"
        }
        Error::Kernel { .. } => {
            "probes need Linux 5.15 or later with CONFIG_BPF_SYSCALL and CONFIG_UPROBE_EVENTS"
        }
        Error::Platform => "run it on linux/amd64",
        Error::NotBuilt => "install clang (Debian: apt-get install clang) and build custody again",
        Error::Target { .. } if denied(error) => "run it as root, or with CAP_SYS_PTRACE",
        Error::Target { .. } => "name a process that runs, or an executable file",
        Error::NotGo { .. } => "`custody inspect BIN` says what the file is",
        Error::NoFunction { .. } => {
            "`custody inspect BIN --functions` lists them; inlined ones have no code of their own"
        }
        Error::TooMany { .. } => "name fewer",
        Error::Missing { .. } => {
            "is it stripped? `--debug-from` takes an unstripped build of the same source; without `--args` and with \
             `--calls-only` less is needed"
        }
        Error::Attach { .. } => {
            "is the executable on a file system that the kernel can probe? is the process still there?"
        }
        _ => "`custody doctor` says what this machine can do",
    }
}
