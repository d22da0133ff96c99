//! Reads entries out of a plain segment, from any of its bundles on.

use super::Mark;
use super::record::{FIRST_RECORD, RECORD_HEADER, stored_length};
use crate::error::{IoContext as _, LedgerError};
use crate::storage::Storage;

/// Bytes that are read at a time: a bundle of usual entries.
const WINDOW: usize = 128 << 10;

/// A file read in pieces.
struct Window<'a> {
    storage: &'a dyn Storage,
    path: &'a str,
    from: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The bytes at a place; `None` when the file ends before.
    fn at(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>, LedgerError> {
        let held = |from: u64, bytes: &[u8]| {
            let start = usize::try_from(offset.checked_sub(from)?).ok()?;
            bytes.get(start..start.checked_add(length)?).map(|_| start)
        };
        if held(self.from, &self.bytes).is_none() {
            let bytes =
                self.storage.read_at(self.path, offset, length.max(WINDOW)).attempt("read", self.path)?;
            (self.from, self.bytes) = (offset, bytes);
        }
        Ok(held(self.from, &self.bytes).map(|start| &self.bytes[start..start + length]))
    }
}

/// Where reading begins.
pub(crate) struct Start {
    /// Index of the entry at `mark`.
    pub(crate) index: u64,
    /// Its place; the first record's first entry when absent.
    pub(crate) mark: Option<Mark>,
}

/// Gives the entries from `start` on to `sink`, until it answers `false` or `end` is reached.
pub(crate) fn read(
    storage: &dyn Storage,
    path: &str,
    start: Start,
    end: u64,
    sink: &mut dyn FnMut(u64, &[u8]) -> bool,
) -> Result<(), LedgerError> {
    let mark = start.mark.unwrap_or(Mark { record: u32::try_from(FIRST_RECORD).unwrap_or(0), at: 0 });
    let (mut record, mut at, mut index) = (u64::from(mark.record), mark.at as usize, start.index);
    let mut window = Window { storage, path, from: 0, bytes: Vec::new() };
    while index < end {
        let (here, reached) = (record, index);
        let cut =
            || crate::read::damaged(path, format!("the record of entry {reached} at byte {here} is cut off"));
        let header = window.at(record, RECORD_HEADER)?.ok_or_else(cut)?;
        let length = header[4..8].try_into().map(u32::from_le_bytes).unwrap_or(0) as usize;
        if !header.starts_with(b"CWR1") {
            return Err(cut());
        }
        let payload = record + RECORD_HEADER as u64;
        while at < length && index < end {
            let prefix = window.at(payload + at as u64, 2)?.ok_or_else(cut)?;
            let size = usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
            if at + 2 + size > length {
                return Err(cut());
            }
            let entry = window.at(payload + at as u64 + 2, size)?.ok_or_else(cut)?;
            if !sink(index, entry) {
                return Ok(());
            }
            (at, index) = (at + 2 + size, index + 1);
        }
        (record, at) = (record + stored_length(length) as u64, 0);
    }
    Ok(())
}
