//! `custody pe`: Authenticode signatures of Windows programs, made and judged anywhere.

mod batch;
mod bound;
mod catalog;
pub(crate) mod credential;
mod csr;
mod direct;
mod moment;
mod policy;
mod prompt;
mod replace;
mod reputation;
mod resource;
mod sign;
mod text;
mod timestamp;
mod trust;
pub(crate) mod tsa;
mod verify;
mod walk;

pub(super) use bound::{Bound, Observed};
pub(super) use text::Facts;
pub(super) use trust::TrustArgs;
pub(super) use verify::examine;

use std::path::Path;

use authenticode::AuthenticodeError;
use clap::{Args, Subcommand};
use pkix::PkixError;

use super::Context;
use crate::failure::{Failure, Outcome};

/// Arguments of `custody pe`.
#[derive(Args)]
pub(crate) struct PeArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Sign programs, libraries and drivers
    #[command(after_help = sign::EXAMPLES)]
    Sign(Box<sign::SignArgs>),
    /// Say whether a file's signatures hold, and the exact rule where they do not
    #[command(after_help = verify::EXAMPLES)]
    Verify(Box<verify::VerifyArgs>),
    /// Make a signing key on a token, where it stays
    #[command(after_help = csr::KEY_EXAMPLES)]
    Key(csr::NewKeyArgs),
    /// Write the certificate request of a key
    #[command(after_help = csr::CSR_EXAMPLES)]
    Csr(csr::CsrArgs),
    /// Date the signature of files that were signed before
    #[command(after_help = timestamp::EXAMPLES)]
    Timestamp(timestamp::TimestampArgs),
    /// Prepare a program for reputation services, and follow what becomes of it
    Reputation(reputation::ReputationArgs),
    /// Give a program version information, an icon and a manifest, before it is signed
    Resource(resource::ResourceArgs),
    /// Make, sign and check catalogues: signed lists of files
    Catalog(catalog::CatalogArgs),
    /// Make, compile, sign and check code-integrity policies (App Control)
    Policy(policy::PolicyArgs),
    /// Show headers and signatures, judging nothing
    #[command(
        after_help = "Examples:\n  $ custody pe show signed.exe\n  $ custody pe show signed.exe --json"
    )]
    Show(verify::ShowArgs),
}

/// Runs `custody pe`.
pub(crate) fn run(args: PeArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Sign(args) => sign::run(&args, context),
        Verb::Verify(args) => verify::run(&args, context),
        Verb::Key(args) => csr::key(&args, context),
        Verb::Csr(args) => csr::csr(&args, context),
        Verb::Timestamp(args) => timestamp::run(&args, context),
        Verb::Reputation(args) => reputation::run(args, context),
        Verb::Resource(args) => resource::run(args, context),
        Verb::Catalog(args) => catalog::run(args, context),
        Verb::Policy(args) => policy::run(args, context),
        Verb::Show(args) => verify::show(&args, context),
    }
}

/// Sorts an error of the format by who must act.
fn failure(error: AuthenticodeError, file: &Path) -> Failure {
    let environment = matches!(&error, AuthenticodeError::Io { source, .. } if source.kind() != std::io::ErrorKind::UnexpectedEof)
        || matches!(&error, AuthenticodeError::Signer(signing::SigningError::KeyUnavailable { .. }));
    let error = anyhow::Error::from(error).context(format!("`{}`", file.display()));
    if environment { Failure::environment(error) } else { Failure::input(error) }
}

/// An error about a file that is no image: a certificate, a list, a response.
fn unusable(error: PkixError, file: &Path) -> Failure {
    Failure::input(anyhow::Error::from(error).context(format!("cannot use `{}`", file.display())))
}
