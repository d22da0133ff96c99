//! `custody audit gaps`: when logging was not alive, or its clock not to be trusted.

use audit::{Filter, Reader};
use clap::Args;
use serde::Serialize;

use super::super::Context;
use crate::failure::Outcome;
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
What the daemon recorded while it ran and when it started again: times without an owner, suspended machines, stopped\n\
processes, set clocks, silence, events that rings lost; and heartbeats that are further apart than they say.\n\
The reading is an event.\n\nExamples:\n  $ custody audit gaps\n  $ custody audit gaps --since 2026-11-01T00:00:00Z --json";

/// Arguments of `custody audit gaps`.
#[derive(Args)]
pub(crate) struct GapsArgs {
    /// Not before this time (RFC 3339, UTC)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time (RFC 3339, UTC)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// What tells of a gap.
const TELLING: [&str; 6] = [
    "LEDGER.GAP",
    "LEDGER.CLOCK.STEP",
    "LEDGER.SILENCE",
    "LEDGER.RING.LOST",
    "LEDGER.RING.BROKEN",
    "LEDGER.RECOVERED",
];

#[derive(Serialize)]
struct Gap {
    /// Of the event that tells of it.
    index: u64,
    ts: String,
    what: String,
    /// What is known, as it stands in the event.
    details: std::collections::BTreeMap<String, String>,
}

/// The last heartbeat: when, and when the next was due.
struct Beat {
    at: jiff::Timestamp,
    due: jiff::SignedDuration,
}

/// Prints what is found, in the order of the ledger.
pub(crate) fn run(args: &GapsArgs, context: &Context) -> Outcome {
    let filter = Filter {
        act: Some("LEDGER.".into()),
        since: args.since.clone(),
        until: args.until.clone(),
        ..Filter::default()
    };
    let (mut gaps, mut last) = (Vec::new(), None);
    context
        .session()?
        .read_as(&Reader::here(), &filter, &mut |found| {
            // What is no event is `audit verify`'s to report.
            let Ok(event) = event::validate(&found.stored) else { return Ok(()) };
            if TELLING.contains(&&*event.act) {
                gaps.push(told(found.index, &event));
                last = None; // the absence has its explanation
            } else if event.act == "LEDGER.HEARTBEAT" {
                gaps.extend(late(found.index, &event, last.as_ref()));
                last = beat(&event);
            } else if event.act == "LEDGER.CLOSED" {
                last = None;
            }
            Ok(())
        })
        .map_err(failure)?;
    for gap in &gaps {
        context.output.show(gap, text)?;
    }
    context.output.remark(&format!("{} found", gaps.len()));
    Ok(())
}

fn told(index: u64, event: &event::Event<'_>) -> Gap {
    let fields = event.obj.iter().chain(event.ctx.iter().filter(|(name, _)| !name.starts_with("peer.")));
    Gap {
        index,
        ts: event.ts.to_string(),
        what: event.act.to_string(),
        details: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}

fn beat(event: &event::Event<'_>) -> Option<Beat> {
    let seconds = event.ctx.get("interval")?.parse().ok()?;
    Some(Beat { at: event.ts.as_str().parse().ok()?, due: jiff::SignedDuration::from_secs(seconds) })
}

/// A heartbeat that came later than twice its interval without anything that says why.
fn late(index: u64, event: &event::Event<'_>, last: Option<&Beat>) -> Option<Gap> {
    let (now, last) = (beat(event)?, last?);
    let apart = now.at.duration_since(last.at);
    if apart <= last.due * 2 {
        return None;
    }
    let details = [("seconds", apart.as_secs().to_string()), ("since", last.at.to_string())];
    Some(Gap {
        index,
        ts: event.ts.to_string(),
        what: "heartbeat late".into(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
    })
}

fn text(gap: &Gap) -> String {
    let details: Vec<String> =
        gap.details.iter().map(|(name, value)| format!("{name}={}", value.escape_debug())).collect();
    format!("{:>8}  {:.23}Z  {:<18} {}\n", gap.index, gap.ts, gap.what, details.join(" "))
}
