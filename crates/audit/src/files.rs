//! The ledger as its files show it: without the lock, without the owner, without writing. Only what is under a
//! checkpoint is seen.

use std::ops::Range;
use std::path::Path;

use crate::query::{Filter, Sink, Source, search};
use crate::retention::{Rolled, Rolling, roll};
use crate::{AuditError, LogKeys, Proof, Selector};

/// How often a follower looks for a newer checkpoint.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(200);

/// A home's published files.
pub struct Files {
    reader: ledger::Reader,
    /// Events under the checkpoint when this was opened.
    pub size: u64,
}

impl Files {
    /// Opens the newest checkpoint, which must be signed by the home's log key.
    ///
    /// # Errors
    /// When it cannot be read, or is not this log's.
    pub fn open(home: &Path) -> Result<Self, AuditError> {
        let reader = ledger::Reader::open(home, &LogKeys::of(home).verifier()?)?;
        let size = reader.checkpoint().size();
        Ok(Self { reader, size })
    }

    /// The checkpoint, as it is published.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.reader.checkpoint().note
    }

    /// As [`crate::Session::query`], over what is under the checkpoint.
    ///
    /// # Errors
    /// As there.
    pub fn query(&self, filter: &Filter, sink: &mut Sink<'_>) -> Result<(), AuditError> {
        search(self, None, filter, sink)
    }

    /// As [`crate::Session::prove`], under the checkpoint that is there. Nothing is recorded.
    ///
    /// # Errors
    /// As there; an event that the checkpoint does not cover yet is not found.
    pub fn prove(&self, selector: &Selector) -> Result<Proof, AuditError> {
        let filter = match selector {
            Selector::Index(index) => Filter { from: Some(*index), limit: Some(1), ..Filter::default() },
            Selector::Id(id) => {
                Filter { id: Some(id.clone()), limit: Some(1), reverse: true, ..Filter::default() }
            }
        };
        let mut found = None;
        self.query(&filter, &mut |event| {
            found = Some(event);
            Ok(())
        })?;
        let found = match selector {
            Selector::Index(index) => found.filter(|found| found.index == *index),
            Selector::Id(_) => found,
        };
        let found = found.ok_or_else(|| AuditError::NotFound {
            what: match selector {
                Selector::Index(index) => format!("at index {index}"),
                Selector::Id(id) => format!("with id {id}"),
            },
        })?;
        let proof = self.reader.prove(found.index)?.to_string();
        let event = String::from_utf8_lossy(&found.stored).into_owned();
        Ok(Proof { index: found.index, event, proof })
    }

    /// As [`crate::Session::prove_consistency`], of the checkpoint that is there.
    ///
    /// # Errors
    /// As there.
    pub fn prove_consistency(&self, old: u64) -> Result<String, AuditError> {
        Ok(self.reader.prove_consistency(old)?.to_string())
    }

    /// As [`crate::Session::follow_as`], by looking for a newer checkpoint several times a second. Nothing is recorded.
    ///
    /// # Errors
    /// As [`Files::query`].
    pub fn follow(
        home: &Path,
        filter: &Filter,
        lines: u64,
        wanted: &dyn Fn() -> bool,
        sink: &mut Sink<'_>,
        idle: &mut dyn FnMut() -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let mut files = Self::open(home)?;
        let newest = Filter {
            limit: Some(lines.min(filter.limit.unwrap_or(u64::MAX))),
            reverse: true,
            ..filter.clone()
        };
        let mut there = Vec::new();
        files.query(&newest, &mut |found| {
            there.push(found);
            Ok(())
        })?;
        let mut left = filter.limit.map(|limit| limit.saturating_sub(there.len() as u64));
        there.into_iter().rev().try_for_each(&mut *sink)?;
        while wanted() && left != Some(0) {
            idle()?;
            std::thread::sleep(AGAIN);
            let seen = files.size;
            files = Self::open(home)?;
            let more = Filter { from: Some(seen), limit: left, ..filter.clone() };
            files.query(&more, &mut |found| {
                left = left.map(|left| left.saturating_sub(1));
                sink(found)
            })?;
        }
        Ok(())
    }

    /// Brings a folder of plain files up to the checkpoint, rolled as the table says.
    ///
    /// # Errors
    /// When the folder is of another log, or cannot be written.
    pub fn roll(&self, folder: &Path, rolling: &Rolling) -> Result<Rolled, AuditError> {
        roll(self, &self.reader.checkpoint().checkpoint.origin, folder, rolling)
    }
}

impl Source for Files {
    fn range(&self) -> Range<u64> {
        self.reader.minimum()..self.size
    }

    fn read(&self, range: Range<u64>, each: &mut dyn FnMut(u64, Vec<u8>) -> bool) -> Result<(), AuditError> {
        self.reader.for_each(range, &mut |index, entry| each(index, entry.to_vec()))?;
        Ok(())
    }
}
