//! `custody anchor`: evidence of a file where nobody can take it back.
//!
//! A request is recorded before it is sent and its outcome after: whoever dies in between finds it in the ledger.

mod authorities;
mod bundle;
pub(crate) mod record;
mod status;
mod submit;
mod verify;
mod witness;

use std::path::{Path, PathBuf};

use anchor::{AnchorError, Anchored, Http, Subject};
use clap::{Args, Subcommand};

use super::Context;
use crate::failure::{Failure, Outcome};
use crate::given;

/// Bytes of a file with certificates.
const MAX_CERTIFICATES: usize = 1 << 20;

/// Arguments of `custody anchor`.
#[derive(Args)]
pub(crate) struct AnchorArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Have timestamp authorities, logs or chains anchor the digest of a file
    #[command(after_help = submit::HELP)]
    Submit(submit::SubmitArgs),
    /// Ask how requests stand that were not answered yet
    #[command(after_help = status::HELP)]
    Status(status::StatusArgs),
    /// Judge a proof offline: the file, the evidence, and whom you trust
    #[command(after_help = verify::HELP)]
    Verify(verify::VerifyArgs),
}

/// Runs `custody anchor`.
pub(crate) fn run(args: AnchorArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Submit(args) => submit::run(&args, context),
        Verb::Status(args) => status::run(&args, context),
        Verb::Verify(args) => verify::run(&args, context),
    }
}

/// The way out, trusting these authorities for https, or those of the system.
pub(crate) fn web_http(files: &[PathBuf]) -> Result<Http, Failure> {
    let mut roots = Vec::new();
    for file in files {
        let blocks = pkix::pem::blocks(&read(file, MAX_CERTIFICATES)?, "CERTIFICATE").map_err(|e| {
            Failure::input(anyhow::Error::from(e).context(format!("cannot use `{}`", file.display())))
        })?;
        roots.extend(blocks);
    }
    Ok(Http::new(&roots))
}

/// Sorts an error of the crate by who must act.
pub(crate) fn failure(error: AnchorError) -> Failure {
    match &error {
        AnchorError::Broken { .. } | AnchorError::Conflict { .. } => Failure::finding(error),
        AnchorError::Malformed { .. } | AnchorError::Request { .. } => Failure::input(error),
        AnchorError::Key(signing::SigningError::Malformed { .. }) => Failure::input(error),
        _ => Failure::environment(error),
    }
}

/// The subject that the file at `path` is.
fn subject(path: &Path) -> Result<Subject, Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    given::open(path).and_then(|file| Subject::read(&name, file)).map_err(|e| unreadable(e, path))
}

fn unreadable(error: std::io::Error, path: &Path) -> Failure {
    let misnamed = given::is_misnamed(&error);
    let error = anyhow::Error::from(error).context(format!("cannot read `{}`", path.display()));
    if misnamed { Failure::input(error) } else { Failure::environment(error) }
}

/// At most `limit` bytes of a file, and one more when there are more.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = given::open(path).map_err(|e| unreadable(e, path))?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|e| unreadable(e, path))?;
    Ok(bytes)
}

/// A proof file.
fn read_proof(path: &Path) -> Result<Anchored, Failure> {
    let bytes = read(path, anchor::receipt::MAX_PROOF)?;
    Anchored::parse(&bytes).map_err(|e| {
        Failure::input(anyhow::Error::from(e).context(format!("cannot use `{}`", path.display())))
            .hint("name the file that `custody anchor submit -o FILE` wrote")
    })
}

fn unwritable(error: std::io::Error, path: &Path) -> Failure {
    let error = anyhow::Error::from(error).context(format!("cannot write `{}`", path.display()));
    Failure::environment(error)
        .hint("what was anchored stays anchored: ask again with `-o` naming a place that can be written")
}
