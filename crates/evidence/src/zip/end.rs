//! The end of a ZIP: where its central directory stands.

use std::ops::Range;

use super::{Fields, refused};
use crate::error::EvidenceError;
use crate::source::{ReadAt, read_exact_at};

const END: &[u8; 4] = b"PK\x05\x06";
const END64_LOCATOR: &[u8; 4] = b"PK\x06\x07";
const END64: &[u8; 4] = b"PK\x06\x06";
/// §4.3.16.
const END_SIZE: u64 = 22;
/// §4.3.15.
const LOCATOR_SIZE: u64 = 20;
/// §4.3.14, without extensible data.
const END64_SIZE: u64 = 56;
/// The longest comment, and as many bytes behind the archive are looked over for its end.
const COMMENT: u64 = 0xffff;

/// The central directory.
#[derive(Debug)]
pub(super) struct Directory {
    /// Its bytes in the source.
    pub(super) range: Range<u64>,
    /// How many records it says to have.
    pub(super) count: u64,
    /// What to add to an offset of the archive: bytes stand before it that it does not count.
    pub(super) base: u64,
}

/// Whether the source ends the way a ZIP does, comment and all.
pub(crate) fn ends_as_zip(source: &dyn ReadAt) -> bool {
    let Ok((tail, start)) = tail(source) else { return false };
    candidates(&tail).any(|at| comment_end(&tail, at) == tail.len())
        && find(source).is_ok_and(|d| d.range.end > d.range.start && start <= source.size())
}

/// Finds the central directory.
pub(super) fn find(source: &dyn ReadAt) -> Result<Directory, EvidenceError> {
    let (tail, start) = tail(source)?;
    let at = candidates(&tail).next().ok_or_else(|| refused("it has no end record: it is truncated"))?;
    check_unambiguous(&tail, at)?;
    read_end(source, &tail[at..], start + at as u64)
}

fn tail(source: &dyn ReadAt) -> Result<(Vec<u8>, u64), EvidenceError> {
    let start = source.size().saturating_sub(END_SIZE + COMMENT);
    let length = usize::try_from(source.size() - start).unwrap_or(0);
    let mut tail = vec![0; length];
    read(source, &mut tail, start)?;
    Ok((tail, start))
}

fn read(source: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> Result<(), EvidenceError> {
    read_exact_at(source, buffer, offset).map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => refused("it is truncated"),
        _ => EvidenceError::Read { path: "archive".into(), source },
    })
}

/// End records whose comment fits, from the last to the first.
fn candidates(tail: &[u8]) -> impl Iterator<Item = usize> {
    let last = tail.len().saturating_sub(21);
    (0..last).rev().filter(|&at| tail[at..].starts_with(END) && comment_end(tail, at) <= tail.len())
}

fn comment_end(tail: &[u8], at: usize) -> usize {
    at + 22 + usize::from(u16::from_le_bytes([tail[at + 20], tail[at + 21]]))
}

/// An end record inside the comment of another: a reader that looks forward and one that looks backward would see
/// two different archives.
fn check_unambiguous(tail: &[u8], chosen: usize) -> Result<(), EvidenceError> {
    let other = candidates(tail).any(|at| at != chosen && comment_end(tail, at) == tail.len());
    if other { Err(refused("it has two end records")) } else { Ok(()) }
}

struct Counts {
    count: u64,
    size: u64,
    offset: u64,
}

fn read_end(source: &dyn ReadAt, record: &[u8], at: u64) -> Result<Directory, EvidenceError> {
    let (disks, here) = parse_end(record).ok_or_else(|| refused("its end record is truncated"))?;
    if disks {
        return Err(refused("it is split over several disks"));
    }
    match find_end64(source, at)? {
        Some((wide, end)) => {
            check_wide(&here, &wide)?;
            place(source, &wide, end)
        }
        None if here.saturated() => Err(refused("its zip64 end record is missing")),
        None => place(source, &here, at),
    }
}

impl Counts {
    /// A field that says "see the zip64 record" (§4.4.1.4). A count of 65535 may also be meant.
    fn saturated(&self) -> bool {
        self.size == 0xffff_ffff || self.offset == 0xffff_ffff
    }
}

