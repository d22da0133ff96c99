//! The ledger as its files show it: without the lock, without the owner, without writing. Only what is under a
//! checkpoint is seen.

use std::path::Path;

use ledger::Reader;

use crate::query::{Filter, Found};
use crate::reads::Sink;
use crate::{AuditError, LogKeys};

/// Entries that are read at a time when the ledger is read backwards.
const STRIDE: u64 = 4096;

/// A home's published files.
pub struct Files {
    reader: Reader,
    /// Events under the checkpoint when this was opened.
    pub size: u64,
}

impl Files {
    /// Opens the newest checkpoint, which must be signed by the home's log key.
    ///
    /// # Errors
    /// When it cannot be read, or is not this log's.
    pub fn open(home: &Path) -> Result<Self, AuditError> {
        let reader = Reader::open(home, &LogKeys::of(home).verifier()?)?;
        let size = reader.checkpoint().size();
        Ok(Self { reader, size })
    }

    /// As [`crate::Session::query`], over what is under the checkpoint.
    ///
    /// # Errors
    /// As there.
    pub fn query(&self, filter: &Filter, sink: &mut Sink<'_>) -> Result<(), AuditError> {
        let conditions = filter.conditions()?;
        let (start, mut end) = (filter.from.unwrap_or(0), filter.to.unwrap_or(u64::MAX).min(self.size));
        let mut left = filter.limit.unwrap_or(u64::MAX);
        if !filter.reverse {
            return self.scan(start..end, &mut |index, entry| {
                if left > 0 && conditions.hold(entry) {
                    left -= 1;
                    sink(Found { index, stored: entry.to_vec() })?;
                }
                Ok(left > 0)
            });
        }
        while end > start && left > 0 {
            let from = start.max((end - 1) / STRIDE * STRIDE);
            let mut found = Vec::new();
            self.scan(from..end, &mut |index, entry| {
                if conditions.hold(entry) {
                    found.push(Found { index, stored: entry.to_vec() });
                }
                Ok(true)
            })?;
            for found in found.into_iter().rev().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                left -= 1;
                sink(found)?;
            }
            end = from;
        }
        Ok(())
    }

    /// Gives the entries of a range to `sink`, until it answers `false` or fails.
    ///
    /// # Errors
    /// When a file cannot be read; what `sink` answers.
    pub(crate) fn scan(
        &self,
        range: std::ops::Range<u64>,
        sink: &mut dyn FnMut(u64, &[u8]) -> Result<bool, AuditError>,
    ) -> Result<(), AuditError> {
        let mut failed = None;
        self.reader.for_each(range, &mut |index, entry| {
            sink(index, entry).unwrap_or_else(|error| {
                failed = Some(error);
                false
            })
        })?;
        failed.map_or(Ok(()), Err)
    }
}
