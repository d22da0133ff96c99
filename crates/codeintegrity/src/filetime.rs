//! `FILETIME`: units of 100 ns since 1601-01-01 (MS-DTYP §2.3.3). In policies zero means "none".

use jiff::Timestamp;

/// From 1601 to 1970.
const EPOCH: i64 = 11_644_473_600;
const UNITS: i64 = 10_000_000;

/// The text of `SignTimeAfter`, in UTC; nothing for zero and for what no calendar has.
pub(crate) fn print(time: i64) -> Option<String> {
    let nanoseconds = i32::try_from(time.rem_euclid(UNITS) * 100).ok()?;
    let moment = Timestamp::new(time.div_euclid(UNITS) - EPOCH, nanoseconds).ok()?;
    (time != 0).then(|| moment.to_string())
}

/// Reads `xsd:dateTime`. Without a zone it is taken as UTC, so that a policy compiles to the same bytes everywhere;
/// Windows' own tool takes the zone of the machine.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let moment: Timestamp = text.parse().or_else(|_| format!("{text}Z").parse()).ok()?;
    let units = i64::from(moment.subsec_nanosecond()) / 100;
    moment.as_second().checked_add(EPOCH)?.checked_mul(UNITS)?.checked_add(units)
}
