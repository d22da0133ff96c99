//! Takes a damaged segment apart, as far as it can be told what was what.

use std::ops::Range;

use crate::segment::end::{End, is_closed};
use crate::segment::record::{self, ALIGN, FIRST_RECORD, Header, RECORD_HEADER, Salt};

/// A part of a segment, in its order.
pub(super) enum Piece<'a> {
    /// A whole record.
    Record { first: u64, at: u64, payload: &'a [u8] },
    /// Bytes that hold no entry.
    Around { index: u64, bytes: Range<u64>, why: &'static str },
    /// A damaged record that held entries `first..to`: its payload stands from `at` to `region` at most.
    Damaged { first: u64, at: u64, region: u64, to: u64 },
    /// An unfinished record at the end.
    Torn { offset: u64, index: u64 },
}

/// Bytes of a header block that have meaning.
const HEADER: usize = 44;

/// Takes a segment apart. `following` is the first entry of the next segment; `size` is that of the checkpoint.
pub(super) fn pieces(bytes: &[u8], first: u64, following: Option<u64>, size: u64) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let closed = is_closed(bytes.len() as u64);
    if Header::read(bytes, first).is_none() {
        let zeroes = bytes.get(HEADER..FIRST_RECORD).unwrap_or_default();
        let stray = zeroes.iter().position(|&b| b != 0).map(|at| (HEADER + at) as u64);
        let place = stray.map_or(0..HEADER.min(bytes.len()) as u64, |at| at..at + 1);
        out.push(Piece::Around { index: first, bytes: place, why: "the header is damaged" });
    }
    let salt: Salt = bytes.get(16..32).and_then(|salt| salt.try_into().ok()).unwrap_or_default();
    let whole = |offset: usize| {
        let rest = bytes.get(offset..).unwrap_or_default();
        record::read(rest, &salt).or_else(|| record::read_unsalted(rest))
    };
    let (mut offset, mut index) = (FIRST_RECORD, first);
    let limit = following.or_else(|| closed.then_some(size));
    loop {
        let rest = bytes.get(offset..).unwrap_or_default();
        if limit.is_some_and(|limit| index >= limit) || rest.iter().all(|&b| b == 0) {
            break;
        }
        if let Some(record) = whole(offset).filter(|record| record.first == index) {
            let strict = record::read(rest, &salt).is_some();
            if !strict && Header::read(bytes, first).is_some() {
                let bytes = offset as u64..(offset + RECORD_HEADER) as u64;
                out.push(Piece::Around { index, bytes, why: "the header of a record is damaged" });
            }
            out.push(Piece::Record {
                first: index,
                at: (offset + RECORD_HEADER) as u64,
                payload: record.payload,
            });
            (offset, index) = (offset + record.length(), record.end());
            continue;
        }
        let behind = (offset + ALIGN..bytes.len()).step_by(ALIGN).find_map(|at| {
            bytes
                .get(at..)?
                .starts_with(b"CWR1")
                .then(|| whole(at))
                .flatten()
                .filter(|r| r.first > index)
                .map(|r| (at, r.first))
        });
        let (region, to) = match (behind, limit) {
            (Some((at, first)), _) => (at, first),
            (None, Some(limit)) => (records_end(bytes, closed), limit),
            (None, None) if index < size => (records_end(bytes, closed), size),
            (None, None) => {
                out.push(Piece::Torn { offset: offset as u64, index });
                return out;
            }
        };
        out.push(Piece::Damaged {
            first: index,
            at: (offset + RECORD_HEADER) as u64,
            region: region as u64,
            to,
        });
        (offset, index) = (region, to);
    }
    tail(bytes, (offset, index), closed, &salt, &mut out);
    out
}

/// What stands behind the records of a segment that is closed, or that others follow.
fn tail(bytes: &[u8], (offset, index): (usize, u64), closed: bool, salt: &Salt, out: &mut Vec<Piece<'_>>) {
    let rest = bytes.get(offset..).unwrap_or_default();
    if closed && End::read(rest, salt).is_none() && !rest.is_empty() {
        let bytes = offset as u64..bytes.len() as u64;
        out.push(Piece::Around { index, bytes, why: "the index at its end is damaged" });
    }
}

/// Where the records end in a file whose last record is damaged.
fn records_end(bytes: &[u8], closed: bool) -> usize {
    let tail = bytes.len().saturating_sub(crate::segment::end::TAIL);
    let end = End::length(bytes.get(tail..).unwrap_or_default()).filter(|_| closed);
    bytes.len().saturating_sub(end.unwrap_or(0))
}

/// The bytes of a damaged record that are not what its entries imply; the record as a whole when that cannot be told.
pub(super) fn around(bytes: &[u8], first: u64, to: u64, header: u64, region: u64) -> Range<u64> {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let salt: Salt = bytes.get(16..32).and_then(|salt| salt.try_into().ok()).unwrap_or_default();
    let found = bytes.get(place(header)..place(region)).unwrap_or_default();
    let payload = found.get(RECORD_HEADER..).unwrap_or_default();
    let mut again = Vec::new();
    record::start(&mut again);
    for entry in tlog::bundle::entries(payload).filter_map(Result::ok).take(place(to - first)) {
        let _ = tlog::bundle::push(&mut again, entry); // it came out of one
    }
    let Ok(count) = u32::try_from(to - first) else { return header..region };
    record::finish(&mut again, &salt, first, count);
    let differ: Vec<usize> = (0..found.len()).filter(|&n| found.get(n) != again.get(n)).take(64).collect();
    match (differ.first(), differ.last()) {
        (Some(from), Some(last)) if differ.len() < 64 => header + *from as u64..header + *last as u64 + 1,
        _ => header..region,
    }
}
