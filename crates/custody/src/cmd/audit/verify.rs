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
With --since the time it takes is that of what is newer than that checkpoint, which the ledger must extend.\n\
A checkpoint that was given is judged too: its SM2 signature where it has one, and with --tsa-roots its date. With --key\n\
that is all, and no home is needed.\n\n\
Examples:\n  $ custody audit verify\n  $ custody audit verify --checkpoint january.checkpoint\n  \
$ custody audit verify --since january.checkpoint\n  \
$ custody audit verify --checkpoint dated.checkpoint --tsa-roots tsa-root.pem\n  \
$ custody audit verify --checkpoint january.checkpoint --key log.vkey\n  \
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
    /// With --certificate, or with --checkpoint to judge that alone: the file with the log's public key (a copy of
    /// keys/log.vkey)
    #[arg(long, value_name = "FILE", conflicts_with = "since")]
    key: Option<PathBuf>,
    /// With --checkpoint: trust these timestamp authorities (PEM or DER; repeatable); its date must hold
    #[arg(long, value_name = "PEM", requires = "checkpoint")]
    tsa_roots: Vec<PathBuf>,
    /// With --checkpoint: an SM2 public key that must have signed it (PEM; repeatable)
    #[arg(long, value_name = "PEM", requires = "checkpoint")]
    sm2_key: Vec<PathBuf>,
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
    /// Events before this index were pruned, by the log's own word: their hashes were verified, they cannot be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pruned_before: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    given: Option<super::dated::Judged>,
    damage: Vec<String>,
    damage_count: u64,
}

/// Verifies, prints what was found, and ends with 1 when it does not hold.
pub(crate) fn run(args: &VerifyArgs, context: &Context) -> Outcome {
    if let Some(certificate) = &args.certificate {
        let (key, signer) = (args.key.as_deref(), args.signer.as_deref());
        return super::certificate::verify(certificate, key, signer, context);
    }
    if let (Some(key), Some(file)) = (&args.key, &args.checkpoint) {
        let judged = super::dated::judge(file, Some(key), &args.sm2_key, &args.tsa_roots, context)?;
        context.output.show(&judged, super::dated::text)?;
        return super::dated::conclude(&judged);
    }
    if args.key.is_some() {
        return Err(Failure::input(anyhow::anyhow!("--key goes with --certificate or --checkpoint")));
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
    let mut shown = shown(&found);
    if let Some(file) = &args.checkpoint {
        shown.given = Some(super::dated::judge(file, None, &args.sm2_key, &args.tsa_roots, context)?);
    }
    context.output.show(&shown, text)?;
    if let Some(given) = shown.given.as_ref().filter(|_| shown.holds) {
        return super::dated::conclude(given);
    }
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
    let unsigned = found.signers.iter().filter_map(|(name, fault)| Some((name, fault.as_ref()?)));
    let unsigned = unsigned.map(|(name, fault)| format!("the checkpoint is not signed by `{name}`: {fault}"));
    damage.extend(unsigned.collect::<Vec<_>>());
    let faults = found.signers.iter().filter(|(_, fault)| fault.is_some()).count() as u64;
    Shown {
        holds: found.holds(),
        origin: checkpoint.map(|checkpoint| checkpoint.origin.clone()),
        size: checkpoint.map_or(0, |checkpoint| checkpoint.size),
        sha256_root: checkpoint.map(|checkpoint| hex::encode(checkpoint.root)),
        sm3_root: checkpoint.and_then(|checkpoint| checkpoint.sm3_root).map(hex::encode),
        unpublished: found.log.unpublished,
        pruned_before: found.log.checkpoint.as_ref().map(|c| c.minimum()).filter(|minimum| *minimum > 0),
        signers: found.signers.iter().map(|(name, _)| name.clone()).collect(),
        given: None,
        damage,
        damage_count: found.log.damage_count
            + found.not_events_count
            + u64::from(found.vault.is_some())
            + faults,
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
    if let Some(minimum) = shown.pruned_before {
        let _ = writeln!(text, "events before index {minimum} were pruned; their hashes are there"); // as above
    }
    if !shown.signers.is_empty() {
        let _ = writeln!(text, "signed by the log's key and {}", shown.signers.join(", ")); // as above
    }
    if let Some(given) = &shown.given {
        text.push_str(&super::dated::text(given));
    }
    text
}
