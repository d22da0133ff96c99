//! Compressed segments: blocks of entries that any decompressor reads, and an index of the blocks behind them.
//!
//! A block is a whole Zstandard frame (RFC 8878 §3.1.1) or gzip member (RFC 1952 §2.3) of whole entry bundles, so that
//! `zstd -dc` and `gzip -dc` give all entries one after another, and one bundle costs one block. The index is a
//! skippable frame (RFC 8878 §3.1.2) or the extra field of an empty member (RFC 1952 §2.3.1.1): both are passed over.

use std::io::{Read as _, Write as _};

use super::Form;

const MAGIC: [u8; 8] = *b"CSEGPAK1";
/// A block is closed at the first bundle that ends behind so many bytes of entries.
const BLOCK: usize = 1 << 20;
/// A block never has more: the bytes above, and a bundle of 256 of the longest entries.
const MAX_BLOCK: usize = BLOCK + 256 * (2 + tlog::bundle::MAX_ENTRY);
/// An index is never longer.
const MAX_INDEX: usize = 32 << 20;
const HEAD: usize = 56;
const EACH: usize = 24;
/// Length and closing magic behind the index: what is found from the end of the file.
const TAIL: usize = 8;
const CLOSING: [u8; 4] = *b"CSPK";
/// Behind a gzip index: an empty deflate block, a checksum and a length of nothing.
const GZIP_TAIL: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Level of both compressors: closing a segment must not take the processor from admission.
const LEVEL: i32 = 3;

/// A block of a compressed segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    /// Index of its first entry.
    pub(crate) first: u64,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Bytes of its entries.
    pub(crate) raw: u32,
    /// CRC-32C of the frame or member: it has bits that its content does not depend on.
    pub(crate) checksum: u32,
}

/// The index behind the blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Index {
    pub(crate) first: u64,
    pub(crate) end: u64,
    pub(crate) begun: u64,
    pub(crate) closed: u64,
    /// Where the blocks end.
    pub(crate) at: u64,
    pub(crate) blocks: Vec<Block>,
}

impl Index {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let count = self.blocks.len() as u64;
        for word in [self.first, self.end, self.begun, self.closed, self.at, count] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for block in &self.blocks {
            bytes.extend_from_slice(&block.first.to_le_bytes());
            bytes.extend_from_slice(&block.offset.to_le_bytes());
            bytes.extend_from_slice(&block.raw.to_le_bytes());
            bytes.extend_from_slice(&block.checksum.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        let length = u32::try_from(bytes.len() + TAIL).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&CLOSING);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..at + 8)?.try_into().map(u64::from_le_bytes).ok();
        let count = usize::try_from(word(48)?).ok()?;
        if bytes.len() != HEAD.checked_add(EACH.checked_mul(count)?)? + 4 + TAIL {
            return None;
        }
        let block = |at: usize| {
            let half = |at: usize| bytes.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok();
            Some(Block {
                first: word(at)?,
                offset: word(at + 8)?,
                raw: half(at + 16)?,
                checksum: half(at + 20)?,
            })
        };
        let blocks: Option<Vec<Block>> = (0..count).map(|n| block(HEAD + EACH * n)).collect();
        let index = Self {
            first: word(8)?,
            end: word(16)?,
            begun: word(24)?,
            closed: word(32)?,
            at: word(40)?,
            blocks: blocks?,
        };
        let ordered = index
            .blocks
            .windows(2)
            .all(|pair| pair[0].first < pair[1].first && pair[0].offset < pair[1].offset);
        let starts =
            index.blocks.first().is_some_and(|block| (block.first, block.offset) == (index.first, 0));
        let within =
            index.blocks.last().is_some_and(|block| block.first < index.end && block.offset < index.at);
        let bounded = index.blocks.iter().all(|block| block.raw as usize <= MAX_BLOCK);
        (index.to_bytes() == bytes && ordered && starts && within && bounded).then_some(index)
    }
}

