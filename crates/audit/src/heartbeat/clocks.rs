//! What three clocks tell when they are read again: that the wall clock was set, that the machine slept, that this
//! process did not run.
//!
//! Linux counts `CLOCK_MONOTONIC` without and `CLOCK_BOOTTIME` with the time a machine sleeps (clock_gettime(2));
//! nobody sets either. Pure: readings in, findings out.

use std::time::Duration;

/// One look at the clocks, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// `CLOCK_REALTIME`, since 1970.
    pub wall: i64,
    /// `CLOCK_BOOTTIME`
    pub boot: i64,
    /// `CLOCK_MONOTONIC`
    pub mono: i64,
}

/// What is not as it should be between two readings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The wall clock was set: forwards, or with a negative number backwards.
    Step {
        /// By so many milliseconds.
        by: i64,
    },
    /// The machine slept.
    Suspended {
        /// So many milliseconds.
        for_ms: i64,
    },
    /// This process did not run: stopped, or starved of processor time.
    Stalled {
        /// So many milliseconds longer than planned.
        for_ms: i64,
    },
}

/// What is still taken for normal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tolerance {
    /// A wall clock that is off by less was not set but steered.
    pub step: Duration,
    /// A process that runs later by less was merely busy.
    pub stall: Duration,
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What happened between two readings that were meant to be `planned` apart.
#[must_use]
pub fn compare(before: Reading, now: Reading, planned: Duration, tolerance: Tolerance) -> Vec<Finding> {
    let (wall, boot, mono) = (now.wall - before.wall, now.boot - before.boot, now.mono - before.mono);
    let mut findings = Vec::new();
    let asleep = boot - mono;
    if asleep >= ms(tolerance.stall) {
        findings.push(Finding::Suspended { for_ms: asleep });
    }
    let late = mono - ms(planned);
    if late >= ms(tolerance.stall) {
        findings.push(Finding::Stalled { for_ms: late });
    }
    let by = wall - boot;
    if by.abs() >= ms(tolerance.step) {
        findings.push(Finding::Step { by });
    }
    findings
}

impl Reading {
    /// The clocks now.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let wall = since.map_or_else(|before| -ms(before.duration()), ms);
        let (boot, mono) =
            (boot_ms(), i64::try_from(crate::clock::monotonic_us() / 1000).unwrap_or(i64::MAX));
        Self { wall, boot, mono }
    }
}

#[cfg(target_os = "linux")]
fn boot_ms() -> i64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| ms(Duration::from(time)))
}

/// Elsewhere the monotonic clock stands in: sleep is then seen as a step of the wall clock.
#[cfg(not(target_os = "linux"))]
fn boot_ms() -> i64 {
    i64::try_from(crate::clock::monotonic_us() / 1000).unwrap_or(i64::MAX)
}

/// Names this run of the machine; nothing where the system does not.
#[must_use]
pub(crate) fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TOLERANCE: Tolerance =
        Tolerance { step: Duration::from_millis(500), stall: Duration::from_secs(5) };

    fn after(wall: i64, boot: i64, mono: i64) -> Vec<Finding> {
        let before = Reading { wall: 1_000_000, boot: 7000, mono: 3000 };
        let now = Reading { wall: 1_000_000 + wall, boot: 7000 + boot, mono: 3000 + mono };
        compare(before, now, SECOND, TOLERANCE)
    }

    #[test]
    fn each_cause_is_told_from_the_others() {
        assert_eq!(after(1003, 1000, 1000), []);
        assert_eq!(after(1499, 1000, 1000), [], "steered");
        assert_eq!(after(3_601_000, 1000, 1000), [Finding::Step { by: 3_600_000 }]);
        assert_eq!(after(-599_000, 1000, 1000), [Finding::Step { by: -600_000 }]);
        assert_eq!(after(61_000, 61_000, 1000), [Finding::Suspended { for_ms: 60_000 }]);
        assert_eq!(after(9000, 9000, 9000), [Finding::Stalled { for_ms: 8000 }]);
        assert_eq!(after(5999, 5999, 5999), [], "busy");
        let all = after(80_000, 70_000, 10_000);
        assert_eq!(
            all,
            [
                Finding::Suspended { for_ms: 60_000 },
                Finding::Stalled { for_ms: 9000 },
                Finding::Step { by: 10_000 }
            ]
        );
    }

    #[test]
    fn the_clocks_of_this_machine_run() {
        let before = Reading::now();
        std::thread::sleep(Duration::from_millis(20));
        let now = Reading::now();
        assert!(now.mono > before.mono && now.boot > before.boot && now.wall > 1_700_000_000_000);
    }
}
