//! The write-ahead log: leaves that were accepted and are not yet in the tree.
//!
//! Segments are files of a fixed, reserved size with a header block and records; a record is one group commit.
//! Because each record is synced before the next is written, a valid record after a damaged place proves that the
//! damaged place had been acknowledged. Layout: `docs/formats/ledger.md`.

pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod writer;

/// Directory of the segments, below the home.
pub(crate) const DIR: &str = "wal";
const SUFFIX: &str = ".wal";

/// Path of a segment: its number in 16 hexadecimal digits.
pub(crate) fn segment_path(number: u64) -> String {
    format!("{DIR}/{number:016x}{SUFFIX}")
}

/// The segment that a name in [`DIR`] belongs to.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
    let lower = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if lower { u64::from_str_radix(digits, 16).ok() } else { None }
}
