//! Appends groups of leaves; one write of whole blocks and one sync each.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::blocks::{BLOCK, Blocks};
use super::map::{Map, Segment};
use super::record::{self, FIRST_RECORD, Header, Salt};
use super::{DIR, Form, MAX_SEGMENT, segment_path};
use crate::error::{IoContext as _, LedgerError};
use crate::leaves::Leaves;
use crate::storage::{Site, Storage, Stored};

/// The segment that is being written.
pub(crate) struct Open {
    pub(crate) segment: Arc<Segment>,
    pub(crate) salt: Salt,
    pub(crate) file: Box<dyn Stored>,
    pub(crate) offset: u64,
    /// What stands before `offset` in its block.
    pub(crate) tail: Vec<u8>,
    /// Whether the file has its full length: then a sync has no length to write.
    pub(crate) reserved: bool,
}

/// The writing end of the log. Owned by one thread.
pub(crate) struct Writer {
    storage: Arc<dyn Storage>,
    map: Arc<Map>,
    capacity: u64,
    current: Option<Open>,
    blocks: Blocks,
}

/// How an append failed.
pub(crate) enum Failure {
    /// Nothing was written; the same leaves may be offered again.
    Clean(LedgerError),
    /// The disk's state is unknown.
    Unknown(LedgerError),
}

impl Failure {
    fn of(error: LedgerError) -> Self {
        if error.may_pass() { Self::Clean(error) } else { Self::Unknown(error) }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Writer {
    /// A writer that goes on with the segment that was found open, if any.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        map: Arc<Map>,
        capacity: u64,
        current: Option<Open>,
    ) -> Self {
        let capacity = capacity.clamp(FIRST_RECORD as u64 + 8, MAX_SEGMENT) / 8 * 8; // even: see `end`
        Self { storage, map, capacity, current, blocks: Blocks::default() }
    }

    /// Makes a group of leaves durable.
    pub(crate) fn append(&mut self, first: u64, leaves: &[Leaves]) -> Result<(), Failure> {
        let payload = leaves.iter().map(|leaves| leaves.payload().len()).sum();
        let size = record::stored_length(payload);
        let length = size as u64;
        if self.current.as_ref().is_some_and(|open| open.offset + length > self.capacity) {
            self.roll();
        }
        // A lone record may be longer than a segment.
        if self.current.is_none() {
            self.current = Some(self.begin(first, length).map_err(Failure::of)?);
        }
        let open = self.current.as_mut().expect("a segment was begun above");
        let count = leaves.iter().map(Leaves::count).sum();
        let record = self.blocks.begin(&open.tail, size);
        record::start_behind(record);
        leaves.iter().for_each(|leaves| record.extend_from_slice(leaves.payload()));
        let at = self.blocks.new_at();
        record::finish_slice(&mut self.blocks.bytes()[at..], &open.salt, first, count);
        let path = open.segment.path();
        if !open.reserved {
            let capacity = self.capacity.max(open.offset);
            open.file.set_length(capacity).attempt("lengthen a segment", &path).map_err(Failure::of)?;
            open.reserved = true;
        }
        let begin = open.offset - open.tail.len() as u64;
        let written = open.file.write_blocks(begin, self.blocks.whole());
        if let Err(error) = written.attempt("write a record", &path) {
            // Nothing of it was synced or acknowledged. Cut off, it is gone from what the next sync makes durable.
            let full = matches!(error, LedgerError::Full { .. });
            open.reserved = false;
            let cut = full && open.file.set_length(open.offset).is_ok();
            return Err(if cut { Failure::Clean(error) } else { Failure::Unknown(error) });
        }
        open.file.sync(Site::Records).attempt("sync a record", &path).map_err(Failure::Unknown)?;
        open.segment.grown(open.offset, first, self.blocks.new_bytes(size), count);
        open.offset += length;
        open.tail.clear();
        open.tail.extend_from_slice(self.blocks.tail(size));
        Ok(())
    }

    /// Ends the segment that is being written; the next append begins another.
    pub(crate) fn roll(&mut self) {
        // One without a record stays: the next would have its name.
        if let Some(full) = self.current.take_if(|open| open.segment.end() > open.segment.first) {
            full.segment.retire();
        }
    }

    /// Cuts the space behind the records, when the log is closed. Nothing depends on it.
    pub(crate) fn trim(&self) {
        if let Some(open) = &self.current {
            let _ = open.file.set_length(open.offset);
        }
    }

    /// Creates the next segment: its header and its name, each durable before a record is written.
    fn begin(&mut self, first: u64, at_least: u64) -> Result<Open, LedgerError> {
        let path = segment_path(first, Form::Plain);
        let mut salt = Salt::default();
        getrandom::fill(&mut salt)
            .map_err(|e| std::io::Error::other(e.to_string()))
            .attempt("salt", &path)?;
        let header = Header { first, salt, begun: now() };
        let capacity = self.capacity.max((FIRST_RECORD as u64 + at_least).next_multiple_of(8));
        let made = (|| {
            let file = self.storage.create(&path)?;
            file.set_length(capacity)?;
            file.write_at(0, &header.to_block())?;
            file.sync(Site::SegmentHeader)?;
            self.storage.sync_dir(Site::SegmentName, DIR)?;
            Ok(file)
        })();
        match made.attempt("begin a segment", &path) {
            Ok(file) => {
                let segment = Arc::new(Segment::begun(&header));
                self.map.insert(Arc::clone(&segment));
                const { assert!(FIRST_RECORD.is_multiple_of(BLOCK)) }
                Ok(Open {
                    segment,
                    salt,
                    file,
                    offset: FIRST_RECORD as u64,
                    tail: Vec::new(),
                    reserved: true,
                })
            }
            Err(error) => {
                // No record was written; an empty segment that stays behind is harmless.
                let _ = self.storage.remove(&path);
                Err(error)
            }
        }
    }
}
