//! How fast events are acknowledged here: the whole way, admission and sync included.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{AuditError, Session, clock};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// Events in all.
    pub events: u64,
    /// Bytes of each event as it is offered, as near as the form allows.
    pub size: usize,
    /// Threads that offer events.
    pub producers: usize,
    /// Events that a producer offers at once.
    pub batch: usize,
    /// The trees of the home, for the report.
    pub trees: &'static str,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Events acknowledged.
    pub events: u64,
    /// Wall time from the first offer to the last acknowledgement.
    pub seconds: f64,
    /// The one by the other.
    pub events_per_second: f64,
    /// Half of the events were acknowledged within so many microseconds of being offered.
    pub ack_p50_us: u64,
    /// All but one in a hundred were.
    pub ack_p99_us: u64,
    /// Whether an acknowledgement followed the sync.
    pub durable: bool,
    /// Where the client ran.
    pub client: &'static str,
    /// Threads that offered events.
    pub producers: usize,
    /// Events that each offered at once.
    pub batch: usize,
    /// Batches that each had on their way.
    pub in_flight: usize,
    /// Bytes of each event as it was offered.
    pub event_bytes: usize,
    /// The trees that were kept over the events.
    pub trees: &'static str,
    /// What was bound into each leaf beside the event.
    pub commitments: &'static str,
    /// How often a checkpoint was published.
    pub checkpoint_interval_ms: u64,
    /// Processor time of this process, all threads, in microseconds an event; where the system tells.
    pub cpu_us_per_event: Option<f64>,
}

/// Batches that a producer has on their way at a time.
const IN_FLIGHT: usize = 8;

/// Offers events to an open home and measures. The events stay in the ledger.
///
/// # Errors
/// Those of the session, and a refusal, which would be a defect here.
pub fn bench(
    session: &Session,
    plan: Bench,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<BenchReport, AuditError> {
    let producers = plan.producers.max(1) as u64;
    let (start, used) = (Instant::now(), cpu_seconds());
    let latencies: Result<Vec<Vec<(u64, Duration)>>, AuditError> = std::thread::scope(|scope| {
        let shares = (0..producers).map(|n| plan.events / producers + u64::from(n < plan.events % producers));
        let threads: Vec<_> =
            shares.map(|share| scope.spawn(move || produce(session, plan, share, progress))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let elapsed = start.elapsed().as_secs_f64();
    let used = cpu_seconds().zip(used).map(|(now, then)| now - then);
    let mut latencies: Vec<(u64, Duration)> = latencies?.into_iter().flatten().collect();
    latencies.sort_by_key(|(_, latency)| *latency);
    let events: u64 = latencies.iter().map(|(count, _)| count).sum();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = events as f64 / elapsed;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let cpu = used.map(|seconds| seconds * 1e6 / events.max(1) as f64);
    Ok(BenchReport {
        events,
        seconds: elapsed,
        events_per_second: rate,
        ack_p50_us: percentile(&latencies, events.div_ceil(2)),
        ack_p99_us: percentile(&latencies, (events * 99).div_ceil(100)),
        durable: true,
        client: if session.is_owner() {
            "in the process of the ledger's owner"
        } else {
            "behind the owner's socket"
        },
        producers: plan.producers.max(1),
        batch: plan.batch.max(1),
        in_flight: IN_FLIGHT,
        event_bytes: plan.size,
        trees: plan.trees,
        commitments: "none",
        checkpoint_interval_ms: 1000,
        cpu_us_per_event: cpu,
    })
}

/// Processor time of this process: fields 14 and 15 of proc_pid_stat(5), in hundredths of a second on Linux.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
    let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// The latency of the `rank`-th fastest event, in microseconds; batches stand for their events.
fn percentile(sorted: &[(u64, Duration)], rank: u64) -> u64 {
    let mut seen = 0;
    let found = sorted.iter().find(|(count, _)| {
        seen += count;
        seen >= rank
    });
    found.map_or(0, |(_, latency)| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX))
}

fn produce(
    session: &Session,
    plan: Bench,
    mut left: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<(u64, Duration)>, AuditError> {
    let mut maker = Maker::new(plan.size)?;
    let mut flying = VecDeque::new();
    let mut latencies = Vec::new();
    while left > 0 || !flying.is_empty() {
        if left > 0 && flying.len() < IN_FLIGHT {
            let count = left.min(plan.batch.max(1) as u64);
            left -= count;
            let batch = (0..count).map(|_| maker.next()).collect();
            flying.push_back((count, Instant::now(), session.submit(batch)?));
            continue;
        }
        if let Some((count, offered, pending)) = flying.pop_front() {
            for verdict in pending.wait()? {
                verdict?;
            }
            latencies.push((count, offered.elapsed()));
            progress(count);
        }
    }
    Ok(latencies)
}

/// Makes events that differ in their ids only.
struct Maker {
    random: u64,
    made: u64,
    before: String,
    after: String,
}

impl Maker {
    fn new(size: usize) -> Result<Self, AuditError> {
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|e| AuditError::Randomness { why: e.to_string() })?;
        let before = format!("{{\"ts\":\"{}\",\"severity\":\"INFO\",\"id\":\"", clock::now());
        let mut after = String::from(
            "\",\"sub\":{\"user\":\"10086\",\"svc\":\"bench\"},\"act\":\"DATA.READ\",\
             \"obj\":{\"table\":\"accounts\"},\"ctx\":{\"ip\":\"192.0.2.1\",\"pad\":\"",
        );
        let bare = before.len() + 36 + after.len() + 3;
        after.extend(std::iter::repeat_n('x', size.saturating_sub(bare)));
        after.push_str("\"}}");
        Ok(Self { random: u64::from_be_bytes(random), made: 0, before, after })
    }

    fn next(&mut self) -> Vec<u8> {
        self.made += 1;
        let mut low = [0u8; 10];
        low[..4].copy_from_slice(&self.random.to_be_bytes()[..4]);
        low[4..].copy_from_slice(&self.made.to_be_bytes()[2..]);
        // The milliseconds' place carries randomness too, so that producers and runs do not meet.
        let id = event::EventId::v7(self.random & 0xffff_ffff_ffff, low).to_text();
        [self.before.as_bytes(), &id, self.after.as_bytes()].concat()
    }
}
