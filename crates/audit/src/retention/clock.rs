//! What time it is, as far as the ledger can vouch for it.
//!
//! The owner stamps its own events (`LEDGER.…`), which no caller can record. Their greatest time so far is a mark that
//! never moves back: what was recorded before a stamp is no younger than the mark there says, so a clock that was set
//! back keeps things longer, never shorter. A clock that was set forward is doubted: where the mark, or this machine's
//! clock now, moves on by more than a step, time stands still at the mark before until someone confirms it
//! (`LEDGER.CLOCK.CONFIRMED`).

use event::Timestamp;
use jiff::civil::Date;

use super::{Period, day};

/// The action by which a doubted clock is confirmed.
pub(crate) const CONFIRMED: &str = "LEDGER.CLOCK.CONFIRMED";

/// Time moved on further than it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// Index of the first event after it; nothing when this machine's clock is ahead of the ledger now.
    pub index: Option<u64>,
    /// The mark before.
    pub from: Timestamp,
    /// The time after.
    pub to: Timestamp,
}

/// The ledger's own stamps, in order.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Index and greatest time so far.
    marks: Vec<(u64, Timestamp)>,
    doubt: Option<Doubt>,
}

impl Clock {
    /// From the owner's own events (index, time, whether it confirms) in order, this machine's time, and the step.
    pub(crate) fn of(
        stamps: impl Iterator<Item = (u64, Timestamp, bool)>,
        now: Timestamp,
        step: Period,
    ) -> Self {
        let mut clock = Self::default();
        for (index, ts, confirms) in stamps {
            clock.advance(Some(index), ts, step);
            if confirms {
                clock.doubt = None;
            }
        }
        clock.advance(None, now, step);
        clock
    }

    fn advance(&mut self, index: Option<u64>, ts: Timestamp, step: Period) {
        let mark = self.marks.last().map_or(ts, |(_, mark)| *mark);
        if self.doubt.is_none() && day(ts) > step.first_day_after(day(mark)) {
            self.doubt = Some(Doubt { index, from: mark, to: ts });
        }
        if let Some(index) = index {
            self.marks.push((index, mark.max(ts)));
        }
    }

    /// Where time moved on further than it should and nobody confirmed it.
    #[must_use]
    pub fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// Today, for deciding what may go: `now`, unless the clock is doubted.
    #[must_use]
    pub fn today(&self, now: Timestamp) -> Date {
        self.doubt.as_ref().map_or(day(now), |doubt| day(doubt.from).min(day(now)))
    }

    /// When the event at `index` was recorded, at the latest: the first mark at or behind it. Nothing when it is younger
    /// than every mark.
    #[must_use]
    pub fn recorded(&self, index: u64) -> Option<Timestamp> {
        let at = self.marks.partition_point(|(marked, _)| *marked < index);
        self.marks.get(at).map(|(_, mark)| *mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(&format!("{text}T00:00:00Z")).unwrap()
    }

    fn clock(stamps: &[(u64, &str, bool)], now: &str) -> Clock {
        let stamps = stamps.iter().map(|(index, ts, confirms)| (*index, at(ts), *confirms));
        Clock::of(stamps, at(now), Period::Days(7))
    }

    #[test]
    fn a_clock_set_back_makes_nothing_older() {
        let clock = clock(
            &[(0, "2026-01-01", false), (10, "2020-01-01", false), (20, "2026-01-03", false)],
            "2020-01-02",
        );
        assert_eq!(clock.recorded(5), Some(at("2026-01-01")));
        assert_eq!(clock.recorded(15), Some(at("2026-01-03")));
        assert_eq!(clock.recorded(21), None);
        assert_eq!(clock.today(at("2020-01-02")).to_string(), "2020-01-02");
        assert_eq!(clock.doubt(), None);
    }

    #[test]
    fn a_clock_set_forward_is_doubted_until_confirmed() {
        let forward = [(0, "2026-01-01", false), (1, "2026-01-05", false), (2, "2029-01-01", false)];
        let doubted = clock(&forward, "2029-01-02");
        assert_eq!(doubted.doubt().unwrap().index, Some(2));
        assert_eq!(doubted.today(at("2029-01-02")).to_string(), "2026-01-05");
        let mut confirmed = forward.to_vec();
        confirmed.push((3, "2029-01-02", true));
        assert_eq!(clock(&confirmed, "2029-01-02").today(at("2029-01-02")).to_string(), "2029-01-02");
        // A confirmation covers what is before it only.
        confirmed.push((4, "2033-01-01", false));
        assert_eq!(clock(&confirmed, "2033-01-01").today(at("2033-01-01")).to_string(), "2029-01-02");
        // The ledger was not open for long: doubted all the same, before it has a stamp of its own.
        assert_eq!(clock(&forward[..2], "2026-01-14").doubt().unwrap().index, None);
        assert_eq!(clock(&forward[..2], "2026-01-13").doubt(), None);
        assert_eq!(clock(&[], "2026-01-13").doubt(), None);
    }
}
