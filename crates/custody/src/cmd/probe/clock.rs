//! From the kernel's monotonic clock to the time of day.

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

/// What both clocks said at one moment.
pub(super) struct Clock {
    monotonic: i64,
    now: Timestamp,
}

impl Clock {
    pub(super) fn now() -> Self {
        // The clock of `bpf_ktime_get_ns`.
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_or(0, |time| time.tv_sec().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec()));
        Self { monotonic: time, now: Timestamp::now() }
    }

    /// The time of day at `nanoseconds` of the monotonic clock.
    pub(super) fn at(&self, nanoseconds: u64) -> Timestamp {
        let apart = i64::try_from(nanoseconds).unwrap_or(i64::MAX).saturating_sub(self.monotonic);
        self.now.checked_add(SignedDuration::from_nanos(apart)).unwrap_or(self.now)
    }
}
