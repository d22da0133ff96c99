//! Moments as text.

/// Seconds since 1970 as RFC 3339 in UTC; the number itself where a calendar has no such day.
pub(crate) fn text(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}
