//! Times of certificates and timestamps: seconds since 1970-01-01T00:00:00Z, without leap seconds.

use std::fmt;

use crate::der::{Value, tag, value};
use crate::error::PkixError;

/// A moment, to the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(pub i64);

impl Time {
    /// Reads `Time` (RFC 5280 §4.1.2.5): UTCTime with seconds and `Z`, its years 1950 to 2049, or GeneralizedTime.
    /// A fraction of GeneralizedTime (RFC 3161 §2.4.2) is read and dropped.
    ///
    /// # Errors
    /// When it is neither.
    pub fn from_value(value: Value<'_>) -> Result<Self, PkixError> {
        let text = value.body.strip_suffix(b"Z").ok_or_else(|| bad("it is not UTC with a Z"))?;
        match (value.tag, text.len()) {
            (tag::UTC_TIME, 12) => {
                let year = two(text, 0)?;
                Self::civil(if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
            }
            (tag::GENERALIZED_TIME, 14..) => {
                let fraction = &text[14..];
                let fits = fraction.is_empty()
                    || fraction.len() > 1
                        && fraction[0] == b'.'
                        && fraction[1..].iter().all(u8::is_ascii_digit);
                if !fits {
                    return Err(bad("its fraction is not one"));
                }
                Self::civil(two(text, 0)? * 100 + two(text, 2)?, &text[4..14])
            }
            _ => Err(bad("it is neither UTCTime nor GeneralizedTime with seconds")),
        }
    }

    /// `MMDDhhmmss` of a year.
    fn civil(year: i64, rest: &[u8]) -> Result<Self, PkixError> {
        let (month, day) = (two(rest, 0)?, two(rest, 2)?);
        let (hour, minute, second) = (two(rest, 4)?, two(rest, 6)?, two(rest, 8)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return Err(bad("there is no such moment"));
        }
        Ok(Self(days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second))
    }

    /// Year, month, day, hour, minute, second.
    fn parts(self) -> (i64, i64, i64, i64, i64, i64) {
        let (days, seconds) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        // The inverse of `days_before`: years of 365.2425 days from March on.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let (month, day) = (if mp < 10 { mp + 3 } else { mp - 9 }, doy - (153 * mp + 2) / 5 + 1);
        let year = yoe + era * 400 + i64::from(month <= 2);
        (year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5652 §11.3).
    #[must_use]
    pub fn to_der(self) -> Vec<u8> {
        let (year, month, day, hour, minute, second) = self.parts();
        let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
        match (1950..2050).contains(&year) {
            true => value(tag::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes()),
            false => value(tag::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes()),
        }
    }
}

impl fmt::Display for Time {
    /// RFC 3339, as `2026-11-20T08:30:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar: March is the first month, so that the leap
/// day is the last of its year.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn two(text: &[u8], at: usize) -> Result<i64, PkixError> {
    match text.get(at..at + 2) {
        Some([a @ b'0'..=b'9', b @ b'0'..=b'9']) => Ok(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => Err(bad("it is not made of digits")),
    }
}

fn bad(why: &str) -> PkixError {
    PkixError::malformed("time", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: u8, text: &str) -> Result<Time, PkixError> {
        let bytes = value(tag, text.as_bytes());
        Time::from_value(Value::parse(&bytes).unwrap())
    }

    #[test]
    fn both_forms_name_the_same_moment() {
        // `date -u -d 2026-11-20T08:30:45Z +%s`
        assert_eq!(read(tag::UTC_TIME, "261120083045Z"), Ok(Time(1_795_163_445)));
        assert_eq!(read(tag::GENERALIZED_TIME, "20261120083045.125Z"), Ok(Time(1_795_163_445)));
        assert_eq!(read(tag::UTC_TIME, "500101000000Z").unwrap().to_string(), "1950-01-01T00:00:00Z");
        for (seconds, text) in [(951_782_400, "2000-02-29T00:00:00Z"), (-1, "1969-12-31T23:59:59Z")] {
            assert_eq!(Time(seconds).to_string(), text);
            let der = Time(seconds).to_der();
            assert_eq!(Time::from_value(Value::parse(&der).unwrap()), Ok(Time(seconds)));
        }
        let late = Time(2_600_000_000);
        assert_eq!(Time::from_value(Value::parse(&late.to_der()).unwrap()), Ok(late));
    }

    #[test]
    fn moments_that_do_not_exist_are_refused() {
        for text in [
            "250229000000Z",
            "251301000000Z",
            "2511010000Z",
            "251101000000+0100",
            "251101006000Z",
            "25110100000xZ",
        ] {
            assert!(read(tag::UTC_TIME, text).is_err(), "{text}");
        }
        assert!(read(tag::GENERALIZED_TIME, "20261120083045.Z").is_err());
    }
}
