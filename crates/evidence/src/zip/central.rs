//! The central directory: one record an entry (§4.3.12).

use std::io::{BufReader, Read};

use seal::{EntryKind, EntryPath, MAX_PATH};

use super::end::Directory;
use super::{DEFLATED, Fields, Record, STORED, extra_field, refused};
use crate::budget::Budget;
use crate::collector::Collector;
use crate::error::EvidenceError;
use crate::file::DEFAULT_MODE;
use crate::source::ReadAt;

pub(super) const SIGNATURE: &[u8; 4] = b"PK\x01\x02";
const FIXED: usize = 46;
/// Extra field ids: zip64 (§4.5.3), Info-ZIP Unicode path (§4.6.9).
pub(super) const ZIP64: u16 = 0x0001;
const UNICODE_PATH: u16 = 0x7075;
/// "Version made by" of writers that put a Unix mode into the external attributes: Unix, and macOS (§4.4.2).
const UNIX_HOSTS: [u8; 2] = [3, 19];
/// File type bits of a Unix mode (POSIX `S_IFMT`).
const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_SYMLINK: u32 = 0o120_000;
const DIRECTORY_MODE: u32 = 0o755;

/// Reads the records, in the order of the directory. A record that breaks a rule is a fault; one that cannot be
/// told from the next breaks the directory off.
pub(super) fn read(
    source: &dyn ReadAt,
    directory: &Directory,
    budget: &Budget,
    collector: &mut Collector<'_>,
) -> Result<Vec<Record>, EvidenceError> {
    let mut input = BufReader::with_capacity(64 * 1024, Section { source, range: directory.range.clone() });
    let mut records = Vec::new();
    let mut at = directory.range.start;
    for count in 1..=directory.count {
        budget.check_entries(usize::try_from(count).unwrap_or(usize::MAX))?;
        let raw = match Raw::read(&mut input) {
            Ok(raw) => raw,
            Err(error) => {
                collector.broken(error)?;
                return Ok(records);
            }
        };
        let central = at..at + raw.length();
        at = central.end;
        match raw.record(directory, central) {
            Ok(record) => records.push(record),
            Err(error) => collector.fault(&raw.shown_name(), error)?,
        }
    }
    if at != directory.range.end {
        collector.broken(refused("its central directory is longer than its records"))?;
    }
    Ok(records)
}

struct Section<'a> {
    source: &'a dyn ReadAt,
    range: std::ops::Range<u64>,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let count = self.source.read_at(&mut buffer[..wanted], self.range.start)?;
        self.range.start += count as u64;
        Ok(count)
    }
}

/// A record as it stands.
struct Raw {
    fixed: [u8; FIXED],
    name: Vec<u8>,
    extra: Vec<u8>,
    comment: u16,
}

impl Raw {
    fn read(input: &mut impl Read) -> Result<Self, EvidenceError> {
        let truncated = |_| refused("its central directory is truncated");
        let mut fixed = [0; FIXED];
        input.read_exact(&mut fixed).map_err(truncated)?;
        if !fixed.starts_with(SIGNATURE) {
            return Err(refused("its central directory holds something that is no record"));
        }
        let length = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let mut name = vec![0; length(28).into()];
        let mut extra = vec![0; length(30).into()];
        let mut comment = vec![0; length(32).into()];
        for part in [&mut name, &mut extra, &mut comment] {
            input.read_exact(part).map_err(truncated)?;
        }
        Ok(Self { fixed, name, extra, comment: length(32) })
    }

    fn length(&self) -> u64 {
        (FIXED + self.name.len() + self.extra.len()) as u64 + u64::from(self.comment)
    }

    /// The name for a fault: as it is when it is text, escaped when not.
    fn shown_name(&self) -> String {
        let name = self.name.strip_suffix(b"/").unwrap_or(&self.name);
        std::str::from_utf8(name).map_or_else(|_| seal::escape(name), str::to_owned)
    }

