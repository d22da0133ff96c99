//! Appends groups of leaves; one write and one sync each.

use std::sync::Arc;

use super::record::{self, FIRST_RECORD, Salt};
use super::segment_path;
use crate::error::{IoContext as _, LedgerError};
use crate::storage::{Site, Storage, Stored};

/// A segment that is full, or that was found at opening.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retired {
    pub(crate) number: u64,
    /// Index after its last leaf.
    pub(crate) end: u64,
}

struct Segment {
    number: u64,
    salt: Salt,
    file: Box<dyn Stored>,
    offset: u64,
}

/// The writing end of the log. Owned by one thread.
pub(crate) struct Writer {
    storage: Arc<dyn Storage>,
    capacity: u64,
    next_number: u64,
    current: Option<Segment>,
    buffer: Vec<u8>,
}

/// How an append failed.
pub(crate) enum Failure {
    /// Nothing was written; the same leaves may be offered again.
    Clean(LedgerError),
    /// The disk's state is unknown.
    Unknown(LedgerError),
}

impl Writer {
    /// A writer that starts a segment of its own at the first append: old segments are never written again, so
    /// that what stands behind a torn record can never be taken for its continuation.
    pub(crate) fn new(storage: Arc<dyn Storage>, capacity: u64, next_number: u64) -> Self {
        Self { storage, capacity, next_number, current: None, buffer: Vec::new() }
    }

    /// Makes a group of leaves durable. The segment that became full on the way, if any, is given to `retire`.
    pub(crate) fn append(
        &mut self,
        first: u64,
        leaves: &[Vec<u8>],
        retire: &mut dyn FnMut(Retired),
    ) -> Result<(), Failure> {
        record::start(&mut self.buffer);
        for leaf in leaves {
            tlog::bundle::push(&mut self.buffer, leaf)
                .expect("the length was checked when the leaf was offered");
        }
        let length = record::stored_length(self.buffer.len() - record::RECORD_HEADER) as u64;
        if self.current.as_ref().is_some_and(|s| s.offset + length > self.capacity) {
            self.rotate(first, retire);
        }
        if self.current.is_none() {
            let begun = self.begin(length);
            self.current =
                Some(begun.map_err(|e| if e.may_pass() { Failure::Clean(e) } else { Failure::Unknown(e) })?);
        }
        let segment = self.current.as_mut().expect("a segment was begun above");
        let count = u32::try_from(leaves.len()).expect("a group has far fewer leaves");
        record::finish(&mut self.buffer, &segment.salt, first, count);
        let path = segment_path(segment.number);
        let file = &segment.file;
        file.write_at(segment.offset, &self.buffer)
            .and_then(|()| file.sync(Site::Records))
            .attempt("write a record", &path)
            .map_err(Failure::Unknown)?;
        segment.offset += self.buffer.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, end: u64, retire: &mut dyn FnMut(Retired)) {
        if let Some(full) = self.current.take() {
            retire(Retired { number: full.number, end });
        }
    }

    /// Creates the next segment: its space, its header, its name, each durable before a record is written.
    fn begin(&mut self, at_least: u64) -> Result<Segment, LedgerError> {
        let number = self.next_number;
        // A number that was tried is not used again: after a failed attempt nobody knows which of its names and
        // bytes a later sync would make durable.
        self.next_number += 1;
        let path = segment_path(number);
        let mut salt = Salt::default();
        getrandom::fill(&mut salt)
            .map_err(|e| std::io::Error::other(e.to_string()))
            .attempt("salt", &path)?;
        let capacity = self.capacity.max(FIRST_RECORD as u64 + at_least);
        let made = (|| {
            let file = self.storage.create(&path)?;
            file.allocate(capacity)?;
            file.write_at(0, &record::segment_header(number, &salt))?;
            file.sync(Site::SegmentHeader)?;
            self.storage.sync_dir(Site::SegmentName, super::DIR)?;
            Ok(file)
        })();
        match made.attempt("reserve a segment", &path) {
            Ok(file) => Ok(Segment { number, salt, file, offset: FIRST_RECORD as u64 }),
            Err(error) => {
                // No record was written; an empty segment that stays behind is harmless.
                let _ = self.storage.remove(&path);
                Err(error)
            }
        }
    }

    /// The number of the segment that is being written.
    pub(crate) fn current(&self) -> Option<u64> {
        self.current.as_ref().map(|segment| segment.number)
    }
}
