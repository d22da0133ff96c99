//! `custody audit tail`: events as they are recorded.

use std::time::{Duration, Instant};

use audit::{Files, Filter, Found, Reader};
use clap::Args;

use super::super::Context;
use super::lines::{LineArgs, Page, unprinted};
use super::query::{FilterArgs, UNRECORDED, cannot_write};
use crate::failure::Outcome;
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
That somebody follows the ledger is itself recorded (AUDIT.READ), before anything is shown.\n\n\
Examples:\n  $ custody audit tail --act RUN.\n  $ custody audit tail --lines 20 --duration 60\n  \
$ custody audit tail --severity WARN --color always";

/// Arguments of `custody audit tail`.
#[derive(Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Begin with the newest so many that are there already
    #[arg(long, short = 'n', value_name = "N", default_value_t = 0)]
    lines: u64,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    print: LineArgs,
}

/// A hundred years, in seconds: longer is for ever, and clocks overflow.
const LONGEST: u64 = 100 * 366 * 24 * 60 * 60;

/// Prints what is recorded from now on.
pub(crate) fn run(args: &TailArgs, context: &Context) -> Outcome {
    let filter = Filter { limit: args.limit, ..args.filter.filter() };
    filter.check().map_err(failure)?;
    let end = args.duration.map(|seconds| Instant::now() + Duration::from_secs(seconds.min(LONGEST)));
    let wanted = || end.is_none_or(|end| Instant::now() < end);
    let page = std::cell::RefCell::new(Page::new(context, &args.print));
    let mut idle = || page.borrow_mut().flush().map_err(unprinted);
    let mut sink = |found: Found| page.borrow_mut().add(&found);
    match audit::open(context.home.existing()?.path()) {
        Ok(session) => session.follow_as(&Reader::here(), &filter, args.lines, &wanted, &mut sink, &mut idle),
        Err(error) if cannot_write(&error) => {
            context.output.remark(UNRECORDED);
            Files::follow(context.home.path(), &filter, args.lines, &wanted, &mut sink, &mut idle)
        }
        Err(error) => Err(error),
    }
    .map_err(failure)?;
    page.into_inner().flush()
}
