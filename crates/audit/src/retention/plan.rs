//! What may go now. The ledger loses its oldest events first and none in between (the minimum index of tlog-tiles), so
//! one that must stay keeps everything after it.

use std::collections::HashMap;

use event::{Timestamp, validate};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::held::Held;
use super::{Clock, Floor, Retention};
use crate::AuditError;
use crate::query::Source;

/// How far events may go, and why not further.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The oldest event that is there.
    pub first: u64,
    /// The oldest event that must stay: everything before it may go.
    pub keep_from: u64,
    /// Why that one must stay; nothing when all may go.
    pub blocked: Option<Blocked>,
    /// Events that are kept longer than a regime allows, and the index of the first.
    pub overdue: u64,
    /// The first of them.
    pub first_overdue: Option<u64>,
}

/// Why an event must stay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocked {
    /// The first day on which it may go, when that is known.
    pub until: Option<String>,
    /// Who or what keeps it.
    pub by: String,
}

impl Blocked {
    pub(super) fn by(by: impl Into<String>) -> Self {
        Self { until: None, by: by.into() }
    }
}

/// What bounds a plan beside the regimes.
pub(crate) struct Bounds<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) now: Timestamp,
    /// Archives with the index before which they confirmed everything.
    pub(crate) archived: &'a [(String, u64)],
    /// What keeps events beside the table.
    pub(crate) held: &'a Held,
}

/// Looks at the events from the oldest until one must stay; at all of them when a regime has a maximum.
pub(crate) fn plan(source: &dyn Source, table: &Retention, bounds: &Bounds<'_>) -> Result<Plan, AuditError> {
    let there = source.range();
    let mut plan =
        Plan { first: there.start, keep_from: there.end, blocked: None, overdue: 0, first_overdue: None };
    let today = bounds.clock.today(bounds.now);
    let mut judge = Judge { table, today, held: bounds.held, known: HashMap::new() };
    let to_the_end = table.regimes.iter().any(|regime| regime.maximum.is_some());
    source.read(there, &mut |index, stored| {
        let recorded = bounds.clock.recorded(index).unwrap_or(bounds.now);
        let (blocked, overdue) = judge.event(index, &stored, recorded);
        let unconfirmed = bounds.archived.iter().find(|(_, before)| index >= *before);
        let unconfirmed = unconfirmed.map(|(name, _)| Blocked::by(format!("archive {name}")));
        if let Some(blocked) = blocked.or(unconfirmed).filter(|_| plan.blocked.is_none()) {
            plan.keep_from = index;
            plan.blocked = Some(blocked);
        }
        if overdue {
            plan.overdue += 1;
            plan.first_overdue.get_or_insert(index);
        }
        to_the_end || plan.blocked.is_none()
    })?;
    Ok(plan)
}

/// Floor and ceiling of one sort of event of one day.
type Limits = (Option<Floor>, Option<Floor>);

/// Holds events against the table; what it has found for one sort of event on one day it keeps.
struct Judge<'a> {
    table: &'a Retention,
    today: Date,
    held: &'a Held,
    known: HashMap<(String, Vec<String>, Date), Limits>,
}

/// Sorts of events beyond this many are not kept: a caller chooses their subject kinds.
const MAX_KNOWN: usize = 4096;

impl Judge<'_> {
    /// Why the event must stay, and whether it is kept too long.
    fn event(&mut self, index: u64, stored: &[u8], recorded: Timestamp) -> (Option<Blocked>, bool) {
        let Ok(event) = validate(stored) else {
            return (Some(Blocked::by("it is no event: see `custody audit verify`")), false);
        };
        let kinds: Vec<&str> = event.sub.iter().map(|(kind, _)| kind).collect();
        let key =
            (event.act.to_string(), kinds.iter().map(|k| (*k).to_owned()).collect(), super::day(recorded));
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        let table = self.table;
        let (floor, ceiling) = self.known.entry(key).or_insert_with(|| {
            (table.floor(&event.act, &kinds, recorded), table.ceiling(&event.act, &kinds, recorded))
        });
        let overdue = ceiling.as_ref().is_some_and(|ceiling| ceiling.date <= self.today);
        let blocked = match floor.as_ref().or(ceiling.as_ref()) {
            None => Some(Blocked::by("no regime says that it may go")),
            Some(limit) if limit.date > self.today => {
                Some(Blocked { until: Some(limit.date.to_string()), by: limit.regime.clone() })
            }
            Some(_) => self.held.keeps(index, &event),
        };
        (blocked, overdue)
    }
}
