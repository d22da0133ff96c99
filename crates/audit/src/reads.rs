//! What the owner answers from its ledger.

use std::time::Duration;

use event::EventId;

use crate::AuditError;
use crate::owner::Owner;
use crate::proof::{Proof, Selector, Status};
use crate::query::{Conditions, Filter, Found};

/// Entries that are read at a time when the ledger is read backwards: one bundle.
const STRIDE: u64 = 256;
/// How often a follower looks whether anyone still listens.
const LOOK_UP: Duration = Duration::from_millis(200);

/// Takes what is found; an error ends the search.
pub(crate) type Sink<'s> = dyn FnMut(Found) -> Result<(), AuditError> + 's;

impl Owner {
    pub(crate) fn status(&self) -> Status {
        let checkpoint = self.log.latest_checkpoint();
        let (origin, published) = (checkpoint.checkpoint.origin.clone(), checkpoint.size());
        Status { origin, durable: self.log.durable_size(), published }
    }

    /// Puts everything durable under a checkpoint; the signed note.
    pub(crate) fn checkpoint(&self) -> Result<String, AuditError> {
        Ok(self.log.publish()?.note.clone())
    }

    pub(crate) fn prove(&self, selector: &Selector) -> Result<Proof, AuditError> {
        let index = match selector {
            Selector::Index(index) if *index < self.log.durable_size() => *index,
            Selector::Index(index) => return Err(AuditError::NotFound { what: format!("at index {index}") }),
            Selector::Id(id) => self.index_of(id)?,
        };
        let stored = self.log.read(index)?;
        let proof = self.log.prove(index)?.to_string();
        Ok(Proof { index, event: String::from_utf8_lossy(&stored).into_owned(), proof })
    }

    fn index_of(&self, id: &str) -> Result<u64, AuditError> {
        if EventId::parse(id).is_none() {
            let value = id.chars().take(80).collect();
            return Err(AuditError::Request { what: "id", value, why: "is not a UUID of version 4 or 7" });
        }
        let filter = Filter { id: Some(id.to_owned()), limit: Some(1), reverse: true, ..Filter::default() };
        let mut index = None;
        self.query(&filter, &mut |found| {
            index = Some(found.index);
            Ok(())
        })?;
        index.ok_or_else(|| AuditError::NotFound { what: format!("with id {id}") })
    }

    /// That the ledger, published now, extends what it was at `old` events.
    pub(crate) fn prove_consistency(&self, old: u64) -> Result<String, AuditError> {
        self.log.publish()?;
        Ok(self.log.prove_consistency(old)?.to_string())
    }

    /// What is durable now and meets the filter, in order.
    pub(crate) fn query(&self, filter: &Filter, sink: &mut Sink<'_>) -> Result<(), AuditError> {
        let conditions = filter.conditions()?;
        let durable = self.log.durable_size();
        let (start, mut end) = (filter.from.unwrap_or(0), filter.to.unwrap_or(durable).min(durable));
        let mut left = filter.limit.unwrap_or(u64::MAX);
        if !filter.reverse {
            return self.scan(&conditions, start..end, &mut left, sink);
        }
        while end > start && left > 0 {
            let from = start.max((end - 1) / STRIDE * STRIDE);
            let mut chunk = Vec::new();
            self.scan(&conditions, from..end, &mut u64::MAX.clone(), &mut |found| {
                chunk.push(found);
                Ok(())
            })?;
            for found in chunk.into_iter().rev().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                left -= 1;
                sink(found)?;
            }
            end = from;
        }
        Ok(())
    }

    fn scan(
        &self,
        conditions: &Conditions,
        range: std::ops::Range<u64>,
        left: &mut u64,
        sink: &mut Sink<'_>,
    ) -> Result<(), AuditError> {
        let start = range.start;
        for (entry, index) in self.log.entries(range).zip(start..) {
            if *left == 0 {
                break;
            }
            let stored = entry?;
            if conditions.hold(&stored) {
                *left -= 1;
                sink(Found { index, stored })?;
            }
        }
        Ok(())
    }

    /// As [`Owner::query`], and then what comes, while `wanted`. `idle` is called when there is nothing more now.
    pub(crate) fn follow(
        &self,
        filter: &Filter,
        wanted: &dyn Fn() -> bool,
        sink: &mut Sink<'_>,
        idle: &mut dyn FnMut() -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let conditions = filter.conditions()?;
        let mut end = self.log.durable_size();
        let mut seen = filter.from.unwrap_or(end).min(end);
        let mut left = filter.limit.unwrap_or(u64::MAX);
        while wanted() && left > 0 {
            if seen < end {
                self.scan(&conditions, seen..end, &mut left, sink)?;
                seen = end;
            }
            idle()?;
            end = self.log.wait_durable(seen, LOOK_UP)?;
        }
        Ok(())
    }
}
