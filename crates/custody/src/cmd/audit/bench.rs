//! `custody audit bench`: how fast events are acknowledged here.

use std::path::{Path, PathBuf};

use audit::{Bench, BenchReport};
use clap::Args;

use super::super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
The whole way is measured: admission, sequencing, and the sync that an acknowledgement waits for. A ledger of its own\n\
is made in the folder for it, and removed; the home is not touched.\n\n\
Examples:\n  $ custody audit bench --events 200000\n  $ custody audit bench --events 100000 --dir /var/lib --json";

/// Arguments of `custody audit bench`.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Events to record
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Bytes of each event
    #[arg(long, value_name = "BYTES", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=16_000))]
    size: u64,
    /// Threads that offer events
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    producers: u64,
    /// Events that a thread offers at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Trees that are kept over the events
    #[arg(long, value_name = "TREES", default_value = "both", value_parser = ["both", "sha256"])]
    trees: String,
    /// Folder whose disk is measured [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A folder that goes when the measurement ends.
struct Scratch(PathBuf);

impl Scratch {
    fn make(parent: &Path) -> Result<Self, Failure> {
        let path = parent.join(format!("custody-bench-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|e| {
            Failure::environment(anyhow::Error::from(e).context(format!("cannot make {}", path.display())))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // what stays is named after this program
    }
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs, context: &Context) -> Outcome {
    let small = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let scratch = Scratch::make(args.dir.as_deref().unwrap_or(&std::env::temp_dir()))?;
    let (trees, kept) = match args.trees.as_str() {
        "sha256" => ("sha256", audit::Trees::Sha256),
        _ => ("sha256 and sm3", audit::Trees::Both),
    };
    audit::create_home_with(&scratch.0, "bench", kept).map_err(failure)?;
    let session = audit::open(&scratch.0).map_err(failure)?;
    let plan = Bench {
        events: args.events,
        size: small(args.size),
        producers: small(args.producers),
        batch: small(args.batch),
        trees,
    };
    let bar = context.output.count_bar(Some(args.events), "recording");
    let report = audit::bench(&session, plan, &|count| bar.inc(count)).map_err(failure)?;
    bar.finish_and_clear();
    drop(session);
    context.output.show(&report, text)
}

fn text(report: &BenchReport) -> String {
    let cpu =
        report.cpu_us_per_event.map_or_else(String::new, |us| format!(", {us:.2} us of processor an event"));
    format!(
        "{} events in {:.3} s: {:.0} events/s, acknowledged in {} us (median), {} us (99 of 100){cpu}\n\
         each acknowledgement followed the sync of its event\n\
         client {}, {} producers with {} batches of {} events of {} bytes on their way\n\
         trees {}, commitments {}, a checkpoint each {} ms\n",
        report.events,
        report.seconds,
        report.events_per_second,
        report.ack_p50_us,
        report.ack_p99_us,
        report.client,
        report.producers,
        report.in_flight,
        report.batch,
        report.event_bytes,
        report.trees,
        report.commitments,
        report.checkpoint_interval_ms,
    )
}
