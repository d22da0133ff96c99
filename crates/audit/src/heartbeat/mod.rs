//! Heartbeats: leaves that show that logging was alive, and the events that say when it was not (Commission
//! Delegated Regulation (EU) 2024/1774 Art. 12: measures to detect a failure of logging).
//!
//! A heartbeat carries both tree heads, so that whoever cosigns the SHA-256 tree covers the SM3 one, and what was
//! accepted, refused and dropped since the last. The first thing a heart does is to look how the last one ended.

mod begin;
mod clocks;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{Fact, Severity};

pub use clocks::{Finding, Reading, Tolerance, compare};

use crate::AuditError;
use crate::metrics::Metrics;
use crate::session::{Owned, Session};

pub(crate) const HEARTBEAT: &str = "LEDGER.HEARTBEAT";
pub(crate) const CLOSED: &str = "LEDGER.CLOSED";
pub(crate) const GAP: &str = "LEDGER.GAP";
pub(crate) const STEP: &str = "LEDGER.CLOCK.STEP";
pub(crate) const SILENCE: &str = "LEDGER.SILENCE";

/// How often the clocks are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a heart watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pulse {
    /// Between two heartbeats.
    pub interval: Duration,
    /// What of the clocks is taken for normal.
    pub tolerance: Tolerance,
    /// So long may nothing come from outside; without it, silence is nothing to tell.
    pub silence: Option<Duration>,
}

impl Default for Pulse {
    fn default() -> Self {
        let tolerance = Tolerance { step: Duration::from_secs(1), stall: Duration::from_secs(5) };
        Self { interval: Duration::from_secs(60), tolerance, silence: None }
    }
}

/// A heart that beats until it is dropped; then it says that the ledger was closed in order.
pub struct Heart {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Session {
    /// Starts heartbeats, and records first how the last ones ended.
    ///
    /// # Errors
    /// When this process is not the owner, or nothing can be recorded.
    pub fn beat(&self, pulse: Pulse) -> Result<Heart, AuditError> {
        let owned = self.as_owner()?;
        let found = begin::look_back(self, pulse, Reading::now())?;
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("audit-heart".into())
            .spawn(move || Beat::new(owned, pulse, found).run(&stopping))
            .map_err(|e| AuditError::io("start a thread for", self.home(), e))?;
        Ok(Heart { stop, thread: Some(thread) })
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported by the hook
        }
    }
}

struct Beat {
    owned: Arc<Owned>,
    pulse: Pulse,
    reading: Reading,
    /// The counters at the last heartbeat, and what was told of drops.
    last: Metrics,
    told: Metrics,
    beaten: Instant,
    /// When something last came from outside, and whether its absence was told.
    heard: Instant,
    silent: bool,
    /// What could not be recorded yet, the oldest first.
    waiting: Vec<Fact>,
}

/// Facts that wait for a ledger that takes none; the newest are left out of a longer list.
const MAX_WAITING: usize = 1000;

impl Beat {
    fn new(owned: Arc<Owned>, pulse: Pulse, waiting: Vec<Fact>) -> Self {
        let last = owned.owner.meter.read();
        let (told, now) = (last.clone(), Instant::now());
        Self {
            owned,
            pulse,
            reading: Reading::now(),
            last,
            told,
            beaten: now,
            heard: now,
            silent: false,
            waiting,
        }
    }

    fn run(mut self, stop: &(Mutex<bool>, Condvar)) {
        let first = self.heartbeat(HEARTBEAT);
        self.record(vec![first]);
        let mut stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let (guard, _) = stop.1.wait_timeout(stopped, LOOK).unwrap_or_else(PoisonError::into_inner);
            stopped = guard;
            if *stopped {
                break;
            }
            drop(stopped);
            self.look();
            stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
        }
        let last = self.heartbeat(CLOSED);
        self.record(vec![last]);
    }

    /// What cannot be recorded is the ledger's fault, which everyone who records is told; it waits for the next time.
    fn record(&mut self, facts: Vec<Fact>) {
        self.waiting.extend(facts);
        self.waiting.truncate(MAX_WAITING);
        if !self.waiting.is_empty() && self.owned.owner.record(self.waiting.clone()).is_ok() {
            self.waiting.clear();
        }
    }

    fn look(&mut self) {
        let now = Reading::now();
        let mut facts: Vec<Fact> =
            compare(self.reading, now, LOOK, self.pulse.tolerance).into_iter().map(fact).collect();
        self.reading = now;
        let metrics = self.owned.owner.meter.read();
        facts.extend(self.silence(&metrics));
        self.told = metrics;
        if self.beaten.elapsed() >= self.pulse.interval {
            facts.push(self.heartbeat(HEARTBEAT));
        }
        self.record(facts);
    }

    fn silence(&mut self, metrics: &Metrics) -> Option<Fact> {
        let longest = self.pulse.silence?;
        if metrics.outside > self.told.outside {
            self.heard = Instant::now();
            if std::mem::take(&mut self.silent) {
                return Some(own(SILENCE, Severity::Info).context("state", "ended"));
            }
        }
        if self.silent || self.heard.elapsed() < longest {
            return None;
        }
        self.silent = true;
        let seconds = self.heard.elapsed().as_secs().to_string();
        Some(own(SILENCE, Severity::Warn).context("state", "begun").context("seconds", seconds))
    }

    /// Both heads, the counts since the last one, and the clocks by which the next owner sees what became of this one.
    fn heartbeat(&mut self, act: &'static str) -> Fact {
        let now = Metrics { lost: self.owned.owner.rings.dropped(), ..self.owned.owner.meter.read() };
        let (log, clocks) = (&self.owned.owner.log, Reading::now());
        let checkpoint = log.latest_checkpoint();
        let since = |now: u64, then: u64| now.saturating_sub(then).to_string();
        let mut fact = own(act, Severity::Info)
            .object("origin", checkpoint.checkpoint.origin.clone())
            .context("host", crate::clock::host())
            .context("size", checkpoint.size().to_string())
            .context("sha256_root", hex::encode(checkpoint.checkpoint.root))
            .context("accepted", since(now.accepted, self.last.accepted))
            .context("repeated", since(now.repeated, self.last.repeated))
            .context("refused", since(now.refused, self.last.refused))
            .context("dropped", since(now.lost, self.last.lost))
            .context("interval", self.pulse.interval.as_secs().to_string())
            .context("clock.boot_ms", clocks.boot.to_string())
            .context("clock.wall_ms", clocks.wall.to_string());
        if let Some(root) = checkpoint.sm3_root() {
            fact = fact.context("sm3_root", hex::encode(root));
        }
        if let Some(id) = clocks::boot_id() {
            fact = fact.context("clock.boot_id", id);
        }
        self.last = now;
        self.beaten = Instant::now();
        fact
    }
}

fn own(act: &'static str, severity: Severity) -> Fact {
    Fact::new(act).subject("svc", "custody").severity(severity)
}

fn fact(finding: Finding) -> Fact {
    let gap = |kind: &'static str, ms: i64| {
        own(GAP, Severity::Warn)
            .context("kind", kind)
            .context("seconds", format!("{}.{:03}", ms / 1000, ms % 1000))
    };
    match finding {
        Finding::Step { by } => {
            own(STEP, Severity::Warn).context("by_ms", by.to_string()).context("while", "running")
        }
        Finding::Suspended { for_ms } => gap("suspended", for_ms),
        Finding::Stalled { for_ms } => gap("stalled", for_ms),
    }
}
