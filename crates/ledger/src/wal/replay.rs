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
    /// Leaves from `from` on, in order.
    pub(crate) leaves: Vec<Vec<u8>>,
    pub(crate) torn: Option<Torn>,
    pub(crate) segments: Vec<Retired>,
    /// A number that no segment has had.
    pub(crate) next_number: u64,
    /// Segments that hold at least one record.
    pub(crate) with_records: usize,
}

/// Reads the leaves from index `from` on.
pub(crate) fn replay(storage: &dyn Storage, from: u64) -> Result<Replay, LedgerError> {
    let mut out = Replay::default();
    let mut next = from;
    for number in numbers(storage)? {
        let path = segment_path(number);
        let bytes = storage.read(&path).attempt("read", &path)?;
        let before = out.leaves.len();
        let end = segment(&bytes, number, &path, from, &mut next, &mut out)?;
        if out.leaves.len() > before {
            // A later segment is begun only after the records of this one were synced: an unfinished end before
            // it can only be that of an owner whose recovery went on from there.
            out.torn = out.torn.take().filter(|torn| torn.segment == path);
        }
        out.segments.push(Retired { number, end });
        out.next_number = number.saturating_add(1);
    }
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

/// Reads one segment; answers the index after its last leaf.
fn segment(
    bytes: &[u8],
    number: u64,
    path: &str,
    from: u64,
    next: &mut u64,
    out: &mut Replay,
) -> Result<u64, LedgerError> {
    let damaged = |offset: usize| LedgerError::WalDamaged { path: path.to_owned(), offset: offset as u64 };
    let Some(salt) = record::read_segment_header(bytes, number) else {
        // The header is synced before the first record is written: without records this is a segment that was
        // being made, with any it is damage.
        let records = bytes.get(FIRST_RECORD..).unwrap_or_default();
        return if records.iter().all(|&b| b == 0) { Ok(0) } else { Err(damaged(0)) };
    };
    let (mut offset, mut reached, mut any) = (FIRST_RECORD, None, false);
    while let Some(record) = bytes.get(offset..).and_then(|rest| record::read(rest, &salt)) {
        if reached.is_some_and(|reached| record.first != reached) {
            return Err(damaged(offset));
        }
        take(&record, from, next, out)?;
        (reached, any) = (Some(record.end()), true);
        offset += record.length();
    }
    out.with_records += usize::from(any);
    let rest = bytes.get(offset..).unwrap_or_default();
    if rest.iter().any(|&b| b != 0) {
        if record::any_in(rest, &salt) {
            return Err(damaged(offset));
        }
        let index = reached.unwrap_or(*next);
        out.torn = Some(Torn { segment: path.to_owned(), offset: offset as u64, index });
    }
    Ok(reached.unwrap_or(0))
}

/// Takes the leaves of a record that are not yet known.
fn take(record: &record::Record<'_>, from: u64, next: &mut u64, out: &mut Replay) -> Result<(), LedgerError> {
    if record.end() <= from {
        return Ok(());
    }
    if record.first > *next {
        return Err(LedgerError::WalGap { from: *next, to: record.first });
    }
    if record.first < *next && *next > from {
        return Err(LedgerError::WalGap { from: record.first, to: *next });
    }
    let skip = usize::try_from(*next - record.first).unwrap_or(usize::MAX);
    out.leaves.extend(record.leaves().skip(skip).map(<[u8]>::to_vec));
    *next = record.end();
    Ok(())
}
