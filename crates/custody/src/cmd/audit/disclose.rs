//! `custody audit disclose`: one sealed field, opened to an auditor, with what proves it.

use std::path::{Path, PathBuf};

use audit::LogKeys;
use audit::vault::{Disclosure, VaultAnswer, VaultCall, disclosure_holds};
use clap::Args;
use signing::note::NoteVerifier;
use tlog::{InclusionProof, Sha256, TreeHash as _};

use super::super::Context;
use super::keys::unexpected;
use super::prove::{open_checkpoint, read_text};
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
The disclosure holds the value, the salt that opens the commitment in the event, and the event's proof. Whoever gets it\n\
checks it with the log's public key alone, and learns nothing about any other field. Disclosing is an event.\n\n\
Examples:\n  $ custody audit disclose 2 ctx.phone --reason 'audit 2026-114' -o phone.disclosure.json\n  \
$ custody audit disclose --check phone.disclosure.json --key log.vkey";

/// Arguments of `custody audit disclose`.
#[derive(Args)]
pub(crate) struct DiscloseArgs {
    /// Index of the event
    #[arg(required_unless_present = "check", conflicts_with = "check")]
    index: Option<u64>,
    /// The field, as it was offered: `ctx.phone`
    #[arg(required_unless_present = "check")]
    field: Option<String>,
    /// Why; it stands in the ledger
    #[arg(long, required_unless_present = "check")]
    reason: Option<String>,
    /// Where to put the disclosure, instead of standard output
    #[arg(long, short, value_name = "FILE", conflicts_with = "check")]
    output: Option<PathBuf>,
    /// Check a disclosure offline
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// With --check: the file with the log's public key (a copy of keys/log.vkey); the home's own when absent
    #[arg(long, value_name = "FILE", requires = "check")]
    key: Option<PathBuf>,
}

/// Discloses, or checks a disclosure.
pub(crate) fn run(args: &DiscloseArgs, context: &Context) -> Outcome {
    if let Some(path) = &args.check {
        return check(path, args.key.as_deref(), context);
    }
    let call = VaultCall::Disclose {
        index: args.index.unwrap_or_default(), // clap insists on these three
        field: args.field.clone().unwrap_or_default(),
        reason: args.reason.clone().unwrap_or_default(),
    };
    let disclosure = match context.session()?.vault(&call).map_err(failure)? {
        VaultAnswer::Disclosed(disclosure) => disclosure,
        other => return Err(unexpected(&other)),
    };
    let Some(path) = &args.output else { return context.output.json_line(&disclosure) };
    let mut bytes = serde_json::to_vec(&disclosure).map_err(Failure::environment)?;
    bytes.push(b'\n');
    crate::aside::write(path, &bytes).map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot write {}", path.display())))
            .hint("nothing was written; the ledger says all the same that the field was disclosed")
    })?;
    context.output.remark(&format!("written to {}", path.display()));
    Ok(())
}

fn check(path: &Path, key: Option<&Path>, context: &Context) -> Outcome {
    let key = match key {
        Some(file) => NoteVerifier::parse(&read_text(file)?).map_err(Failure::input)?,
        None => LogKeys::of(context.home.existing()?.path()).verifier().map_err(failure)?,
    };
    let disclosure: Disclosure = serde_json::from_str(&read_text(path)?).map_err(|e| {
        Failure::input(anyhow::Error::from(e).context(format!("{} is no disclosure", path.display())))
    })?;
    if disclosure.version != 1 {
        return Err(Failure::input(anyhow::anyhow!("version {} of the form is unknown", disclosure.version)));
    }
    let proof = InclusionProof::parse(&disclosure.proof).map_err(Failure::input)?;
    let checkpoint = open_checkpoint(&proof.note, &key, path)?;
    proof.verify(&Sha256::leaf(disclosure.event.as_bytes()), &checkpoint).map_err(Failure::finding)?;
    if proof.index != disclosure.index || !disclosure_holds(&disclosure) {
        return Err(Failure::finding(anyhow::anyhow!("the event is not bound to this value")));
    }
    let document = serde_json::json!({
        "holds": true, "origin": checkpoint.origin, "index": disclosure.index,
        "field": disclosure.field, "value": disclosure.value,
    });
    context.output.show(&document, |_| {
        format!(
            "holds  {} of event {} of {} is\n{}\n",
            disclosure.field, disclosure.index, checkpoint.origin, disclosure.value
        )
    })
}
