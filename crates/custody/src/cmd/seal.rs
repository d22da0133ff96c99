//! `custody seal`: evidence of what an artefact consists of, and whether it still does.
//!
//! Both verbs end in [`concluded`], the one place where what happened leaves as a fact.

mod bundle;
mod compare;
mod create;
mod diff;
mod prove;
mod provenance;
mod report;
mod sign;
mod signers;
mod trust;
mod verify;
mod why;

use std::path::Path;

use clap::{Args, Subcommand};
use evidence::{Blame, EvidenceError, Form, Limits};
use keystore::Keyring;
use seal::SealError;

pub(super) use report::Signer;
pub(super) use signers::{SignerArgs, all as signing_keys};
pub(super) use trust::{Count, Source, Trust, open};
pub(super) use verify::read;

use super::Context;
use crate::crypto;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

/// The mend for an archive that is refused.
const AS_FILE: &str = "build the archive anew, or seal its bytes whatever they hold with `--as-file`";

/// Arguments of `custody seal`.
#[derive(Args)]
pub(crate) struct SealArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Seal a directory, an archive (ZIP, 7z, tar, tar.gz, tar.xz, tar.zst) or a file
    #[command(after_help = "Examples:\n  $ custody seal create bin -o bin.seal.json\n  \
                      $ custody seal create release.zip -o release.seal.json --key release-2026\n  \
                      $ custody seal create . -o ../src.seal.json --exclude .git --exclude '*.log'\n  \
                      $ custody seal create release.zip -o inside.seal.json --nested\n  \
                      $ custody seal create bin -o two.seal.json --key default --key release-2026\n  \
                      $ custody seal create bin -o programs.seal.json --authenticode")]
    Create(create::CreateArgs),
    /// Add a signature to a seal that somebody who is trusted has signed
    #[command(after_help = "Examples:\n  $ custody seal sign bin.seal.json --key release-2026\n  \
                      $ custody seal sign bin.seal.json --p12 code.p12 --password-file code.password")]
    Sign(sign::SignArgs),
    /// Prove one file of what was sealed, so that it can be handed over and checked alone
    #[command(after_help = prove::HELP)]
    Prove(prove::ProveArgs),
    /// Write a signature of a seal as a Sigstore bundle, or make one without a lasting key
    #[command(after_help = bundle::HELP)]
    Bundle(Box<bundle::BundleArgs>),
    /// State who built what was sealed, and from what, as SLSA Provenance v1
    #[command(after_help = provenance::HELP)]
    Provenance(Box<provenance::ProvenanceArgs>),
    /// Say what two seals list differently
    #[command(after_help = diff::HELP)]
    Diff(diff::DiffArgs),
    /// Say what differs between two builds, and why
    #[command(after_help = compare::HELP)]
    Compare(compare::CompareArgs),
    /// Say whether an artefact is still what was sealed, and name what is not
    #[command(
        after_help = "Exit code 0: nothing differs; 1: something does, or nobody trusted signed; 2: the seal or the\n\
                      artefact cannot be understood.\n\n\
                      Examples:\n  $ custody seal verify bin --seal bin.seal.json\n  \
                      $ custody seal verify release.zip --seal release.seal.json --trust build.pub.pem --json\n  \
                      $ custody seal verify bin --seal two.seal.json --trust two-of-us.toml\n  \
                      $ custody seal verify bin/payments --proof payments.proof.json"
    )]
    Verify(verify::VerifyArgs),
}

/// How much an artefact may hold.
#[derive(Args)]
pub(crate) struct LimitArgs {
    /// Bytes that an archive may unpack to
    #[arg(long, value_name = "N", default_value_t = Limits::default().bytes, help_heading = "Limits")]
    max_bytes: u64,
    /// Entries that it may hold
    #[arg(long, value_name = "N", default_value_t = Limits::default().entries, help_heading = "Limits")]
    max_entries: u64,
    /// How many times its own size an archive may unpack to (from 16 MiB on)
    #[arg(long, value_name = "N", default_value_t = Limits::default().ratio, help_heading = "Limits")]
    max_ratio: u64,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits { bytes: self.max_bytes, entries: self.max_entries, ratio: self.max_ratio }
    }
}

