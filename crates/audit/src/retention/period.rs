//! A number of days, months or years, as laws count them.

use jiff::ToSpan as _;
use jiff::civil::Date;

/// Nobody keeps anything for longer; it keeps dates within the calendar.
const LONGEST: i16 = 1_000;

/// A period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Period {
    /// Days.
    Days(i16),
    /// Calendar months: half a year is 181 to 184 days.
    Months(i16),
    /// Calendar years.
    Years(i16),
}

impl Period {
    /// Reads `6 months`, `1 year`, `90 days`.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = || format!("`{text}` is not a period, as `6 months`, `90 days` or `10 years`");
        let (number, unit) = text.split_once(' ').ok_or_else(shape)?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(shape());
        }
        let number: i16 = number.parse().map_err(|_| shape())?;
        let period = match unit {
            "day" | "days" => Self::Days(number),
            "month" | "months" => Self::Months(number),
            "year" | "years" => Self::Years(number),
            _ => return Err(shape()),
        };
        let most = match period {
            Self::Days(_) => i16::MAX,
            Self::Months(_) => 12 * LONGEST,
            Self::Years(_) => LONGEST,
        };
        if number == 0 || number > most {
            return Err(format!("`{text}` is not between a day and {LONGEST} years"));
        }
        Ok(period)
    }

    /// The day on which the period ends that begins on `day`: the same day of the month, or the month's last day where
    /// it has no such day. Beyond the calendar, its last day.
    #[must_use]
    pub fn end(self, day: Date) -> Date {
        let span = match self {
            Self::Days(n) => n.days(),
            Self::Months(n) => n.months(),
            Self::Years(n) => n.years(),
        };
        day.checked_add(span).unwrap_or(Date::MAX)
    }

    /// The first day that the period does not cover.
    #[must_use]
    pub fn first_day_after(self, day: Date) -> Date {
        self.end(day).tomorrow().unwrap_or(Date::MAX)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (n, unit) = match self {
            Self::Days(n) => (n, "day"),
            Self::Months(n) => (n, "month"),
            Self::Years(n) => (n, "year"),
        };
        write!(f, "{n} {unit}{}", if *n == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        for (period, from, end) in [
            ("6 months", "2026-08-31", "2027-02-28"),
            ("6 months", "2027-08-31", "2028-02-29"),
            ("6 months", "2026-01-01", "2026-07-01"),
            ("6 months", "2026-03-31", "2026-09-30"),
            ("12 months", "2028-02-29", "2029-02-28"),
            ("1 year", "2028-02-29", "2029-02-28"),
            ("1 month", "2026-01-31", "2026-02-28"),
            ("1 month", "2028-01-30", "2028-02-29"),
            ("180 days", "2026-01-01", "2026-06-30"),
            ("1000 years", "9500-01-01", "9999-12-31"),
        ] {
            let period = Period::parse(period).unwrap();
            assert_eq!(period.end(from.parse().unwrap()).to_string(), end, "{period} from {from}");
        }
    }

    /// Six calendar months are never fewer than 181 days, nor more than 184.
    #[test]
    fn half_a_year_has_181_to_184_days() {
        let mut day: Date = "2026-01-01".parse().unwrap();
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..4 * 366 {
            let end = Period::Months(6).end(day);
            lengths.insert(day.until(end).unwrap().get_days());
            assert!(end.tomorrow().unwrap() == Period::Months(6).first_day_after(day));
            day = day.tomorrow().unwrap();
        }
        // From the last days of August, February ends it sooner: such a month has no such day.
        assert!(lengths.first() >= Some(&181) && lengths.last() == Some(&184), "{lengths:?}");
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in [
            "",
            "6",
            "months",
            "6months",
            "6  months",
            "-1 days",
            "0 days",
            "6 moons",
            "9999 years",
            "+6 days",
        ] {
            assert!(Period::parse(text).is_err(), "{text}");
        }
        for text in ["1 day", "6 months", "10 years"] {
            assert_eq!(Period::parse(text).unwrap().to_string(), text);
        }
    }
}
