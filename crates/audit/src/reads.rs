//! What the owner answers from its ledger.

use std::ops::Range;
use std::time::Duration;

use event::EventId;
use ledger::Log;

use crate::AuditError;
use crate::owner::Owner;
use crate::proof::{Proof, Selector, Status};
use crate::query::{Conditions, Filter, Sink, Source, search_for};
use crate::redact::{tokenings, tokens_of};

/// How often a follower looks whether anyone still listens.
const LOOK_UP: Duration = Duration::from_millis(200);

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
        self.index.load(&self.log);
        let conditions = self.conditions(filter)?;
        search_for(&Durable(&self.log), Some(&*self.index), filter, &conditions, sink)
    }

    /// The conditions of a filter. What a person asks for by its value stands in the ledger as a token, where the policy
    /// wants it so; the vault can say which, until the subject is erased.
    fn conditions(&self, filter: &Filter) -> Result<Conditions, AuditError> {
        let conditions = filter.conditions()?;
        if filter.subject.is_empty() && filter.object.is_empty() {
            return Ok(conditions);
        }
        let tokenings = tokenings(&self.home, self.guard.policy())?;
        if tokenings.is_empty() {
            return Ok(conditions);
        }
        let tokens = |value: &str| {
            // Without the vault nobody knows the tokens, and what is there in plain is found all the same.
            let known = self.guard.door.with(|vault| Ok(tokens_of(vault, &tokenings, value)));
            known.ok().flatten().unwrap_or_default()
        };
        Ok(conditions.or_tokens(&tokens))
    }

    /// Lets `look` read every durable entry.
    pub(crate) fn with_durable<T>(
        &self,
        look: impl FnOnce(&dyn Source) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        look(&Durable(&self.log))
    }

    /// As [`Owner::query`], and then what comes, while `wanted`. `idle` is called when there is nothing more now.
    pub(crate) fn follow(
        &self,
        filter: &Filter,
        wanted: &dyn Fn() -> bool,
        sink: &mut Sink<'_>,
        idle: &mut dyn FnMut() -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let mut filter = filter.clone();
        filter.check()?;
        let mut end = self.log.durable_size();
        let mut seen = filter.from.unwrap_or(end).min(end);
        while wanted() && filter.limit != Some(0) {
            if seen < end {
                let part = Filter { from: Some(seen), to: Some(end), reverse: false, ..filter.clone() };
                self.query(&part, &mut |found| {
                    filter.limit = filter.limit.map(|limit| limit.saturating_sub(1));
                    sink(found)
                })?;
                seen = end;
            }
            idle()?;
            end = self.log.wait_durable(seen, LOOK_UP)?;
        }
        Ok(())
    }
}

/// The durable entries of an open log.
struct Durable<'a>(&'a Log);

impl Source for Durable<'_> {
    fn range(&self) -> Range<u64> {
        self.0.minimum()..self.0.durable_size()
    }

    fn read(&self, range: Range<u64>, each: &mut dyn FnMut(u64, Vec<u8>) -> bool) -> Result<(), AuditError> {
        self.0.for_each(range, &mut |index, entry| each(index, entry.to_vec()))?;
        Ok(())
    }
}
