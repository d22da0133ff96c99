//! The entries of the log, in segments: what is written ahead of the trees and what is kept are the same bytes.
//!
//! A segment is a header block, records (a record is one group commit) and, once it is closed, an index of where each
//! bundle of 256 entries begins. Because each record is synced before the next is written, a valid record after a
//! damaged place proves that the damaged place had been acknowledged. A closed segment never changes; as a whole it is
//! compressed, archived and pruned. Layout: `docs/formats/ledger.md`.

pub(crate) mod blocks;
pub(crate) mod end;
pub(crate) mod map;
pub(crate) mod packed;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod writer;

/// Directory of the segments, below the home.
pub(crate) const DIR: &str = "log/entries";
/// Segments are not made larger than this, so that 32 bits hold any place in one.
pub(crate) const MAX_SEGMENT: u64 = 1 << 30;

/// How a segment stands on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Form {
    /// Records, as they were written.
    Plain,
    /// Blocks of entries, each a Zstandard frame (RFC 8878).
    Zstd,
    /// Blocks of entries, each a gzip member (RFC 1952).
    Gzip,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Zstd, Self::Gzip];

    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => ".seg",
            Self::Zstd => ".seg.zst",
            Self::Gzip => ".seg.gz",
        }
    }
}

/// Path of the segment whose first entry has this index: 16 hexadecimal digits.
pub(crate) fn segment_path(first: u64, form: Form) -> String {
    format!("{DIR}/{first:016x}{}", form.suffix())
}

/// The segment that a name in [`DIR`] belongs to.
pub(crate) fn parse_name(name: &str) -> Option<(u64, Form)> {
    let form = Form::ALL
        .into_iter()
        .find(|form| name.len() == 16 + form.suffix().len() && name.ends_with(form.suffix()))?;
    let digits = name.get(..16)?;
    let lower = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if lower { u64::from_str_radix(digits, 16).ok().map(|first| (first, form)) } else { None }
}

/// Where the entry with an index divisible by 256 stands in a plain segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// Offset of its record in the file.
    pub(crate) record: u32,
    /// Offset of its length in the record's payload.
    pub(crate) at: u32,
}

/// The number of bundles that begin before `index`: the number of the first mark at or after it.
pub(crate) fn bundles_before(index: u64) -> u64 {
    index.div_ceil(tlog::TILE_WIDTH)
}

/// Adds the marks of a record to those of its segment.
pub(crate) fn add_marks(marks: &mut Vec<Mark>, record: u64, first: u64, payload: &[u8]) {
    let record = u32::try_from(record).expect("segments are shorter than 4 GiB");
    let mut at = 0usize;
    for (index, entry) in (first..).zip(tlog::bundle::entries(payload)) {
        let Ok(entry) = entry else { return };
        if index.is_multiple_of(tlog::TILE_WIDTH) {
            let at = u32::try_from(at).expect("payloads are shorter than 64 MiB");
            marks.push(Mark { record, at });
        }
        at += 2 + entry.len();
    }
}
