//! `custody patch`: functions of a running Go service are changed from outside, and changed back.
//!
//! The order is kept here: a patch is judged ([`signature`]) before its process is even looked for, the intent is
//! recorded before the process is touched, and what came of it afterwards ([`live`]).

mod live;
mod make;
mod process;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod report;
mod rollout;
mod signature;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod snapshot;
mod text;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gm::DualDigest;
use livepatch::{Error, Patch};

use super::Context;
use crate::failure::{Failure, Outcome};
use crate::given;

/// A larger patch is refused before it is read.
const MAX_PATCH: u64 = 512 << 20;

/// Arguments of `custody patch`.
#[derive(Args)]
pub(crate) struct PatchArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a patch from the build that runs and the build that should
    #[command(after_help = make::BUILD_HELP)]
    Build(make::BuildArgs),
    /// Show what a patch changes, function by function, and why
    #[command(after_help = make::INSPECT_HELP)]
    Inspect(make::InspectArgs),
    /// Sign a patch; the signature stands beside it, in `FILE.sig.json`
    #[command(after_help = signature::SIGN_HELP)]
    Sign(signature::SignArgs),
    /// Say who signed a patch, when, and by which rule it may be applied
    #[command(after_help = signature::VERIFY_HELP)]
    Verify(signature::VerifyArgs),
    /// Place a signed patch in a running process, and switch to it
    #[command(after_help = live::APPLY_HELP)]
    Apply(live::ApplyArgs),
    /// Say which patch a process carries
    #[command(after_help = live::STATUS_HELP)]
    Status(live::StatusArgs),
    /// Lead every caller back to the old code
    #[command(after_help = live::ROLLBACK_HELP)]
    Rollback(live::RollbackArgs),
    /// Patch the processes of one name in stages, watched, and lead all back when a stage does not hold
    #[command(after_help = rollout::HELP)]
    Rollout(rollout::RolloutArgs),
}

/// Runs `custody patch`.
pub(crate) fn run(args: PatchArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Build(args) => make::build(&args, context),
        Verb::Inspect(args) => make::inspect(&args, context),
        Verb::Sign(args) => signature::sign(&args, context),
        Verb::Verify(args) => signature::verify(&args, context),
        Verb::Apply(args) => live::apply(&args, context),
        Verb::Status(args) => live::status(&args, context),
        Verb::Rollback(args) => live::rollback(&args, context),
        Verb::Rollout(args) => rollout::run(&args, context),
    }
}

/// A patch that was read, with the digests of its file.
struct Opened {
    patch: Patch,
    digest: DualDigest,
}

impl Opened {
    fn read(file: &Path) -> Result<Self, Failure> {
        let bytes = read(file, MAX_PATCH)?;
        let patch =
            Patch::decode(&bytes).map_err(|e| failure(e, &format!("cannot use `{}`", file.display())))?;
        Ok(Self { patch, digest: gm::Dual::digest(&bytes) })
    }

    fn sha256(&self) -> String {
        hex::encode(self.digest.sha256)
    }
}

fn read(file: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    given::open(file).and_then(|f| f.take(limit + 1).read_to_end(&mut bytes)).map_err(|e| {
        let misnamed = given::is_misnamed(&e);
        let error = anyhow::Error::from(e).context(format!("cannot read `{}`", file.display()));
        if misnamed { Failure::input(error) } else { Failure::environment(error) }
    })?;
    if bytes.len() as u64 > limit {
        let what = format!("`{}` is larger than {} MiB", file.display(), limit >> 20);
        return Err(Failure::input(anyhow::anyhow!(what)));
    }
    Ok(bytes)
}

/// Where the signature of a patch stands.
fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig.json");
    name.into()
}

/// Sorts an error by who must act, and says how.
fn failure(error: Error, what: &str) -> Failure {
    let hint = hint(&error);
    let is_finding = matches!(
        error,
        Error::Refused { .. }
            | Error::NoChange
            | Error::OtherBuild { .. }
            | Error::State { .. }
            | Error::NoSafeMoment { .. }
            | Error::RollbackRefused { .. }
    );
    let is_place =
        matches!(error, Error::Process(_) | Error::Unreadable { source: goproc::Error::Platform, .. });
    let error = anyhow::Error::from(error).context(what.to_owned());
    let failure = match (is_finding, is_place) {
        (true, _) => Failure::finding(error),
        (_, true) => Failure::environment(error),
        _ => Failure::input(error),
    };
    hint.into_iter().fold(failure, Failure::hint)
}

fn hint(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Refused { .. } => {
            "a change of this kind needs a restart: let `custody run` start the new build"
        }
        Error::OtherBuild { .. } => {
            "make the patch from the file that the process runs; probes in it are let be with `--allow-probes`"
        }
        Error::State { .. } => "see what it carries with `custody patch status`",
        Error::RollbackRefused { .. } => {
            "the service runs as it did; find out who else changes it, or let `custody run` start it anew"
        }
        Error::NoSafeMoment { .. } => "nothing was changed; try again, or with more `--attempts`",
        Error::OtherShape => "build both with the same `-buildmode`",
        Error::NotTwin { .. } => "strip after the link, or build both with `-trimpath`",
        Error::Placement { .. } => "link the new build higher: `go build -ldflags=-T=0x6e5a1000 …`",
        Error::Unreadable { .. } | Error::Lacks { .. } => {
            "a patch is made from symbols and debugging data: build without `-ldflags='-s -w'`, and give the twin of a \
             stripped build with `--symbols`"
        }
        Error::OtherRelease { .. } => "build both with one Go release",
        _ => return None,
    })
}
