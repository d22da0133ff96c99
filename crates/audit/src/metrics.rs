//! What the owner counts for whoever watches it. Counters only grow; a fault to read them stops nobody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use event::InvalidComplianceEvent;

/// Upper ends of the classes of waiting times, in microseconds: the usual disk syncs in a tenth of a millisecond, a
/// bad one in a second.
pub const WAIT_BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000,
];

/// The owner's counters.
#[derive(Default)]
pub(crate) struct Meter {
    accepted: AtomicU64,
    accepted_bytes: AtomicU64,
    repeated: AtomicU64,
    refused: AtomicU64,
    by_rule: Mutex<BTreeMap<String, u64>>,
    waits: [AtomicU64; WAIT_BOUNDS_US.len() + 1],
    waited_us: AtomicU64,
    failed: AtomicU64,
    outside: AtomicU64,
}

impl Meter {
    pub(crate) fn accepted(&self, events: u64, bytes: u64) {
        self.accepted.fetch_add(events, Ordering::Relaxed);
        self.accepted_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self, events: u64) {
        self.repeated.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, refusal: &InvalidComplianceEvent) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = refusal.faults.first() {
            *by_rule.entry(format!("{:?}", fault.rule).to_lowercase()).or_default() += 1;
        }
    }

    /// A batch was acknowledged after so long.
    pub(crate) fn waited(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let class = WAIT_BOUNDS_US.partition_point(|&bound| bound < us);
        self.waits[class].fetch_add(1, Ordering::Relaxed);
        self.waited_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Admitted events came from another process.
    pub(crate) fn came_from_outside(&self, events: u64) {
        self.outside.fetch_add(events, Ordering::Relaxed);
    }

    /// A batch could not be stored.
    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Metrics {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            accepted: of(&self.accepted),
            accepted_bytes: of(&self.accepted_bytes),
            repeated: of(&self.repeated),
            refused: of(&self.refused),
            refused_by_rule: self.by_rule.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            waits: self.waits.iter().map(of).collect(),
            waited_us: of(&self.waited_us),
            failed_batches: of(&self.failed),
            outside: of(&self.outside),
            ..Metrics::default()
        }
    }
}

/// What the owner counted since it opened the home, and how it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metrics {
    /// Events given an index.
    pub accepted: u64,
    /// Bytes of their stored form.
    pub accepted_bytes: u64,
    /// Events acknowledged once more under their first index.
    pub repeated: u64,
    /// Events refused.
    pub refused: u64,
    /// Refused events by the first rule they broke.
    pub refused_by_rule: BTreeMap<String, u64>,
    /// Batches by how long they waited to be durable; the classes end at [`WAIT_BOUNDS_US`], the last has no end.
    pub waits: Vec<u64>,
    /// Microseconds that batches waited, together.
    pub waited_us: u64,
    /// Batches that could not be stored.
    pub failed_batches: u64,
    /// Admitted events that other processes offered.
    pub outside: u64,
    /// Events with an index, durable or not.
    pub size: u64,
    /// Durable events.
    pub durable: u64,
    /// Events under the newest checkpoint.
    pub published: u64,
    /// Events that producers of rings lost, by their own count.
    pub lost: u64,
}
