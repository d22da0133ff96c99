//! Instants as RFC 3339 text in UTC with nanoseconds. Fixed width, so that text order is time order.

use std::fmt;
use std::str::FromStr;

/// An instant, `2026-11-20T08:30:45.123456789Z`: always UTC, always nine digits of fraction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp([u8; 30]);

impl Timestamp {
    /// From seconds since 1970-01-01T00:00:00Z and nanoseconds within the second; nothing outside the years
    /// 0000 to 9999, which is all that RFC 3339 can write.
    #[must_use]
    pub fn from_unix(seconds: i64, nanos: u32) -> Option<Self> {
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days)?;
        if nanos > 999_999_999 {
            return None;
        }
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let put = |text: &mut [u8; 30], from: usize, width: usize, mut value: u32| {
            for digit in text[from..from + width].iter_mut().rev() {
                *digit = b'0' + u8::try_from(value % 10).unwrap_or(0); // always below ten
                value /= 10;
            }
        };
        let second = u32::try_from(second).ok()?;
        for (from, width, value) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, second / 3600),
            (14, 2, second / 60 % 60),
            (17, 2, second % 60),
            (20, 9, nanos),
        ] {
            put(&mut text, from, width, value);
        }
        Some(Self(text))
    }

    /// Reads RFC 3339 in UTC (`Z`) with a fraction of up to nine digits. No leap second: what follows counts
    /// in POSIX seconds.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WHOLE: &[u8; 19] = b"0000-00-00T00:00:00";
        const SHAPE: &str = "must be RFC 3339 in UTC, as 2026-11-20T08:30:45.123456789Z";
        let bytes = text.as_bytes();
        if bytes.len() < 20 || bytes.len() > 30 || !bytes.is_ascii() {
            return Err(SHAPE);
        }
        let mut out = *b"0000-00-00T00:00:00.000000000Z";
        let Some((whole, rest)) = bytes.split_first_chunk::<19>() else { return Err(SHAPE) };
        // Without a branch for each: most are right, and then all have to be looked at anyway.
        let wrong = whole.iter().zip(WHOLE).fold(false, |wrong, (&byte, &shape)| {
            wrong | if shape == b'0' { !byte.is_ascii_digit() } else { byte != shape }
        });
        if wrong {
            return Err(SHAPE);
        }
        out[..19].copy_from_slice(whole);
        match rest {
            [b'Z'] => {}
            [b'.', fraction @ .., b'Z']
                if !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit) =>
            {
                out[20..20 + fraction.len()].copy_from_slice(fraction);
            }
            _ => return Err(SHAPE),
        }
        let number =
            |from: usize, to: usize| whole[from..to].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
        let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return Err("names a day that the calendar does not have");
        }
        if number(11, 13) > 23 || number(14, 16) > 59 || number(17, 19) > 59 {
            return Err("names a time of day that does not exist");
        }
        Ok(Self(out))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 30] {
        &self.0
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default() // ASCII by construction
    }
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Proleptic Gregorian date of a day counted from 1970-01-01: count eras of 400 years from 0000-03-01, so that
/// the leap day ends a year.
fn civil_from_days(days: i64) -> Option<(u32, u32, u32)> {
    const DAYS_PER_ERA: i64 = 146_097;
    let shifted = days.checked_add(719_468)?; // 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (shifted.div_euclid(DAYS_PER_ERA), shifted.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        return None;
    }
    Some((u32::try_from(year).ok()?, u32::try_from(month).ok()?, u32::try_from(day).ok()?))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Timestamp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_kept_and_filled() {
        for (given, stored) in [
            ("2026-11-20T08:30:45Z", "2026-11-20T08:30:45.000000000Z"),
            ("2026-11-20T08:30:45.5Z", "2026-11-20T08:30:45.500000000Z"),
            ("2024-02-29T23:59:59.123456789Z", "2024-02-29T23:59:59.123456789Z"),
        ] {
            assert_eq!(Timestamp::parse(given).unwrap().as_str(), stored);
        }
    }

    #[test]
    fn what_is_not_utc_or_not_a_time_is_refused() {
        for text in [
            "2026-11-20T08:30:45+00:00",
            "2026-11-20 08:30:45Z",
            "2026-11-20T08:30:45.Z",
            "2026-11-20T08:30:45.1234567890Z",
            "2026-02-29T08:30:45Z",
            "2026-00-01T08:30:45Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T08:30:60Z",
            "2026-11-20t08:30:45z",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    /// Expected values from `date -u -d @N +%FT%TZ`.
    #[test]
    fn unix_seconds_become_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000000007Z"),
            (1_763_627_445, "2025-11-20T08:30:45.000000007Z"),
            (-1, "1969-12-31T23:59:59.000000007Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000000007Z"),
        ] {
            assert_eq!(Timestamp::from_unix(seconds, 7).unwrap().as_str(), text);
        }
        assert_eq!(Timestamp::from_unix(253_402_300_800, 0), None);
    }
}