    fn record(&self, directory: &Directory, central: std::ops::Range<u64>) -> Result<Record, EvidenceError> {
        let path = self.path()?;
        let wrong = |why| EvidenceError::entry(path.as_str(), why);
        let malformed = || wrong("its central record is malformed");
        let mut fields = Fields(&self.fixed[4..]);
        let made_by = fields.take(4).and_then(|b| b.get(1)).copied().ok_or_else(malformed)?;
        let (flags, method) = (fields.u16().ok_or_else(malformed)?, fields.u16().ok_or_else(malformed)?);
        fields.take(4).ok_or_else(malformed)?;
        let crc = fields.u32().ok_or_else(malformed)?;
        let (compressed, size) = (fields.u32().ok_or_else(malformed)?, fields.u32().ok_or_else(malformed)?);
        fields.take(6).ok_or_else(malformed)?;
        let disk = fields.u16().ok_or_else(malformed)?;
        fields.take(2).ok_or_else(malformed)?;
        let attributes = fields.u32().ok_or_else(malformed)?;
        let offset = fields.u32().ok_or_else(malformed)?;
        if !matches!(disk, 0 | 0xffff) {
            return Err(wrong("it stands on another disk"));
        }
        check_method(flags, method).map_err(wrong)?;
        self.check_unicode_path().map_err(wrong)?;
        let wide = Wide::of(&self.extra, size, compressed, offset).map_err(wrong)?;
        let (kind, mode) = self.kind_and_mode(made_by, attributes).map_err(wrong)?;
        check_kind(kind, wide.size).map_err(wrong)?;
        let offset = wide.offset.checked_add(directory.base).ok_or_else(malformed)?;
        let Wide { size, compressed, .. } = wide;
        Ok(Record { path, kind, mode, flags, method, crc, compressed, size, offset, central })
    }

    /// The name without a directory's final `/`. It must be UTF-8 whether or not the flag (§4.4.4 bit 11) says so:
    /// any other code page would be a guess.
    fn path(&self) -> Result<EntryPath, EvidenceError> {
        let name = std::str::from_utf8(&self.name)
            .map_err(|_| EvidenceError::Name { name: seal::escape(&self.name) })?;
        Ok(EntryPath::new(name.strip_suffix('/').unwrap_or(name))?)
    }

    /// Readers that know this field believe it instead of the name.
    fn check_unicode_path(&self) -> Result<(), &'static str> {
        let field = extra_field(&self.extra, UNICODE_PATH).ok_or("its extra fields are malformed")?;
        match field.and_then(|f| f.get(5..)) {
            Some(other) if other != self.name => Err("it has two names"),
            _ => Ok(()),
        }
    }

    fn kind_and_mode(&self, made_by: u8, attributes: u32) -> Result<(EntryKind, u32), &'static str> {
        let by_name = match self.name.last() {
            Some(b'/') => EntryKind::Directory,
            _ => EntryKind::File,
        };
        let unix = if UNIX_HOSTS.contains(&made_by) { attributes >> 16 } else { 0 };
        let kind = match unix & TYPE_MASK {
            0 => by_name,
            TYPE_FILE => EntryKind::File,
            TYPE_DIRECTORY => EntryKind::Directory,
            TYPE_SYMLINK => EntryKind::Symlink,
            _ => return Err("it is a special file"),
        };
        if (kind == EntryKind::Directory) != (by_name == EntryKind::Directory) {
            return Err("its name and its mode disagree on whether it is a directory");
        }
        let default = if kind == EntryKind::Directory { DIRECTORY_MODE } else { DEFAULT_MODE };
        Ok((kind, if unix == 0 { default } else { unix & seal::MAX_MODE }))
    }
}

fn check_method(flags: u16, method: u16) -> Result<(), &'static str> {
    // §4.4.4: bit 0 encryption, bit 6 strong encryption, bit 13 masked headers, bit 5 patch data.
    if flags & 0b0010_0000_0100_0001 != 0 {
        return Err("it is encrypted");
    }
    if flags & 0b10_0000 != 0 {
        return Err("it is a patch");
    }
    match method {
        STORED | DEFLATED => Ok(()),
        _ => Err("its compression method is neither stored nor deflate"),
    }
}

fn check_kind(kind: EntryKind, size: u64) -> Result<(), &'static str> {
    match kind {
        EntryKind::Directory if size != 0 => Err("a directory has no content"),
        EntryKind::Symlink if size == 0 || size > MAX_PATH as u64 => {
            Err("the target of a symbolic link has 1 to 4096 bytes")
        }
        _ => Ok(()),
    }
}

/// Sizes and offset, each from the zip64 field where the 32 bits do not hold it (§4.5.3).
struct Wide {
    size: u64,
    compressed: u64,
    offset: u64,
}

impl Wide {
    fn of(extra: &[u8], size: u32, compressed: u32, offset: u32) -> Result<Self, &'static str> {
        let field = extra_field(extra, ZIP64).ok_or("its extra fields are malformed")?;
        let mut fields = Fields(field.unwrap_or_default());
        let mut widen = |short: u32| match short {
            u32::MAX => fields.u64().ok_or("its zip64 field is missing or short"),
            short => Ok(short.into()),
        };
        let wide = Self { size: widen(size)?, compressed: widen(compressed)?, offset: widen(offset)? };
        // Four bytes more may be the disk number; anything else is a second opinion on a size.
        match fields.0.len() {
            0 | 4 => Ok(wide),
            _ => Err("its zip64 field says more than the record leaves open"),
        }
    }
}
