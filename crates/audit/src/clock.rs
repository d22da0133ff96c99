//! The clock and the randomness that the pure crates below do not have.

use std::time::{SystemTime, UNIX_EPOCH};

use event::{Event, EventId, Fact, Timestamp};

use crate::AuditError;

/// Gives a fact its id and its time.
pub(crate) fn stamp(fact: Fact) -> Result<Event<'static>, AuditError> {
    let mut random = [0u8; 10];
    getrandom::fill(&mut random).map_err(|e| AuditError::Randomness { why: e.to_string() })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(now.as_secs()).unwrap_or_default();
    let ms = u64::try_from(now.as_millis()).unwrap_or_default();
    Ok(fact.at(EventId::v7(ms, random), timestamp(seconds, now.subsec_nanos())))
}

/// A fact as it is offered: with its id and its time, from now on the same event however often it is offered.
///
/// # Errors
/// [`AuditError::Randomness`] when the system has none for the id.
pub fn document(fact: Fact) -> Result<Vec<u8>, AuditError> {
    stamp(fact).map(|event| event.canonical())
}

/// Facts as they are offered.
pub(crate) fn documents(facts: Vec<Fact>) -> Result<Vec<Vec<u8>>, AuditError> {
    facts.into_iter().map(|fact| stamp(fact).map(|event| event.canonical())).collect()
}

fn timestamp(seconds: i64, nanos: u32) -> Timestamp {
    Timestamp::from_unix(seconds, nanos)
        .or_else(|| Timestamp::from_unix(0, 0))
        .expect("1970 is a year that RFC 3339 can write")
}

/// Now, for what does not need an id.
#[must_use]
pub fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    timestamp(i64::try_from(now.as_secs()).unwrap_or_default(), now.subsec_nanos())
}

/// The calendar month now, in UTC: year times one hundred and month.
pub(crate) fn month() -> u32 {
    let now = now();
    let digits = now.as_str().bytes().take(7).filter(u8::is_ascii_digit);
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// What this machine is called, for people; `unknown` where it is not.
pub(crate) fn host() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_kernel.or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(255).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// Microseconds of the clock that nobody sets (`CLOCK_MONOTONIC`).
#[must_use]
pub fn monotonic_us() -> u64 {
    #[cfg(unix)]
    {
        use nix::time::{ClockId, clock_gettime};
        clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map(|time| std::time::Duration::from(time).as_micros())
            .ok()
            .and_then(|us| u64::try_from(us).ok())
            .unwrap_or_default()
    }
    #[cfg(not(unix))]
    {
        0
    }
}
