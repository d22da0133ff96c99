//! The ways of a program that must not wait: the ring against `tracing-appender`, the Go SDK against slog.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use audit::ring::{Draft, Options, Producer, WhenFull};
use serde::Deserialize;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::Plan;
use crate::measure::{Row, custody};

/// The longest that a durable run may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// A home and the process that owns it.
struct Owned {
    folder: tempfile::TempDir,
    owner: Child,
}

impl Owned {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir_in(".").context("a folder on the disk under test")?;
        let home = folder.path().join("home");
        let made = Command::new(custody()?).arg("--home").arg(&home).args(["--quiet", "init"]).status()?;
        anyhow::ensure!(made.success(), "custody init: {made}");
        let mut owner = Command::new(custody()?);
        owner.arg("--home").arg(&home).args(["audit", "record"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let owned = Self { folder, owner: owner.spawn()? };
        let begun = Instant::now();
        while !owned.home().join("custody.sock").exists() {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(10), "the owner does not serve");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(owned)
    }

    fn home(&self) -> std::path::PathBuf {
        self.folder.path().join("home")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        drop(self.owner.stdin.take()); // the end of its input ends it
        let _ = self.owner.wait(); // it is our child
    }
}

/// The ring's producer: what a burst costs, and what becomes durable in the long run.
pub(crate) fn ring(plan: Plan) -> Result<Vec<Row>> {
    let owned = Owned::start()?;
    let (burst, many) = if plan.sample { (2_000, 2_000) } else { (100_000, 1_000_000) };
    let log = owned.folder.path().join("log");
    let capacity = 64 << 20; // holds the burst, so that the producer never waits
    let mut producer = Producer::attach(&owned.home(), Options { capacity, when_full: WhenFull::Wait })?;
    let peer = "tracing-appender, JSON to a file, not durable";
    let cost = Row::alternate(
        ("ring, one producer: into the ring, encoding included, burst", peer, "events/s"),
        plan.rounds,
        || {
            let begun = Instant::now();
            record(&mut producer, burst)?;
            let rate = burst as f64 / begun.elapsed().as_secs_f64();
            producer.wait_durable(producer.position(), PATIENCE)?;
            Ok((rate, None))
        },
        || appender(&log, burst),
    )?;
    let drain = Row::alternate(
        ("ring, one producer: durable in the ledger, sustained", peer, "events/s"),
        plan.rounds,
        || {
            let begun = Instant::now();
            record(&mut producer, many)?;
            producer.wait_durable(producer.position(), PATIENCE)?;
            Ok((many as f64 / begun.elapsed().as_secs_f64(), None))
        },
        || appender(&log, many),
    )?;
    anyhow::ensure!(producer.refused() == 0, "{} events were refused", producer.refused());
    Ok(vec![cost, drain])
}

fn record(producer: &mut Producer, events: u64) -> Result<()> {
    for n in 0..events {
        let row = n.to_string();
        let draft = Draft {
            severity: event::Severity::Info,
            act: "PAYMENT.SETTLED",
            sub: &[("svc", "payments"), ("user", "10086")],
            obj: &[("row", &row), ("table", "accounts")],
            ctx: &[("ip", "192.0.2.1"), ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")],
        };
        producer.record_fast(&draft)?;
    }
    Ok(())
}

/// The same facts, as `tracing-appender`'s background thread writes them; lossless, until it has written all of them.
fn appender(path: &Path, events: u64) -> Result<f64> {
    let file = std::fs::File::create(path)?;
    let (writer, guard) =
        tracing_appender::non_blocking::NonBlockingBuilder::default().lossy(false).finish(file);
    let layer = tracing_subscriber::fmt::layer().json().with_writer(writer);
    let begun = Instant::now();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for n in 0..events {
            tracing::info!(
                act = "PAYMENT.SETTLED",
                sub.svc = "payments",
                sub.user = "10086",
                obj.row = n,
                obj.table = "accounts",
                ip = "192.0.2.1",
                trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
            );
        }
    });
    drop(guard); // waits for the thread
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}

#[derive(Deserialize)]
struct Report {
    cpu_us_per_event: f64,
    events_per_second: f64,
}

/// The Go SDK, 256 goroutines.
pub(crate) fn sdk(plan: Plan) -> Result<Vec<Row>> {
    let Some(program) = build_go()? else {
        eprintln!("bench: sdk skipped: no Go toolchain (CUSTODY_GO)");
        return Ok(Vec::new());
    };
    let owned = Owned::start()?;
    let events = if plan.sample { 2_560 } else { 256_000 };
    let slog = || measure(&program.path().join("bench"), "slog", &owned, events);
    let mut rows = Vec::new();
    for (way, what) in [
        ("socket", "Go SDK, socket, durable"),
        ("ring", "Go SDK, ring, durable"),
        ("fast", "Go SDK, ring, fast (not durable)"),
    ] {
        let ours = || measure(&program.path().join("bench"), way, &owned, events);
        let peer = "slog, JSON to a file";
        rows.push(Row::alternate(
            (&format!("{what}: processor time an event, 256 goroutines"), peer, "µs"),
            plan.rounds,
            || Ok((ours()?.cpu_us_per_event, None)),
            || Ok(slog()?.cpu_us_per_event),
        )?);
        rows.push(Row::alternate(
            (&format!("{what}: throughput, 256 goroutines"), peer, "events/s"),
            plan.rounds,
            || Ok((ours()?.events_per_second, None)),
            || Ok(slog()?.events_per_second),
        )?);
    }
    Ok(rows)
}

fn measure(program: &Path, way: &str, owned: &Owned, events: u32) -> Result<Report> {
    let mut command = Command::new(program);
    command.args(["-way", way, "-events", &events.to_string()]);
    command.arg("-home").arg(owned.home()).arg("-file").arg(owned.folder.path().join("slog"));
    let output = command.output()?;
    if !output.status.success() {
        bail!("{way}: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("the report of the Go program")
}

/// `bench/go`, built; nothing without a toolchain.
fn build_go() -> Result<Option<tempfile::TempDir>> {
    let folder = tempfile::tempdir()?;
    let go = std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(folder.path().join("bench")).arg(".").current_dir(source);
    match build.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").output() {
        Err(_) => Ok(None),
        Ok(built) if !built.status.success() => bail!("go build: {}", String::from_utf8_lossy(&built.stderr)),
        Ok(_) => Ok(Some(folder)),
    }
}
