//! How long events are kept: what laws and rules ask, and when something may go.
//!
//! The longest minimum wins. A period counts from the moment the ledger recorded the event, not from the time that the
//! event gives itself, and ends with the last hour of its last day (Regulation (EEC, Euratom) No 1182/71 Art. 3(2)(c)
//! for months; the others ask no less). The file is `docs/formats/retention.md`; what a changed clock can and cannot do
//! is `docs/design/0011`.

mod apply;
mod archive;
mod clock;
mod file;
mod held;
mod keeping;
mod owner;
mod period;
mod plan;
mod regimes;
mod requests;
mod rolled;
mod rolling;
mod segments;

pub use apply::{Applied, Orders, Pruned};
pub use archive::{Archive, Closed, Folder, MARKER as ARCHIVE_MARKER};
pub use clock::{Clock, Doubt};
pub use jiff::civil::Date;
pub use keeping::{Cadence, Keeping};
pub use owner::Report;
pub use period::Period;
pub use plan::{Blocked, Plan};
pub use regimes::{Answer, Regime};
pub use requests::Open;
pub use rolled::{Rolled, reached};
pub use rolling::{Compression, Every, Pattern, Rolling};
pub use segments::Segments;

pub(crate) use clock::CONFIRMED;
pub(crate) use keeping::Turn;
pub(crate) use plan::plan;
pub(crate) use requests::{FAMILY, open_requests};
pub(crate) use rolled::roll;

use event::Timestamp;

/// Name of the file in the home.
pub const RETENTION: &str = "retention.toml";

/// Regimes and what goes with them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retention {
    /// What is asked, by law, standard and house rule.
    pub regimes: Vec<Regime>,
    /// A clock that moves on by more than this between two of the ledger's own events is doubted.
    pub step: Period,
    /// Archives that must have confirmed an event before it may go.
    pub archives: Vec<String>,
    /// Folders among them.
    pub folders: Vec<Folder>,
    /// How the ledger's own files are kept.
    pub segments: Segments,
    /// How files for people are rolled.
    pub rolling: Rolling,
}

/// Until when something must stay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Floor {
    /// The first day on which it may go.
    pub date: Date,
    /// The regime that asks for it.
    pub regime: String,
}

impl Retention {
    /// Until when an event of this action, whose subject has these kinds, must stay when it was recorded at `recorded`;
    /// nothing when no regime asks for it.
    #[must_use]
    pub fn floor(&self, action: &str, kinds: &[&str], recorded: Timestamp) -> Option<Floor> {
        let day = day(recorded);
        let asked = self.regimes.iter().filter(|regime| regime.concerns(action, kinds));
        let floors = asked.filter_map(|regime| {
            let date = regime.minimum?.first_day_after(day);
            Some(Floor { date, regime: regime.name.clone() })
        });
        floors.max_by_key(|floor| floor.date)
    }

    /// The first day on which such an event is kept too long; the shortest maximum wins, but never against a minimum.
    #[must_use]
    pub fn ceiling(&self, action: &str, kinds: &[&str], recorded: Timestamp) -> Option<Floor> {
        let day = day(recorded);
        let asked = self.regimes.iter().filter(|regime| regime.concerns(action, kinds));
        let ceilings = asked.filter_map(|regime| {
            let date = regime.maximum?.first_day_after(day);
            Some(Floor { date, regime: regime.name.clone() })
        });
        let first = ceilings.min_by_key(|ceiling| ceiling.date)?;
        let floor = self.floor(action, kinds, recorded).map_or(first.date, |floor| floor.date);
        Some(Floor { date: first.date.max(floor), ..first })
    }
}

/// The day in UTC. Timestamps lie in the years 0000 to 9999, as days do.
pub(crate) fn day(ts: Timestamp) -> Date {
    ts.as_str().get(..10).and_then(|day| day.parse().ok()).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn the_longest_minimum_wins() {
        let own =
            "version = 1\n[[regime]]\nname = \"payments\"\nactions = [\"PAYMENT.\"]\nminimum = \"10 years\"";
        let table = Retention::parse(own).unwrap();
        let recorded = at("2026-11-21T10:00:00Z");
        let floor = |act: &str| table.floor(act, &["user"], recorded).unwrap();
        assert_eq!(floor("PAYMENT.CREATED").date.to_string(), "2036-11-22");
        assert_eq!(floor("PAYMENT.CREATED").regime, "payments");
        assert_eq!(floor("AUTH.LOGIN.OK").date.to_string(), "2027-11-22");
        assert_eq!(floor("AUTH.LOGIN.OK").regime, "pci-dss-10.5.1");
        let only = Retention::parse("version = 1\nregimes = [\"gb-t-22239\"]").unwrap();
        assert_eq!(only.floor("AUTH.LOGIN.OK", &[], recorded).unwrap().date.to_string(), "2027-05-22");
        let none = Retention::parse("version = 1\nregimes = []").unwrap();
        assert_eq!(none.floor("AUTH.LOGIN.OK", &[], recorded), None);
    }

    #[test]
    fn a_maximum_never_beats_a_minimum() {
        let own =
            "version = 1\n[[regime]]\nname = \"short\"\nsubjects = [\"customer\"]\nmaximum = \"30 days\"";
        let table = Retention::parse(own).unwrap();
        let recorded = at("2026-11-21T10:00:00Z");
        let ceiling = table.ceiling("DATA.READ", &["customer"], recorded).unwrap();
        assert_eq!((ceiling.date.to_string().as_str(), ceiling.regime.as_str()), ("2027-11-22", "short"));
        assert_eq!(table.ceiling("DATA.READ", &["user"], recorded), None);
    }
}
