//! `custody anchor status`.

use std::path::PathBuf;

use anchor::{Anchor, AnchorError, Anchored, Order, Status};
use clap::Args;

use super::authorities::{self, WebArgs};
use super::submit::{Outcomes, Submitted, refusals};
use super::{failure, read_proof, record, unwritable};
use crate::aside;
use crate::cmd::Context;
use crate::failure::Outcome;

pub(super) const HELP: &str = "\
Who did not answer is asked again, under the same business id; what they give is added to the proof.

Examples:
  $ custody anchor status bin.anchor.json";

#[derive(Args)]
pub(super) struct StatusArgs {
    /// The proof
    proof: PathBuf,
    /// Look only at the proof, and ask nobody
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    web: WebArgs,
}

pub(super) fn run(args: &StatusArgs, context: &Context) -> Outcome {
    let mut file = read_proof(&args.proof)?;
    let pending = file.anchors.iter().any(|anchor| anchor.status == Status::Pending);
    if pending && !args.offline {
        let http = args.web.http()?;
        for at in 0..file.anchors.len() {
            if file.anchors[at].status != Status::Pending {
                continue;
            }
            let authority = match authorities::of(&file.anchors[at], &http, context) {
                Ok(authority) => authority,
                Err(failure) => {
                    context
                        .output
                        .remark(&format!("remark: {} was not asked: {failure}", file.anchors[at].authority));
                    continue;
                }
            };
            let now = again(authority.as_ref(), &file, at);
            record::record(context, record::outcome(&file.subject, &now))?;
            file.anchors[at] = now;
            let bytes = file.to_json().map_err(failure)?;
            aside::write(&args.proof, &bytes).map_err(|e| unwritable(e, &args.proof))?;
        }
    }
    let shown = Submitted {
        file: file.subject.name.clone(),
        sha256: file.subject.sha256(),
        sm3: file.subject.sm3(),
        proof: Some(args.proof.display().to_string()),
        anchors: file.anchors.iter().map(Outcomes::of).collect(),
    };
    context.output.show(&shown, Submitted::lines)?;
    refusals(&file.anchors)
}

/// Asks about, or once more for, the anchor at `at`.
fn again(authority: &dyn anchor::Authority, file: &Anchored, at: usize) -> Anchor {
    let before = &file.anchors[at];
    let answer = match before.evidence.was_taken() {
        true => authority.status(before),
        false => {
            let requested = before.requested.parse().unwrap_or_else(|_| jiff::Timestamp::now());
            let (biz_id, metadata) = (&before.biz_id, &before.metadata);
            authority.submit(&Order { subject: &file.subject, biz_id, requested, metadata })
        }
    };
    answer.unwrap_or_else(|error: AnchorError| {
        let status = if error.is_passing() { Status::Pending } else { Status::Failed };
        Anchor { status, reason: Some(format!("{:#}", anyhow::Error::from(error))), ..before.clone() }
    })
}
