//! `custody patch apply`, `status` and `rollback`: what happens in a running process.

use std::path::PathBuf;

use clap::Args;

use super::process::ProcessArgs;
use super::signature::{self, TrustArgs};
use super::{Context, Opened};
use crate::failure::Outcome;

pub(super) const APPLY_HELP: &str = "Everything is placed while the process runs; it is stopped once, for the switch. Killed at any moment, this command leaves a\n\
    process that runs on, patched or not; the same command then goes on from there.\n\
    Exit code 1: the patch may not be applied, is not for what runs, or no safe moment came; the process runs as before.\n\n\
    Examples:\n  $ custody patch apply --pid $(cat payments.pid) fix.cpatch --dry-run\n  \
    $ custody patch apply --pid $(cat payments.pid) fix.cpatch";
pub(super) const STATUS_HELP: &str = "Examples:\n  $ custody patch status --pid $(cat payments.pid)";
pub(super) const ROLLBACK_HELP: &str = "What was placed stays mapped, because goroutines may be in it; nobody is led there any more.\n\n\
    Examples:\n  $ custody patch rollback --pid $(cat payments.pid)";

#[derive(Args)]
pub(super) struct ApplyArgs {
    /// The patch
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) process: ProcessArgs,
    #[command(flatten)]
    pub(super) trust: TrustArgs,
    /// How many times the process is stopped for a moment until one is safe
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(super) attempts: u32,
    /// Let breakpoints in its code be: probes of the kernel
    #[arg(long)]
    pub(super) allow_probes: bool,
    /// Do everything but the switch
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) process: ProcessArgs,
}

#[derive(Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    pub(super) process: ProcessArgs,
    /// How many times the process is stopped for a moment until one is safe
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(super) attempts: u32,
    /// Look for a safe moment, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

pub(super) fn apply(args: &ApplyArgs, context: &Context) -> Outcome {
    let opened = Opened::read(&args.file)?;
    // Before the process is even looked for: nobody unknown decides what is placed in it.
    let vouched = signature::vouched(&args.file, &opened, &args.trust, context)?;
    platform::apply(args, &opened, &vouched, context)
}

pub(super) fn status(args: &StatusArgs, context: &Context) -> Outcome {
    platform::status(args, context)
}

pub(super) fn rollback(args: &RollbackArgs, context: &Context) -> Outcome {
    platform::rollback(args, context)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod platform {
    use super::super::signature::Vouched;
    use super::{ApplyArgs, Context, Opened, Outcome, RollbackArgs, StatusArgs};
    use crate::failure::Failure;

    fn refused() -> Outcome {
        Err(Failure::environment(anyhow::anyhow!("running processes are patched on linux/amd64 only"))
            .hint("run `custody patch` on the machine where the service runs"))
    }

    pub(super) fn apply(_: &ApplyArgs, _: &Opened, _: &Vouched, _: &Context) -> Outcome {
        refused()
    }

    pub(super) fn status(_: &StatusArgs, _: &Context) -> Outcome {
        refused()
    }

    pub(super) fn rollback(_: &RollbackArgs, _: &Context) -> Outcome {
        refused()
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) mod platform {
    use goproc::Process;
    use livepatch::Options;

    use super::super::report::{Begun, Carried, Done, Failed};
    use super::super::signature::Vouched;
    use super::super::{failure, snapshot, text};
    use super::{ApplyArgs, Context, Opened, Outcome, RollbackArgs, StatusArgs};
    use crate::failure::Failure;

    pub(super) fn apply(args: &ApplyArgs, opened: &Opened, vouched: &Vouched, context: &Context) -> Outcome {
        let process = args.process.open()?;
        let options = Options {
            attempts: args.attempts,
            dry_run: args.dry_run,
            allow_probes: args.allow_probes,
            exact_file: vouched.binds_file(),
            ..Options::default()
        };
        let done = applied(&process, opened, vouched, options, context)?;
        context.output.show(&done, |d| d.lines(if d.dry_run { "could patch" } else { "patched" }))
    }

    /// Applies a patch for which somebody vouched, and records it.
    pub(in crate::cmd::patch) fn applied(
        process: &Process,
        opened: &Opened,
        vouched: &Vouched,
        options: Options,
        context: &Context,
    ) -> Result<Done, Failure> {
        let sha256 = opened.sha256();
        let begun = Begun { act: "apply", pid: process.pid(), patch: &sha256, dry_run: options.dry_run };
        context.note(&begun)?;
        let what = format!("process {} was not patched", process.pid());
        let stop = livepatch::apply(process, &opened.patch, &opened.digest.sha256, options)
            .map_err(|e| failed(e, &what, &begun, context))?;
        let functions = opened.patch.head.functions.iter();
        let names = text::names(functions.filter(|f| f.kept.is_none()).map(|f| f.name.as_str()));
        let mut done = Done::of("PATCH.APPLIED", process.pid(), sha256, &stop, options.dry_run);
        (done.keys, done.names) = (vouched.key_ids(), names);
        if let Some(snapshot) = stop.snapshot.as_ref().filter(|_| !options.dry_run) {
            done.snapshot = snapshot::keep(snapshot, process, context)?;
        }
        context.note(&done)?;
        Ok(done)
    }

    pub(super) fn rollback(args: &RollbackArgs, context: &Context) -> Outcome {
        let process = args.process.open()?;
        let options = Options { attempts: args.attempts, dry_run: args.dry_run, ..Options::default() };
        let done = led_back(&process, options, context)?;
        context.output.show(&done, |d| d.lines(if d.dry_run { "could lead back" } else { "led back" }))
    }

    /// Takes a patch back, and records it.
    pub(in crate::cmd::patch) fn led_back(
        process: &Process,
        options: Options,
        context: &Context,
    ) -> Result<Done, Failure> {
        let what = |e| failure(e, &format!("process {} was not led back", process.pid()));
        let patch = livepatch::status(process).map_err(what)?.map(|c| c.digest).unwrap_or_default();
        let begun = Begun { act: "rollback", pid: process.pid(), patch: &patch, dry_run: options.dry_run };
        context.note(&begun)?;
        let name = format!("process {} was not led back", process.pid());
        let stop = livepatch::rollback(process, options).map_err(|e| failed(e, &name, &begun, context))?;
        let mut done = Done::of("PATCH.ROLLED_BACK", process.pid(), patch.clone(), &stop, options.dry_run);
        if let Some((file, snapshot)) = snapshot::find(process, &patch, context) {
            done.changed_variables = snapshot.changed_variables(process).map_err(what)?;
            done.snapshot = Some(file);
        }
        context.note(&done)?;
        Ok(done)
    }

    /// What did not come about is recorded too.
    fn failed(error: livepatch::Error, what: &str, begun: &Begun<'_>, context: &Context) -> Failure {
        let is_refused_rollback = matches!(error, livepatch::Error::RollbackRefused { .. });
        let failure = failure(error, what);
        let failed = Failed { begun, is_refused_rollback, why: failure.to_string() };
        let _ = context.note(&failed); // it says so itself when it cannot
        failure
    }

    pub(super) fn status(args: &StatusArgs, context: &Context) -> Outcome {
        let process = args.process.open()?;
        let status = livepatch::status(&process)
            .map_err(|e| failure(e, &format!("process {} cannot be looked into", process.pid())))?;
        context.output.show(&Carried::of(process.pid(), status), Carried::lines)
    }
}