/// Runs `custody seal`.
pub(crate) fn run(args: SealArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Create(args) => create::run(&args, context),
        Verb::Sign(args) => sign::run(&args, context),
        Verb::Prove(args) => prove::run(&args, context),
        Verb::Bundle(args) => bundle::run(&args, context),
        Verb::Provenance(args) => provenance::run(&args, context),
        Verb::Diff(args) => diff::run(&args, context),
        Verb::Compare(args) => compare::run(&args, context),
        Verb::Verify(args) => verify::run(&args, context),
    }
}

/// The one place where what a seal command found leaves it: recorded and printed.
fn concluded<T: Recorded>(context: &Context, result: &T, text: impl FnOnce(&T) -> String) -> Outcome {
    context.conclude(result, text)
}

/// The keys of the home, if there is a home.
pub(crate) fn keyring(context: &Context) -> Option<Keyring> {
    let home = context.home.existing().ok()?;
    Some(Keyring::open(home.keys(), home.trust()))
}

/// Reads an artefact under a progress bar.
pub(crate) fn collect(
    path: &Path,
    options: &evidence::Options,
    context: &Context,
) -> Result<evidence::Evidence, Failure> {
    let options = &evidence::Options { sm3: crypto::seal_sm3(context)?, ..options.clone() };
    let bar = context.output.bytes_bar(None, "hashing");
    let result = evidence::collect(path, options, &|done, total| {
        if let Some(total) = total.filter(|t| bar.length() != Some(*t)) {
            bar.set_length(total);
        }
        bar.set_position(done);
    });
    bar.finish_and_clear();
    result.map_err(|error| {
        let refused = error.blame() == Blame::Artefact && !matches!(error, EvidenceError::Limit { .. });
        let as_file = refused && options.form == Form::Detect && path.is_file();
        let failure = unreadable(error, path);
        if as_file { failure.hint(AS_FILE) } else { failure }
    })
}

/// What was found of Windows programs, as a seal lists it.
pub(super) fn programs(images: Vec<evidence::Image>) -> Vec<seal::Program> {
    let program =
        |image: evidence::Image| seal::Program { path: image.path, size: image.size, digest: image.digest };
    images.into_iter().map(program).collect()
}

pub(crate) fn unreadable(error: EvidenceError, path: &Path) -> Failure {
    let hint = match &error {
        EvidenceError::Limit { field, .. } => {
            Some(format!("if it is meant to be so large, raise `--max-{field}`"))
        }
        EvidenceError::Special { .. } | EvidenceError::Name { .. } | EvidenceError::Path(_)
            if path.is_dir() =>
        {
            Some("leave it out with `--exclude`".to_owned())
        }
        EvidenceError::NoDirectory { headers: 1.., .. } => Some(
            "`zip -FF FILE --out MENDED` rebuilds the directory from what still stands; then seal that"
                .to_owned(),
        ),
        EvidenceError::Device(_) => Some(
            "mend the device; or let the processor compute: `seal_sm3 = \"cpu\"` in custody.toml".to_owned(),
        ),
        EvidenceError::Unstable { .. } => Some("stop whatever writes to it, then try again".to_owned()),
        _ => None,
    };
    let blame = error.blame();
    let missing =
        matches!(&error, EvidenceError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
    let error = anyhow::Error::from(error).context(format!("cannot take evidence of `{}`", path.display()));
    let failure = match blame {
        Blame::Environment if !missing => Failure::environment(error),
        _ => Failure::input(error),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

pub(crate) fn malformed(error: SealError, what: &Path) -> Failure {
    Failure::input(anyhow::Error::from(error).context(format!("cannot use `{}`", what.display())))
}