/// What stands before the index in its frame or member, and behind it.
fn frame(form: Form, index: usize) -> Option<(Vec<u8>, &'static [u8])> {
    match form {
        Form::Zstd => {
            let length = u32::try_from(index).ok()?;
            Some(([0x184d_2a50u32.to_le_bytes(), length.to_le_bytes()].concat(), &[]))
        }
        Form::Gzip => {
            // ID1 ID2 CM=8 FLG=FEXTRA MTIME=0 XFL=0 OS=255, XLEN, and one subfield `CS`.
            let length = u16::try_from(index).ok()?;
            let mut head = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
            head.extend_from_slice(&length.checked_add(4)?.to_le_bytes());
            head.extend_from_slice(b"CS");
            head.extend_from_slice(&length.to_le_bytes());
            Some((head, &GZIP_TAIL))
        }
        Form::Plain => None,
    }
}

/// Reads the index from the end of a file: `read(offset, length)` gives bytes of it.
pub(crate) fn read_index<E>(
    form: Form,
    file_length: u64,
    mut read: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<Option<Index>, E> {
    let behind = frame(form, 0).map_or(0, |(_, behind)| behind.len());
    let Some(tail_at) = file_length.checked_sub((TAIL + behind) as u64) else { return Ok(None) };
    let tail = read(tail_at, TAIL + behind)?;
    let Some((length, rest)) = tail.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    let Some((before, after)) = frame(form, length).filter(|_| length <= MAX_INDEX) else { return Ok(None) };
    let whole = before.len() + length + after.len();
    let closing = [&CLOSING[..], after].concat();
    let (Some(at), true) = (file_length.checked_sub(whole as u64), rest == closing) else { return Ok(None) };
    let bytes = read(at, whole)?;
    let index =
        bytes.strip_prefix(&before[..]).and_then(|rest| rest.strip_suffix(after)).and_then(Index::read);
    Ok(index.filter(|index| index.at == at))
}

/// Builds a compressed segment in memory from its entries.
pub(crate) struct Packer {
    form: Form,
    index: Index,
    next: u64,
    raw: Vec<u8>,
    raw_first: u64,
    out: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(form: Form, first: u64, begun: u64, closed: u64) -> Self {
        let index = Index { first, end: first, begun, closed, at: 0, blocks: Vec::new() };
        Self { form, index, next: first, raw: Vec::new(), raw_first: first, out: Vec::new() }
    }

    pub(crate) fn push(&mut self, entry: &[u8]) -> std::io::Result<()> {
        tlog::bundle::push(&mut self.raw, entry).ok_or(std::io::ErrorKind::InvalidInput)?;
        self.next += 1;
        let full = self.raw.len() >= BLOCK && self.next.is_multiple_of(tlog::TILE_WIDTH);
        if full { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> std::io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let raw = u32::try_from(self.raw.len()).map_err(std::io::Error::other)?;
        let frame = match self.form {
            Form::Zstd => zstd::bulk::compress(&self.raw, LEVEL)?,
            Form::Gzip | Form::Plain => {
                let level = flate2::Compression::new(LEVEL.unsigned_abs());
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(&self.raw)?;
                encoder.finish()?
            }
        };
        let (offset, checksum) = (self.out.len() as u64, crc32c::crc32c(&frame));
        self.index.blocks.push(Block { first: self.raw_first, offset, raw, checksum });
        self.out.extend(frame);
        self.raw.clear();
        self.raw_first = self.next;
        Ok(())
    }

    /// The bytes of the file. An index that its frame cannot hold is an error: a gzip extra field has 65,535 bytes.
    pub(crate) fn finish(mut self) -> std::io::Result<(Index, Vec<u8>)> {
        self.close_block()?;
        (self.index.end, self.index.at) = (self.next, self.out.len() as u64);
        let index = self.index.to_bytes();
        let (before, after) = frame(self.form, index.len())
            .ok_or_else(|| std::io::Error::other("too many blocks for this form"))?;
        self.out.extend([&before[..], &index, after].concat());
        Ok((self.index, self.out))
    }
}

impl Index {
    /// Where a block ends in the file.
    pub(crate) fn block_end(&self, number: usize) -> u64 {
        self.blocks.get(number + 1).map_or(self.at, |next| next.offset)
    }

    /// Index after the last entry of a block.
    pub(crate) fn entries_end(&self, number: usize) -> u64 {
        self.blocks.get(number + 1).map_or(self.end, |next| next.first)
    }
}

/// The entries of a block, one after another, each after its length. `None` when the bytes are not that block.
pub(crate) fn unpack(form: Form, bytes: &[u8], block: &Block) -> Option<Vec<u8>> {
    if crc32c::crc32c(bytes) != block.checksum {
        return None;
    }
    let raw = block.raw;
    let raw = usize::try_from(raw).ok().filter(|raw| *raw <= MAX_BLOCK)?;
    match form {
        Form::Zstd => {
            // One frame and nothing behind it.
            let one =
                zstd::zstd_safe::find_frame_compressed_size(bytes).is_ok_and(|size| size == bytes.len());
            zstd::bulk::decompress(bytes, raw).ok().filter(|entries| one && entries.len() == raw)
        }
        Form::Gzip => {
            let mut entries = Vec::new();
            let mut member = flate2::bufread::GzDecoder::new(bytes);
            (&mut member).take(raw as u64 + 1).read_to_end(&mut entries).ok()?;
            (entries.len() == raw && member.into_inner().is_empty()).then_some(entries)
        }
        Form::Plain => None,
    }
}

/// Where the blocks end in a file whose index is damaged, as far as that can be told.
pub(crate) fn blocks_end(form: Form, bytes: &[u8]) -> u64 {
    if form != Form::Zstd {
        return 0; // the end of a gzip member is found only by reading it
    }
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let is_frame = rest.starts_with(&0xfd2f_b528u32.to_le_bytes());
        match zstd::zstd_safe::find_frame_compressed_size(rest) {
            Ok(size) if is_frame && size > 0 => at += size,
            _ => return at as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(form: Form) -> (Index, Vec<u8>) {
        let mut packer = Packer::new(form, 100, 5, 6);
        (0..20_000u32)
            .for_each(|i| packer.push(format!("entry {i} {}", "pad ".repeat(40)).as_bytes()).unwrap());
        packer.finish().unwrap()
    }

    #[test]
    fn an_index_is_read_from_the_end_and_leads_to_every_block() {
        for form in [Form::Zstd, Form::Gzip] {
            let (index, bytes) = packed(form);
            let read = |offset: u64, length| {
                let offset = usize::try_from(offset).unwrap();
                Ok::<_, ()>(bytes[offset..offset + length].to_vec())
            };
            assert_eq!(read_index(form, bytes.len() as u64, read).unwrap(), Some(index.clone()));
            assert!(index.blocks.len() > 2 && index.blocks[1].first.is_multiple_of(256));
            let ends = index.blocks[1..].iter().map(|b| b.offset).chain([index.at]);
            let mut count = 0;
            for (block, end) in index.blocks.iter().zip(ends) {
                let range = usize::try_from(block.offset).unwrap()..usize::try_from(end).unwrap();
                let raw = unpack(form, &bytes[range.clone()], block).unwrap();
                count += tlog::bundle::entries(&raw).filter(|entry| entry.is_ok()).count();
                assert!(unpack(form, &bytes[range.start..range.end - 1], block).is_none());
            }
            assert_eq!(count, 20_000);
        }
    }

    #[test]
    fn other_decompressors_pass_over_the_index() {
        for (form, program) in [(Form::Zstd, "zstd"), (Form::Gzip, "gzip")] {
            let (_, bytes) = packed(form);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let input = std::fs::File::open(file.path()).unwrap();
            match std::process::Command::new(program).arg("-dc").stdin(input).output() {
                Ok(output) => {
                    assert!(
                        output.status.success(),
                        "{program}: {}",
                        String::from_utf8_lossy(&output.stderr)
                    );
                    assert_eq!(
                        tlog::bundle::entries(&output.stdout).filter(|entry| entry.is_ok()).count(),
                        20_000
                    );
                }
                Err(error) => eprintln!("SKIPPED: {program} is not available: {error}"),
            }
        }
    }
}
