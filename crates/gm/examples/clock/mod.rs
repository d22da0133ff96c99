//! Time of the processor where the system tells it, so that other work on the machine does not count.

use std::time::Duration;

/// What this thread has had of a processor: the first field of `/proc/thread-self/schedstat`, in nanoseconds
/// (Documentation/scheduler/sched-stats.rst). Elsewhere the time on the clock.
pub(crate) fn now() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = spent.as_deref().and_then(|line| line.split(' ').next()).and_then(|n| n.parse().ok());
    nanoseconds.map_or_else(
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default(),
        Duration::from_nanos,
    )
}
