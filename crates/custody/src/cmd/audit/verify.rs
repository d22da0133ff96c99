//! `custody audit verify`: whether the ledger is what its key vouched for.

use std::fmt::Write as _;
use std::path::PathBuf;

use audit::{AuditError, LedgerError, Verification};
use clap::Args;
use serde::Serialize;

use super::super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
Reads the files only: every entry and tile of both trees (SHA-256 and SM3) against the signed checkpoint, and every\n\
entry against the schema of events. Needs no owner and does not disturb one. Exit code 1 when anything differs.\n\
With --since the time it takes is that of what is newer than that checkpoint, which the ledger must extend.\n\n\
Examples:\n  $ custody audit verify\n  $ custody audit verify --checkpoint january.checkpoint\n  \
$ custody audit verify --since january.checkpoint\n  \
$ custody audit verify --certificate erasures/*.erasure.json --key log.vkey";

/// Arguments of `custody audit verify`.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// An earlier checkpoint of this ledger, which it must extend
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// A checkpoint up to which the ledger was verified before: only what is newer is read
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    since: Option<PathBuf>,
    /// Check a certificate of erasure instead, offline
    #[arg(long, value_name = "FILE", conflicts_with_all = ["checkpoint", "since"])]
    certificate: Option<PathBuf>,
    /// With --certificate: the file with the log's public key (a copy of keys/log.vkey); the home's own when absent
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// With --certificate: its signer's public key, PEM; the keys that the home trusts when absent
    #[arg(long, value_name = "FILE", requires = "certificate")]
    signer: Option<PathBuf>,
}

#[derive(Serialize)]
struct Shown {
    holds: bool,
    origin: Option<String>,
    size: u64,
    sha256_root: Option<String>,
    sm3_root: Option<String>,
    unpublished: u64,
    damage: Vec<String>,
    damage_count: u64,
}

/// Verifies, prints what was found, and ends with 1 when it does not hold.
pub(crate) fn run(args: &VerifyArgs, context: &Context) -> Outcome {
    if let Some(certificate) = &args.certificate {
        let (key, signer) = (args.key.as_deref(), args.signer.as_deref());
        return super::certificate::verify(certificate, key, signer, context);
    }
    let home = context.home.existing()?.path();
    let earlier = args.checkpoint.as_deref().map(super::prove::read_text).transpose()?;
    let bar = context.output.count_bar(None, "verifying");
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let since = args.since.as_deref().map(super::prove::read_text).transpose()?;
    let found = match since {
        Some(since) => audit::verify_since(home, since, &mut progress),
        None => audit::verify(home, earlier, &mut progress),
    };
    let found = found.map_err(unverified)?;
    bar.finish_and_clear();
    let shown = shown(&found);
    context.output.show(&shown, text)?;
    let Some(first) = shown.damage.first() else { return Ok(()) };
    Err(Failure::finding(anyhow::anyhow!("the ledger is damaged: {first}"))
        .hint("keep the files as they are; compare them with a copy, or with a checkpoint kept elsewhere"))
}

/// Of the home's own files every damage is a finding of the report; only the checkpoint that was given can be refused.
fn unverified(error: AuditError) -> Failure {
    match error {
        AuditError::Ledger(LedgerError::Checkpoint { .. }) => {
            Failure::finding(anyhow::Error::from(error).context("the checkpoint that was given is refused"))
                .hint("name one that `custody audit checkpoint -o FILE` wrote for this very ledger")
        }
        error => failure(error),
    }
}

fn shown(found: &Verification) -> Shown {
    let checkpoint = found.log.checkpoint.as_ref().map(|signed| &signed.checkpoint);
    let mut damage: Vec<String> = found.log.damage.iter().map(ToString::to_string).collect();
    damage.extend(found.not_events.iter().map(|(index, why)| format!("entry {index}: {why}")));
    damage.extend(found.vault.clone());
    Shown {
        holds: found.holds(),
        origin: checkpoint.map(|checkpoint| checkpoint.origin.clone()),
        size: checkpoint.map_or(0, |checkpoint| checkpoint.size),
        sha256_root: checkpoint.map(|checkpoint| hex::encode(checkpoint.root)),
        sm3_root: checkpoint.and_then(|checkpoint| checkpoint.sm3_root).map(hex::encode),
        unpublished: found.log.unpublished,
        damage,
        damage_count: found.log.damage_count + found.not_events_count + u64::from(found.vault.is_some()),
    }
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    for damage in &shown.damage {
        let _ = writeln!(text, "damaged  {damage}"); // a String takes everything
    }
    let more = shown.damage_count.saturating_sub(shown.damage.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "and {more} more"); // as above
    }
    if !shown.holds {
        return text;
    }
    let _ = writeln!(
        text,
        "holds  {} events under the checkpoint of {}\n  sha256  {}\n  sm3     {}\n\
         {} durable events are not under a checkpoint yet",
        shown.size,
        shown.origin.as_deref().unwrap_or_default(),
        shown.sha256_root.as_deref().unwrap_or_default(),
        shown.sm3_root.as_deref().unwrap_or_default(),
        shown.unpublished,
    ); // as above
    text
}
