//! Reads the segments back, and tells a torn end from damage.

use std::io;

use super::record::{self, FIRST_RECORD};
use super::writer::Retired;
use super::{DIR, segment_number, segment_path};
use crate::error::{IoContext as _, LedgerError};
use crate::storage::Storage;

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

/// What the segments hold.
#[derive(Default, Debug)]
pub(crate) struct Replay {
    /// Index after the last leaf.
    pub(crate) end: u64,
    pub(crate) torn: Option<Torn>,
    pub(crate) segments: Vec<Retired>,
    /// A number that no segment has had.
    pub(crate) next_number: u64,
}

/// Gives the leaves from index `from` on to `sink`, in order.
pub(crate) fn replay(
    storage: &dyn Storage,
    from: u64,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<Replay, LedgerError> {
    let mut out = Replay { end: from, ..Replay::default() };
    for number in numbers(storage)? {
        let path = segment_path(number);
        let bytes = storage.read(&path).attempt("read", &path)?;
        let before = out.end;
        let end = Segment { bytes: &bytes, path: &path, from }.read(number, sink, &mut out)?;
        // A segment is begun only after the records of those before it were synced: an unfinished end before it
        // is one that an earlier recovery has already dropped.
        if out.end > before {
            out.torn = out.torn.take().filter(|torn| torn.segment == path);
        }
        out.segments.push(Retired { number, end });
        out.next_number = number.saturating_add(1);
    }
    out.torn = out.torn.take().filter(|torn| torn.index >= from);
    Ok(out)
}

fn numbers(storage: &dyn Storage) -> Result<Vec<u64>, LedgerError> {
    let names = match storage.list(DIR) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.attempt("list", DIR)?,
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(&name.name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

struct Segment<'a> {
    bytes: &'a [u8],
    path: &'a str,
    from: u64,
}

impl Segment<'_> {
    fn damaged(&self, offset: usize) -> LedgerError {
        LedgerError::WalDamaged { path: self.path.to_owned(), offset: offset as u64 }
    }

    fn after(&self, offset: usize) -> &[u8] {
        self.bytes.get(offset..).unwrap_or_default()
    }

    /// Reads the records; answers the index after the last leaf.
    fn read(&self, number: u64, sink: &mut dyn FnMut(&[u8]), out: &mut Replay) -> Result<u64, LedgerError> {
        let Some(salt) = record::read_segment_header(self.bytes, number) else {
            // The header is synced before the first record is written: without records this is a segment that
            // was being made, with any it is damage.
            let unborn = self.after(FIRST_RECORD).iter().all(|&b| b == 0);
            return if unborn { Ok(0) } else { Err(self.damaged(0)) };
        };
        let (mut offset, mut reached) = (FIRST_RECORD, None);
        while let Some(record) = record::read(self.after(offset), &salt) {
            if reached.is_some_and(|reached| record.first != reached) {
                return Err(self.damaged(offset));
            }
            take(&record, self.from, sink, out)?;
            reached = Some(record.end());
            offset += record.length();
        }
        let rest = self.after(offset);
        if rest.iter().any(|&b| b != 0) {
            if record::any_in(rest, &salt) {
                return Err(self.damaged(offset));
            }
            let (segment, index) = (self.path.to_owned(), reached.unwrap_or(out.end));
            out.torn = Some(Torn { segment, offset: offset as u64, index });
        }
        Ok(reached.unwrap_or(0))
    }
}

/// Takes the leaves of a record that are not yet known. Only the first record after `from` may also hold leaves
/// before it; after that, records join without gap or overlap.
fn take(
    record: &record::Record<'_>,
    from: u64,
    sink: &mut dyn FnMut(&[u8]),
    out: &mut Replay,
) -> Result<(), LedgerError> {
    if record.end() <= from {
        return Ok(());
    }
    let joins = record.first == out.end || (out.end == from && record.first < from);
    if !joins {
        return Err(LedgerError::WalGap { from: out.end, to: record.first });
    }
    let skip = usize::try_from(out.end - record.first).unwrap_or(usize::MAX);
    record.leaves().skip(skip).for_each(sink);
    out.end = record.end();
    Ok(())
}
