//! Local headers (§4.3.7) and data descriptors (§4.3.9), held against the central record.

use std::io::Read;

use super::{Fields, Record, central, extra_field};
use crate::error::EvidenceError;

pub(super) const SIGNATURE: &[u8; 4] = b"PK\x03\x04";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";
const FIXED: usize = 30;
/// Longest data descriptor: signature, CRC, two 64-bit sizes.
pub(super) const MAX_DESCRIPTOR: u64 = 24;
/// §4.4.4 bit 3: CRC and sizes stand behind the data.
const BEHIND: u16 = 1 << 3;
/// §4.4.4 bits 1 and 2 say how hard the writer compressed; no reader uses them.
const EFFORT: u16 = 0b110;

impl Record {
    /// Whether a data descriptor follows the data.
    pub(super) fn has_descriptor(&self) -> bool {
        self.flags & BEHIND != 0
    }

    /// Where the entry ends at the earliest.
    pub(super) fn least_end(&self) -> u64 {
        self.offset.saturating_add((FIXED + self.name_length()) as u64).saturating_add(self.compressed)
    }

    fn wrong(&self, why: &'static str) -> EvidenceError {
        EvidenceError::entry(self.path.as_str(), why)
    }
}

/// Bytes of a local header without its extra fields.
pub(super) fn least_header(record: &Record) -> u64 {
    (FIXED + record.name_length()) as u64
}

/// Reads the header in front of the data and checks every field that the central record has too. Gives the
/// header's length.
pub(super) fn check_header(input: &mut dyn Read, record: &Record) -> Result<u64, EvidenceError> {
    let truncated = |e| EvidenceError::from_io(e, |_| record.wrong("its local header is truncated"));
    let mut fixed = [0; FIXED];
    input.read_exact(&mut fixed).map_err(truncated)?;
    let rest = fixed.strip_prefix(SIGNATURE).ok_or_else(|| record.wrong("its local header is missing"))?;
    let mut fields = Fields(rest);
    let header = Header::parse(&mut fields).ok_or_else(|| record.wrong("its local header is truncated"))?;
    let mut name = vec![0; header.name.into()];
    let mut extra = vec![0; header.extra.into()];
    input.read_exact(&mut name).map_err(truncated)?;
    input.read_exact(&mut extra).map_err(truncated)?;
    header.compare(&name, &extra, record).map_err(|why| record.wrong(why))?;
    Ok((FIXED + name.len() + extra.len()) as u64)
}

struct Header {
    flags: u16,
    method: u16,
    crc: u32,
    compressed: u32,
    size: u32,
    name: u16,
    extra: u16,
}

impl Header {
    fn parse(fields: &mut Fields<'_>) -> Option<Self> {
        fields.take(2)?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        fields.take(4)?;
        let (crc, compressed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        Some(Self { flags, method, crc, compressed, size, name: fields.u16()?, extra: fields.u16()? })
    }

    fn compare(&self, name: &[u8], extra: &[u8], record: &Record) -> Result<(), &'static str> {
        if !record.is_named(name) {
            return Err("its local and central headers disagree on the name");
        }
        if self.flags & !EFFORT != record.flags & !EFFORT {
            return Err("its local and central headers disagree on the flags");
        }
        if self.method != record.method {
            return Err("its local and central headers disagree on the method");
        }
        let blank = record.has_descriptor();
        if self.crc != record.crc && !(blank && self.crc == 0) {
            return Err("its local and central headers disagree on the CRC");
        }
        let (size, compressed) = self.sizes(extra)?;
        let agrees = |here: u64, central: u64| here == central || (blank && here == 0);
        if !agrees(size, record.size) || !agrees(compressed, record.compressed) {
            return Err("its local and central headers disagree on the size");
        }
        Ok(())
    }

    /// §4.5.3: in a local header the zip64 field holds both sizes.
    fn sizes(&self, extra: &[u8]) -> Result<(u64, u64), &'static str> {
        let field = extra_field(extra, central::ZIP64).ok_or("its local extra fields are malformed")?;
        if self.size != u32::MAX && self.compressed != u32::MAX {
            return Ok((self.size.into(), self.compressed.into()));
        }
        let mut fields = Fields(field.unwrap_or_default());
        let mut widen = |short: u32| match short {
            u32::MAX => fields.u64().ok_or("its local zip64 field is missing or short"),
            short => {
                // Both stand there even when one would fit; then they must agree.
                match fields.u64() {
                    Some(wide) if wide != u64::from(short) => {
                        Err("its local zip64 field disagrees with the header")
                    }
                    _ => Ok(u64::from(short)),
                }
            }
        };
        Ok((widen(self.size)?, widen(self.compressed)?))
    }
}

/// How long the descriptor is that starts with `bytes`, if it says what the central record says. Signature and
/// width of the sizes are the writer's choice (§4.3.9.3), so each form is tried.
pub(super) fn descriptor_length(bytes: &[u8], record: &Record) -> Result<u64, EvidenceError> {
    let forms = [(true, false), (false, false), (true, true), (false, true)];
    forms
        .into_iter()
        .map(|(signed, wide)| descriptor(record, signed, wide))
        .find(|expected| bytes.starts_with(expected))
        .map(|expected| expected.len() as u64)
        .ok_or_else(|| record.wrong("its data descriptor disagrees with the central header"))
}

fn descriptor(record: &Record, signed: bool, wide: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    if signed {
        out.extend(DESCRIPTOR);
    }
    out.extend(record.crc.to_le_bytes());
    for size in [record.compressed, record.size] {
        let bytes = size.to_le_bytes();
        out.extend(if wide { &bytes[..] } else { &bytes[..4] });
    }
    out
}
