//! Reads a plain segment through, and tells a torn end from damage.

use super::end::{End, is_closed};
use super::record::{self, FIRST_RECORD, Header, Record};
use super::{Mark, add_marks};

/// The end of a segment that was being written when the owner died: never acknowledged, so it is dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    /// The segment, below the home.
    pub segment: String,
    /// Where the unfinished record starts.
    pub offset: u64,
    /// Index its first leaf would have had.
    pub index: u64,
}

/// What a segment holds.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) header: Header,
    /// Index after the last entry.
    pub(crate) end: u64,
    /// Where the records end.
    pub(crate) records_end: u64,
    pub(crate) marks: Vec<Mark>,
    pub(crate) rest: Rest,
}

/// What stands behind the records.
#[derive(Debug)]
pub(crate) enum Rest {
    /// Nothing but zeroes.
    Nothing,
    /// Bytes that are no record, with no record behind them.
    Torn,
    /// The beginning of an end that was not finished.
    HalfClosed,
    /// The end of a closed segment.
    End(End),
}

/// Why a segment cannot be read through.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The header is not whole and there are no records: the segment was being made.
    Unborn,
    /// From this byte on; an acknowledged record, the header, or the end of a closed segment.
    Damaged(u64),
}

/// Reads the segment that begins at entry `first`; gives each record to `sink`, with its offset.
pub(crate) fn scan(bytes: &[u8], first: u64, sink: &mut dyn FnMut(u64, &Record<'_>)) -> Result<Scan, Fault> {
    let after = |offset: usize| bytes.get(offset..).unwrap_or_default();
    let closed = is_closed(bytes.len() as u64);
    let Some(header) = Header::read(bytes, first) else {
        // The header is synced before the first record is written: without records this is a segment that was
        // being made, with any it is damage.
        let unborn = !closed && after(FIRST_RECORD).iter().all(|&b| b == 0);
        return Err(if unborn { Fault::Unborn } else { Fault::Damaged(0) });
    };
    let (mut offset, mut end, mut marks) = (FIRST_RECORD, first, Vec::new());
    while let Some(record) = record::read(after(offset), &header.salt) {
        if record.first != end {
            return Err(Fault::Damaged(offset as u64));
        }
        add_marks(&mut marks, offset as u64, record.first, record.payload);
        sink(offset as u64, &record);
        end = record.end();
        offset += record.length();
    }
    let rest = rest(after(offset), &header, closed).ok_or(Fault::Damaged(offset as u64))?;
    if let Rest::End(found) = &rest {
        let whole = (found.first, found.end, found.at) == (first, end, offset as u64) && found.marks == marks;
        if !whole {
            return Err(Fault::Damaged(offset as u64));
        }
    }
    Ok(Scan { header, end, records_end: offset as u64, marks, rest })
}

/// Judges the bytes behind the records. `None` is damage.
fn rest(rest: &[u8], header: &Header, closed: bool) -> Option<Rest> {
    if closed {
        return End::read(rest, &header.salt).map(Rest::End);
    }
    if rest.iter().all(|&b| b == 0) {
        return Some(Rest::Nothing);
    }
    if rest.starts_with(&super::end::MAGIC) {
        return Some(Rest::HalfClosed);
    }
    (!record::any_in(rest, &header.salt)).then_some(Rest::Torn)
}
