//! Figures behind `docs/design/0023`: the whole way of an event in one process, and its verification.
//!
//! ```console
//! $ cargo run --release -p audit --example event_rate -- DIR EVENTS [both|sha256] [PRODUCERS] [BATCH] [POLICY]
//! ```
//!
//! A home is made in DIR and removed. On a memory file system a sync costs nothing: what is left is the processor's part.

use std::path::Path;
use std::time::Instant;

use audit::{Bench, Trees};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |n: usize| args.get(n).map(String::as_str);
    let number = |n: usize, default: usize| arg(n).and_then(|text| text.parse().ok()).unwrap_or(default);
    let home = tempfile::tempdir_in(arg(0).unwrap_or(".")).expect("a folder to work in");
    let home = home.path().join("home");
    let (kept, trees) = match arg(2) {
        Some("sha256") => (Trees::Sha256, "sha256"),
        _ => (Trees::Both, "sha256 and sm3"),
    };
    audit::create_home_with(&home, "bench", kept).expect("a home");
    if let Some(policy) = arg(5) {
        std::fs::copy(policy, home.join("redaction.toml")).expect("a policy");
    }
    let session = audit::open(&home).expect("an owner");
    let plan = Bench {
        events: number(1, 1_000_000) as u64,
        size: 300,
        producers: number(3, 2),
        batch: number(4, 256),
        trees,
    };
    let report = audit::bench(&session, plan, &|_| ()).expect("a report");
    println!(
        "{:.3} M/s, {:.2} us of processor an event, acknowledged p50 {:.2} ms, p99 {:.2} ms",
        report.events_per_second / 1e6,
        report.cpu_us_per_event.unwrap_or_default(),
        report.ack_p50_us as f64 / 1e3,
        report.ack_p99_us as f64 / 1e3
    );
    drop(session);
    verify(&home, report.events);
}

fn verify(home: &Path, events: u64) {
    let (begun, used) = (Instant::now(), cpu());
    let found = audit::verify(home, None, &mut |_, _| ()).expect("a verdict");
    assert!(found.holds(), "{found:?}");
    let (wall, used) = (begun.elapsed().as_secs_f64(), cpu() - used);
    println!(
        "verified: {:.2} M/s, {:.2} us of processor an event",
        events as f64 / wall / 1e6,
        used / events as f64 * 1e6
    );
}

/// Seconds of processor of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(") ").next().unwrap_or("").split(' ').map(|f| f.parse().unwrap_or(0.0)).collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}
