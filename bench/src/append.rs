//! Durable appends against the plainest durable program there is: write, fdatasync, repeat.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::Plan;
use crate::measure::{Row, custody};

/// About the canonical form of one compliance event, in bytes.
const EVENT_BYTES: usize = 300;

#[derive(Deserialize)]
struct Report {
    events_per_second: f64,
    durable: bool,
}

/// Producers, events that each offers at once, events in all.
#[derive(Clone, Copy)]
struct Load {
    producers: usize,
    batch: usize,
    events: usize,
}

/// One producer that waits for every acknowledgement, many such producers, and producers that offer batches.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(".").context("a folder on the disk under test")?;
    let (few, many) = if plan.sample { (50, 2_000) } else { (5_000, 400_000) };
    let loads = [
        ("durable append, 1 producer, one event at a time", Load { producers: 1, batch: 1, events: few }),
        ("durable append, 64 producers, one event at a time", Load { producers: 64, batch: 1, events: many }),
        (
            "durable append, 2 producers, 256 events at a time",
            Load { producers: 2, batch: 256, events: many },
        ),
    ];
    let rows = loads.map(|(what, load)| {
        Row::alternate(
            (what, "write + fdatasync per event", "events/s"),
            plan.rounds,
            || Ok((ours(folder.path(), load)?, None)),
            || plain_loop(folder.path(), few),
        )
    });
    rows.into_iter().collect()
}

fn ours(folder: &Path, load: Load) -> Result<f64> {
    let output = Command::new(custody()?)
        .args(["--json", "audit", "bench", "--size", &EVENT_BYTES.to_string()])
        .args(["--events", &load.events.to_string(), "--producers", &load.producers.to_string()])
        .args(["--batch", &load.batch.to_string(), "--dir"])
        .arg(folder)
        .output()?;
    if !output.status.success() {
        bail!("audit bench: {}", String::from_utf8_lossy(&output.stderr));
    }
    let report: Report = serde_json::from_slice(&output.stdout).context("the report of audit bench")?;
    if !report.durable {
        bail!("audit bench did not run in durable mode");
    }
    Ok(report.events_per_second)
}

fn plain_loop(folder: &Path, events: usize) -> Result<f64> {
    let path = folder.join("plain");
    let mut file = File::create(&path)?;
    let event = vec![b'x'; EVENT_BYTES];
    let begun = Instant::now();
    for _ in 0..events {
        file.write_all(&event)?;
        file.sync_data()?;
    }
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}
