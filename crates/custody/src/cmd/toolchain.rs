//! `custody toolchain`: a portable Go release unpacked, checked and put to use, without administrator's rights.
//!
//! Verbs that state a fact end in [`concluded`], the one place where it leaves the command.

mod check;
mod env;
mod install;
mod layout;
mod probe;
mod profile;
mod script;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

/// Arguments of `custody toolchain`.
#[derive(Args)]
pub(crate) struct ToolchainArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Unpack a portable Go release (ZIP, tar.gz, wheel: anything that holds bin/go), and seal it
    #[command(
        after_help = "The folder must not exist yet. The seal is written beside it, signed by the home's key, when there is \
                      a home.\n\nExamples:\n  $ custody toolchain install go1.27.3.linux-amd64.tar.gz --to sdk/go1.27.3\n  \
                      $ custody toolchain install go.zip --to sdk/go --dry-run"
    )]
    Install(install::InstallArgs),
    /// Check that a toolchain is complete, is for this machine, and works with this user's environment
    #[command(
        after_help = "Nothing is downloaded. Exit code 0: every check holds (warnings may remain); 1: one does not; 2: \
                      there is no toolchain.\n\nExamples:\n  $ custody toolchain check sdk/go1.27.3\n  \
                      $ custody toolchain check sdk/go1.27.3 --json"
    )]
    Check(check::CheckArgs),
    /// Print the lines that put a toolchain to use in a shell, or keep them in the user's own profile
    #[command(after_help = "Examples:\n  $ eval \"$(custody toolchain env sdk/go1.27.3)\"\n  \
                      $ custody toolchain env sdk/go1.27.3 --shell powershell\n  \
                      $ custody toolchain env sdk/go1.27.3 --persist")]
    Env(env::EnvArgs),
}

/// Runs `custody toolchain`.
pub(crate) fn run(args: ToolchainArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Install(args) => install::run(&args, context),
        Verb::Check(args) => check::run(&args, context),
        Verb::Env(args) => env::run(&args, context),
    }
}

/// The one place where what a toolchain command did or found leaves it: recorded and printed.
fn concluded<T: Recorded>(context: &Context, result: &T, text: impl FnOnce(&T) -> String) -> Outcome {
    context.conclude(result, text)
}

/// This user's `GOPATH` as Go would take it without a `go env -w`: the variable, else `go` in the home folder.
fn user_gopath() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = if cfg!(windows) { set("USERPROFILE") } else { set("HOME") };
    let first = set("GOPATH").and_then(|list| std::env::split_paths(&list).next());
    first.or_else(|| home.map(|home| Path::new(&home).join("go")))
}

/// Go keeps its own sources in GOROOT and yours in GOPATH; in one folder each takes the other's for its own.
fn refuse_shared(goroot: &Path, gopath: &Path) -> Outcome {
    let (root, path) = (layout::resolved(goroot), layout::resolved(gopath));
    if !path.starts_with(&root) {
        return Ok(());
    }
    let relation = if root == path { "the same folder" } else { "inside of it" };
    Err(Failure::input(anyhow::anyhow!(
        "GOROOT is {}, and GOPATH ({}) is {relation}",
        goroot.display(),
        gopath.display()
    ))
    .hint("keep the toolchain in a folder of its own, such as `~/sdk/go`, or name another with `--gopath`"))
}
