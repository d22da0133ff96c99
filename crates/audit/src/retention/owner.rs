//! The owner's part: it knows the ledger's own stamps, and it alone can confirm a clock.

use event::{Fact, Severity, Timestamp, validate};
use serde::{Deserialize, Serialize};

use super::plan::Bounds;
use super::{CONFIRMED, Clock, Doubt, FAMILY, Open, Plan, Retention, open_requests, plan};
use crate::AuditError;
use crate::clock::now;
use crate::owner::Owner;
use crate::peer::Peer;
use crate::query::Filter;

/// An archive says that it has everything before `obj.before`.
pub(crate) const ARCHIVED: &str = "LEDGER.ARCHIVED";

/// How the ledger stands to what is asked of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Today, as far as the clock is trusted.
    pub today: String,
    /// Where the clock moved on further than it should, and nobody confirmed it.
    pub doubt: Option<String>,
    /// Durable events.
    pub size: u64,
    /// What may go.
    pub plan: Plan,
    /// Archives that must confirm, and the index before which each did.
    pub archives: Vec<(String, u64)>,
    /// Requests of persons that were not answered yet.
    pub requests: Vec<Open>,
}

impl Owner {
    /// What may go and what is due. `confirm` first records, in the name of `peer`, that the clock is right.
    pub(crate) fn retention(&self, confirm: bool, peer: &Peer) -> Result<Report, AuditError> {
        let table = Retention::of(&self.home)?;
        let before = self.clock(&table, now())?;
        if let Some(doubt) = before.doubt().filter(|_| confirm) {
            for verdict in self.record_for(vec![confirmation(doubt)], peer)? {
                verdict.map_err(AuditError::Invalid)?;
            }
        }
        let now = now();
        let clock = self.clock(&table, now)?;
        let (archives, requests) = (self.archives(&table)?, self.requests(&table, &clock, now)?);
        let held = self.held(&requests)?;
        let bounds = Bounds { clock: &clock, now, archived: &archives, held: &held };
        let plan = self.with_durable(|source| plan(source, &table, &bounds))?;
        Ok(Report {
            today: clock.today(now).to_string(),
            doubt: clock.doubt().map(said),
            size: self.log.durable_size(),
            plan,
            archives,
            requests,
        })
    }

    /// The ledger's own stamps.
    pub(crate) fn clock(&self, table: &Retention, now: Timestamp) -> Result<Clock, AuditError> {
        let own = Filter { act: Some("LEDGER.".into()), ..Filter::default() };
        let mut stamps = Vec::new();
        self.query(&own, &mut |found| {
            if let Ok(event) = validate(&found.stored) {
                stamps.push((found.index, event.ts, event.act == CONFIRMED));
            }
            Ok(())
        })?;
        Ok(Clock::of(stamps.into_iter(), now, table.step))
    }

    pub(super) fn archives(&self, table: &Retention) -> Result<Vec<(String, u64)>, AuditError> {
        let mut archives: Vec<(String, u64)> = table.archives.iter().map(|name| (name.clone(), 0)).collect();
        let confirmed = Filter { act: Some(ARCHIVED.into()), ..Filter::default() };
        self.query(&confirmed, &mut |found| {
            if let Ok(event) = validate(&found.stored)
                && let Some(archive) =
                    archives.iter_mut().find(|(name, _)| event.obj.get("archive") == Some(name))
            {
                let before = event.obj.get("before").and_then(|text| text.parse().ok()).unwrap_or(0);
                archive.1 = archive.1.max(before);
            }
            Ok(())
        })?;
        Ok(archives)
    }

    fn requests(&self, table: &Retention, clock: &Clock, now: Timestamp) -> Result<Vec<Open>, AuditError> {
        let Some(answer) = table.regimes.iter().find_map(|regime| regime.answer) else {
            return Ok(Vec::new());
        };
        let family = Filter { act: Some(FAMILY.into()), ..Filter::default() };
        let mut events = Vec::new();
        self.query(&family, &mut |found| {
            if let Ok(event) = validate(&found.stored) {
                events.push((found.index, event.into_owned()));
            }
            Ok(())
        })?;
        // A deadline does not stand still while a clock is doubted.
        Ok(open_requests(&events, answer, clock, super::day(now)))
    }
}

fn said(doubt: &Doubt) -> String {
    let place = doubt.index.map_or_else(|| "now".to_owned(), |index| format!("at index {index}"));
    format!("the clock moved from {:.19}Z to {:.19}Z {place}", doubt.from.as_str(), doubt.to.as_str())
}

fn confirmation(doubt: &Doubt) -> Fact {
    Fact::new(CONFIRMED)
        .severity(Severity::Warn)
        .subject("svc", "custody")
        .object("from", doubt.from.to_string())
        .object("to", doubt.to.to_string())
}