fn parse_end(record: &[u8]) -> Option<(bool, Counts)> {
    let mut fields = Fields(record);
    fields.take(4)?;
    let (disk, start_disk) = (fields.u16()?, fields.u16()?);
    let (count_here, count) = (fields.u16()?, fields.u16()?);
    let counts = Counts { count: count.into(), size: fields.u32()?.into(), offset: fields.u32()?.into() };
    let several = disk != start_disk || count_here != count || !matches!(disk, 0 | 0xffff);
    Some((several, counts))
}

/// The zip64 end record and where it starts, if a locator says that there is one.
fn find_end64(source: &dyn ReadAt, end: u64) -> Result<Option<(Counts, u64)>, EvidenceError> {
    let Some(locator_at) = end.checked_sub(LOCATOR_SIZE) else { return Ok(None) };
    let mut locator = [0; 20];
    read(source, &mut locator, locator_at)?;
    let Some(rest) = locator.strip_prefix(END64_LOCATOR) else { return Ok(None) };
    let mut fields = Fields(rest);
    let broken = || refused("its zip64 end record is malformed");
    let (disk, offset, disks) = (
        fields.u32().ok_or_else(broken)?,
        fields.u64().ok_or_else(broken)?,
        fields.u32().ok_or_else(broken)?,
    );
    if disk != 0 || disks > 1 {
        return Err(refused("it is split over several disks"));
    }
    // Where the locator says, or right before it when bytes were put before the archive.
    for at in [Some(offset), locator_at.checked_sub(END64_SIZE)].into_iter().flatten() {
        if let Some(counts) = read_end64(source, at, locator_at)? {
            return Ok(Some((counts, at)));
        }
    }
    Err(broken())
}

fn read_end64(source: &dyn ReadAt, at: u64, locator_at: u64) -> Result<Option<Counts>, EvidenceError> {
    if at.checked_add(END64_SIZE).is_none_or(|end| end > locator_at) {
        return Ok(None);
    }
    let mut record = [0; 56];
    read(source, &mut record, at)?;
    Ok(parse_end64(&record, locator_at - at))
}

fn parse_end64(record: &[u8], length: u64) -> Option<Counts> {
    let mut fields = Fields(record.strip_prefix(END64)?);
    // §4.3.14.1: the size leaves out its own field and the signature.
    (fields.u64()?.checked_add(12)? == length).then_some(())?;
    fields.take(4)?;
    let (disk, start_disk) = (fields.u32()?, fields.u32()?);
    let (count_here, count) = (fields.u64()?, fields.u64()?);
    (disk == 0 && start_disk == 0 && count_here == count).then_some(())?;
    Some(Counts { count, size: fields.u64()?, offset: fields.u64()? })
}

/// What the short record says itself, the zip64 record must say too.
fn check_wide(here: &Counts, wide: &Counts) -> Result<(), EvidenceError> {
    let agrees = |short: u64, long: u64, saturated: u64| short == saturated || short == long;
    let same = agrees(here.count, wide.count, 0xffff)
        && agrees(here.size, wide.size, 0xffff_ffff)
        && agrees(here.offset, wide.offset, 0xffff_ffff);
    if same { Ok(()) } else { Err(refused("its two end records disagree")) }
}

/// Where the directory really stands. Bytes before the archive shift it unless its offsets count them: both occur,
/// and the signature tells which it is.
fn place(source: &dyn ReadAt, counts: &Counts, end: u64) -> Result<Directory, EvidenceError> {
    let outside = || refused("its central directory lies outside of it");
    let stated_end = counts.offset.checked_add(counts.size).ok_or_else(outside)?;
    let base = end.checked_sub(stated_end).ok_or_else(outside)?;
    let starts_as_stated = base == 0 || counts.size == 0 || is_record(source, counts.offset)?;
    let base = if starts_as_stated { 0 } else { base };
    Ok(Directory { range: counts.offset + base..stated_end + base, count: counts.count, base })
}

fn is_record(source: &dyn ReadAt, offset: u64) -> Result<bool, EvidenceError> {
    let mut signature = [0; 4];
    read(source, &mut signature, offset)?;
    Ok(&signature == super::central::SIGNATURE)
}
