//! The fuse: so many differences over the threshold in a row raise an alert for a time; a while without any
//! difference steps down and clears everything.
//!
//! A difference is a change between two samples that is larger than the least change. One that does not exceed the
//! threshold is discarded, and ends the row. No clock of its own: times are milliseconds that only grow.

use super::rules::Direction;

/// When the fuse blows and when it is whole again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// A change that is not larger is none.
    pub min_change: f64,
    /// A difference that is not larger is discarded.
    pub threshold: f64,
    /// Which changes count.
    pub direction: Direction,
    /// So many in a row raise the alert.
    pub row: u32,
    /// How long a raised alert lasts, in milliseconds, when nothing renews or ends it.
    pub hold_ms: u64,
    /// After so long without a difference, in milliseconds, the alert steps down.
    pub quiet_ms: u64,
}

/// What became of the fuse.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Turn {
    /// The alert is raised.
    Raised {
        /// The last difference of the row.
        delta: f64,
        /// When, in milliseconds.
        at_ms: u64,
    },
    /// The alert ended.
    Cleared {
        /// Whether it was quiet; otherwise its time was over.
        quiet: bool,
        /// When, in milliseconds.
        at_ms: u64,
    },
}

/// The state for one stream.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Fuse {
    last: Option<f64>,
    row: u32,
    last_diff_ms: u64,
    raised_until_ms: Option<u64>,
}

impl Fuse {
    /// A fuse whose stream stood at a known value before its first sample.
    #[must_use]
    pub fn from(value: f64) -> Self {
        Self { last: Some(value), ..Self::default() }
    }

    /// Takes the next sample.
    pub fn sample(&mut self, limits: &Limits, value: f64, now_ms: u64) -> Option<Turn> {
        let delta = value - self.last.replace(value)?;
        // A NaN is no difference either.
        if delta.is_nan() || delta.abs() <= limits.min_change {
            return None;
        }
        self.last_diff_ms = now_ms;
        let counted = match limits.direction {
            Direction::Rise => delta,
            Direction::Fall => -delta,
            Direction::Either => delta.abs(),
        };
        if counted <= limits.threshold {
            self.row = 0;
            return None;
        }
        self.row += 1;
        if self.row < limits.row {
            return None;
        }
        self.row = 0;
        let already = self.raised_until_ms.replace(now_ms.saturating_add(limits.hold_ms)).is_some();
        (!already).then_some(Turn::Raised { delta, at_ms: now_ms })
    }

    /// Lets time pass.
    pub fn tick(&mut self, limits: &Limits, now_ms: u64) -> Option<Turn> {
        let quiet_at = self.last_diff_ms.saturating_add(limits.quiet_ms);
        let over_at = self.raised_until_ms.unwrap_or(u64::MAX);
        if now_ms >= over_at && over_at < quiet_at {
            self.raised_until_ms = None;
            return Some(Turn::Cleared { quiet: false, at_ms: over_at });
        }
        if now_ms >= quiet_at {
            self.row = 0;
            return self.raised_until_ms.take().map(|_| Turn::Cleared { quiet: true, at_ms: quiet_at });
        }
        None
    }

    /// Whether an alert is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised_until_ms.is_some()
    }

    /// Whether nothing is under way: no row and no alert.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.row == 0 && !self.is_raised()
    }

    /// The last sample.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.last
    }
}
