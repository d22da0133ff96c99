//! `custody probe goroutines`: how many there are, and what they do.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use clap::Args;
use probe::goroutines::{Census, Reader, State};

use super::{Act, failure};
use crate::cmd::Context;
use crate::failure::Outcome;

/// Groups that are shown to people; `--json` has all.
const SHOWN: usize = 30;

/// Arguments of `custody probe goroutines`.
#[derive(Args)]
pub(super) struct GoroutinesArgs {
    /// The running process
    #[arg(long, value_name = "PID")]
    pid: NonZeroU32,
}

pub(super) fn run(args: &GoroutinesArgs, context: &Context) -> Outcome {
    let reader = Reader::open(args.pid).map_err(failure)?;
    let census = reader.census().map_err(failure)?;
    context.note(&Act {
        action: "PROBE.ENDED",
        probe: "goroutines",
        target: args.pid.to_string(),
        what: String::new(),
        seen: census.goroutines + census.system,
        lost: 0,
    })?;
    context.output.show(&census, text)
}

fn text(census: &Census) -> String {
    let mut out = format!(
        "{} goroutines, {} of the runtime, {} threads; stopped for {} µs\n",
        census.goroutines, census.system, census.threads, census.stopped_us
    );
    for group in census.groups.iter().take(SHOWN) {
        let state = match group.state {
            State::Running => "running",
            State::Runnable => "runnable",
            State::SystemCall => "system call",
            State::Waiting => "waiting",
            State::Other => "other",
        };
        let at = if group.at.is_empty() { "-" } else { &group.at };
        let _ = writeln!(out, "{:>8}  {state:<11}  {at}  (started with {})", group.count, group.started_with);
    }
    if census.groups.len() > SHOWN {
        let _ = writeln!(out, "{} more groups; --json has all", census.groups.len() - SHOWN);
    }
    out
}
