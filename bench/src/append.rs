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
const EVENT_BYTES: usize = 256;

#[derive(Deserialize)]
struct Report {
    events_per_second: f64,
    durable: bool,
}

/// One producer that waits for every acknowledgement, and many at once.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(".").context("a folder on the disk under test")?;
    let (few, many) = if plan.sample { (50, 2_000) } else { (2_000, 200_000) };
    let peer = "write + fdatasync per event";
    let mut rows = Vec::new();
    for (what, producers, events) in
        [("durable append, 1 producer, one at a time", 1, few), ("durable append, 64 producers", 64, many)]
    {
        rows.push(Row::alternate(
            (what, peer, "events/s"),
            plan.rounds,
            || Ok((ours(folder.path(), producers, events)?, None)),
            || plain_loop(folder.path(), few),
        )?);
    }
    Ok(rows)
}

fn ours(folder: &Path, producers: usize, events: usize) -> Result<f64> {
    let output = Command::new(custody()?)
        .args(["--json", "audit", "bench", "--events", &events.to_string()])
        .args(["--producers", &producers.to_string(), "--dir"])
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
