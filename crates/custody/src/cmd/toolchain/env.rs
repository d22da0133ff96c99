//! `custody toolchain env`: the lines that put a toolchain to use, printed or kept.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::layout::Toolchain;
use super::profile::{self, Edit};
use super::script::{Paths, Shell};
use super::{Context, refuse_shared, user_gopath};
use crate::failure::{Failure, Outcome};

#[derive(Args)]
pub(super) struct EnvArgs {
    /// The toolchain
    dir: PathBuf,
    /// For which shell [default: posix; on Windows powershell]
    #[arg(long, value_enum)]
    shell: Option<Shell>,
    /// Your own Go folder [default: GOPATH, else ~/go]
    #[arg(long, value_name = "DIR")]
    gopath: Option<PathBuf>,
    /// Keep the lines in a marked block of ~/.profile; the system's settings are never touched
    #[arg(long, conflicts_with = "shell")]
    persist: bool,
    /// Take that block out of ~/.profile again
    #[arg(long, conflicts_with_all = ["shell", "persist"])]
    unpersist: bool,
    /// Say what would be kept or taken out, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Printed<'a> {
    shell: Shell,
    #[serde(flatten)]
    paths: &'a Paths,
    script: String,
}

/// What became of the profile. The names are part of the interface.
#[derive(Serialize)]
struct Kept {
    profile: String,
    edit: Edit,
    dry_run: bool,
}

pub(super) fn run(args: &EnvArgs, context: &Context) -> Outcome {
    if args.unpersist {
        return keep(None, args.dry_run, context);
    }
    let toolchain = Toolchain::at(&args.dir)?;
    let gopath = args.gopath.clone().or_else(user_gopath).ok_or_else(|| {
        Failure::input(anyhow::anyhow!("no GOPATH: neither GOPATH nor a home folder is set"))
            .hint("name one with `--gopath DIR`")
    })?;
    let gopath = std::path::absolute(&gopath).map_err(Failure::input)?;
    refuse_shared(&toolchain.root, &gopath)?;
    let shell = args.shell.unwrap_or_else(Shell::usual);
    let paths =
        Paths::new(&toolchain.root, &gopath, shell).map_err(|why| Failure::input(anyhow::anyhow!(why)))?;
    let script = paths.lines(shell);
    if args.persist {
        return keep(Some(&script), args.dry_run, context);
    }
    let printed = Printed { shell, paths: &paths, script };
    context.output.show(&printed, |p| p.script.clone())
}

fn keep(lines: Option<&str>, dry_run: bool, context: &Context) -> Outcome {
    let profile = profile_file(lines)?;
    let edit = profile::edit(&profile, lines, dry_run).map_err(|e| {
        let unwritten = e.kind() != std::io::ErrorKind::InvalidData;
        let error = anyhow::Error::from(e).context(format!("cannot change {}", profile.display()));
        match unwritten {
            true => Failure::environment(error),
            false => Failure::input(error).hint("mend the lines by hand, or take them out"),
        }
    })?;
    let kept = Kept { profile: profile.display().to_string(), edit, dry_run };
    context.output.show(&kept, sentence)?;
    if lines.is_some() {
        remark_on_shells(&profile, context);
    }
    Ok(())
}

fn sentence(kept: &Kept) -> String {
    let would = if kept.dry_run { "would be " } else { "" };
    match kept.edit {
        Edit::Written => format!("{would}written to {}; it holds from the next login\n", kept.profile),
        Edit::Removed => format!("{would}taken out of {}\n", kept.profile),
        Edit::Unchanged => format!("{} stays as it is\n", kept.profile),
    }
}

/// bash reads `~/.profile` at login only when it has no profile of its own.
fn remark_on_shells(profile: &Path, context: &Context) {
    for other in [".bash_profile", ".bash_login", ".zprofile"] {
        if profile.with_file_name(other).exists() {
            context.output.remark(&format!("remark: there is a ~/{other} too; let it read ~/.profile"));
        }
    }
}

#[cfg(unix)]
fn profile_file(_: Option<&str>) -> Result<PathBuf, Failure> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home =
        home.ok_or_else(|| Failure::input(anyhow::anyhow!("HOME is not set; whose profile is meant?")))?;
    Ok(Path::new(&home).join(".profile"))
}

/// The user's variables are in the registry there, which this version does not write.
#[cfg(not(unix))]
fn profile_file(lines: Option<&str>) -> Result<PathBuf, Failure> {
    let hint = match lines {
        Some(_) => {
            "for each line that is printed without `--persist`, run `[Environment]::SetEnvironmentVariable(NAME, VALUE, 'User')`"
        }
        None => "run `[Environment]::SetEnvironmentVariable(NAME, $null, 'User')` for GOROOT and GOPATH",
    };
    Err(Failure::environment(anyhow::anyhow!("the user's environment cannot be changed on this system"))
        .hint(hint))
}
