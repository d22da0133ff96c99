//! What anchoring leaves in the ledger, which is the outbox: a request, and what became of it.

use anchor::{Anchor, Evidence, Status, Subject};
use event::{Fact, Severity};

use crate::cmd::Context;
use crate::failure::Outcome;

/// `ANCHOR.REQUESTED`: recorded before anybody is asked.
pub(crate) fn requested(
    subject: &Subject,
    biz_id: &str,
    authority: &str,
    kind: &str,
    requested: &str,
    metadata: &std::collections::BTreeMap<String, String>,
) -> Fact {
    let fact = about("ANCHOR.REQUESTED", subject, biz_id)
        .context("authority", authority.to_owned())
        .context("kind", kind.to_owned())
        .context("requested", requested.to_owned());
    match metadata.is_empty() {
        true => fact,
        // One field: its names are the caller's, and need not be names of an event's fields.
        false => fact.context("metadata", serde_json::json!(metadata).to_string()),
    }
}

/// `ANCHOR.CONFIRMED` or `ANCHOR.FAILED`; nothing while it is pending.
pub(crate) fn outcome(subject: &Subject, anchor: &Anchor) -> Option<Fact> {
    let fact = |act| {
        about(act, subject, &anchor.biz_id)
            .context("authority", anchor.authority.clone())
            .context("kind", anchor.evidence.kind().to_owned())
    };
    match anchor.status {
        Status::Pending => None,
        Status::Failed => Some(
            fact("ANCHOR.FAILED")
                .severity(Severity::Error)
                .context("reason", anchor.reason.clone().unwrap_or_default()),
        ),
        Status::Success => Some(
            marks(anchor)
                .into_iter()
                .fold(fact("ANCHOR.CONFIRMED"), |fact, (name, value)| fact.context(name, value)),
        ),
    }
}

/// Where an anchor is found again: transaction and block, index in a log, time.
pub(crate) fn marks(anchor: &Anchor) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    match &anchor.evidence {
        Evidence::Rfc3161 { token } => {
            let time = token.as_deref().and_then(anchor::tsa::unchecked_time);
            out.extend(time.map(|time| ("time", time.to_string())));
        }
        Evidence::Rekor { bundle, uuid, .. } => {
            out.extend(uuid.clone().map(|uuid| ("uuid", uuid)));
            let entry = bundle.as_ref().and_then(|b| b.verification_material.tlog_entries.first());
            out.extend(entry.map(|entry| ("log_index", entry.log_index.to_string())));
        }
        Evidence::Witness { proof, .. } => {
            let size = proof.as_deref().and_then(|proof| proof.split("\n\n").nth(1)?.lines().nth(1));
            out.extend(size.map(|size| ("log_size", size.to_owned())));
        }
        Evidence::Chain { tx_id, block_height, .. } => {
            out.extend(tx_id.clone().map(|tx| ("tx_id", tx)));
            out.extend(block_height.map(|height| ("block_height", height.to_string())));
        }
    }
    out
}

fn about(act: &'static str, subject: &Subject, biz_id: &str) -> Fact {
    let fact = Fact::new(act)
        .subject("svc", "custody")
        .object("name", subject.name.clone())
        .object("sha256", subject.sha256())
        .object("biz_id", biz_id.to_owned());
    let known = [("size", subject.size.map(|size| size.to_string())), ("sm3", subject.sm3())];
    known.into_iter().fold(fact, |fact, (name, value)| match value {
        Some(value) => fact.object(name, value),
        None => fact,
    })
}

/// Records a fact where there is a home. What was asked of others must be on record.
pub(super) fn record(context: &Context, fact: Option<Fact>) -> Outcome {
    match fact.filter(|_| context.home.existing().is_ok()) {
        Some(fact) => context.record(fact).map(|_| ()),
        None => Ok(()),
    }
}
