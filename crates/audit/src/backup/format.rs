//! Blocks of a backup: a type, a length, a CRC-32C, and so many bytes.

use std::io::{self, Read, Write};

/// First bytes of a file; the last is the version.
const MAGIC: &[u8; 16] = b"custody-backup\0\x01";
/// A block's body is never longer.
const MAX_BODY: usize = 8 << 20;
/// Bytes of entries in a block before it is compressed, unless a single entry is longer.
pub(crate) const ENTRIES_BYTES: usize = 1 << 20;
/// An entry is never longer (docs/formats/ledger.md), and a block takes at most one more than it has room for.
const MAX_ENTRIES_BYTES: usize = ENTRIES_BYTES + (1 << 16) + 2;
/// Level of zstd: beyond it, time grows faster than files shrink.
const LEVEL: i32 = 3;

/// A block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Block {
    /// What the backup says of itself, as JSON.
    Header(Vec<u8>),
    /// A small file of the home: its name below it, and its bytes.
    File(String, Vec<u8>),
    /// Entries that follow each other, and the index of the first.
    Entries(u64, Vec<Vec<u8>>),
    /// The signed checkpoint.
    Checkpoint(String),
    /// There is nothing more.
    End,
}

/// Why a file is no backup.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    Damaged(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it is cut off".into()),
            _ => Self::Io(error),
        }
    }
}

pub(crate) fn write_magic(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(MAGIC)
}

pub(crate) fn write_block(out: &mut dyn Write, block: &Block) -> io::Result<()> {
    let (kind, body) = match block {
        Block::Header(json) => (b'H', json.clone()),
        Block::File(name, bytes) => {
            let length = u16::try_from(name.len()).map_err(|_| io::Error::other("a name is too long"))?;
            (b'F', [&length.to_be_bytes(), name.as_bytes(), bytes].concat())
        }
        Block::Entries(first, entries) => (b'E', pack(*first, entries)?),
        Block::Checkpoint(note) => (b'C', note.clone().into_bytes()),
        Block::End => (b'Z', Vec::new()),
    };
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY);
    let length = length.ok_or_else(|| io::Error::other("a block is too long"))?;
    let head = [&[kind][..], &length.to_be_bytes()].concat();
    out.write_all(&head)?;
    out.write_all(&crc32c::crc32c_append(crc32c::crc32c(&head), &body).to_be_bytes())?;
    out.write_all(&body)
}

fn pack(first: u64, entries: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(ENTRIES_BYTES);
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| io::Error::other("an entry is too long"))?;
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(entry);
    }
    let mut body = first.to_be_bytes().to_vec();
    body.extend(zstd::bulk::compress(&plain, LEVEL)?);
    Ok(body)
}

fn unpack(body: &[u8]) -> Option<(u64, Vec<Vec<u8>>)> {
    let (first, packed) = body.split_first_chunk::<8>()?;
    // Never more than what a writer puts into a block, whatever the frame announces.
    let plain = zstd::bulk::decompress(packed, MAX_ENTRIES_BYTES).ok()?;
    let (mut rest, mut entries) = (&plain[..], Vec::new());
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        rest = after;
    }
    Some((u64::from_be_bytes(*first), entries))
}

/// Reads a backup block by block.
pub(crate) struct Reader<R> {
    input: R,
    blocks: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(mut input: R) -> Result<Self, Fault> {
        let mut magic = [0u8; 16];
        input.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(Fault::Damaged("it does not begin like a backup of version 1".into()));
        }
        Ok(Self { input, blocks: 0, ended: false })
    }

    /// The next block; nothing after the last. Memory grows with what is there, not with what is announced.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, Fault> {
        if self.ended {
            return Ok(None);
        }
        let damaged = |why: &str| Fault::Damaged(format!("block {}: {why}", self.blocks));
        let mut head = [0u8; 9];
        self.input.read_exact(&mut head)?;
        let [kind, a, b, c, d, sum @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > MAX_BODY {
            return Err(damaged("it is too long"));
        }
        let mut body = Vec::new();
        (&mut self.input).take(length as u64).read_to_end(&mut body)?;
        let whole = crc32c::crc32c_append(crc32c::crc32c(&head[..5]), &body) == u32::from_be_bytes(sum);
        if body.len() != length || !whole {
            return Err(damaged("its checksum is wrong"));
        }
        let block = parse(kind, body).ok_or_else(|| damaged("it is not one of a backup"))?;
        if block == Block::End {
            if self.input.read(&mut [0u8; 1])? != 0 {
                return Err(damaged("something follows the end"));
            }
            self.ended = true;
        }
        self.blocks += 1;
        Ok(Some(block))
    }
}

fn parse(kind: u8, body: Vec<u8>) -> Option<Block> {
    Some(match kind {
        b'H' => Block::Header(body),
        b'F' => {
            let (length, rest) = body.split_first_chunk::<2>()?;
            let (name, bytes) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            Block::File(std::str::from_utf8(name).ok()?.to_owned(), bytes.to_vec())
        }
        b'E' => {
            let (first, entries) = unpack(&body)?;
            Block::Entries(first, entries)
        }
        b'C' => Block::Checkpoint(String::from_utf8(body).ok()?),
        b'Z' if body.is_empty() => Block::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> Vec<Block> {
        vec![
            Block::Header(b"{}".to_vec()),
            Block::File("custody.toml".into(), b"version = 1".to_vec()),
            Block::Entries(7, vec![b"one".to_vec(), Vec::new(), vec![b'x'; 65_535]]),
            Block::Checkpoint("note".into()),
            Block::End,
        ]
    }

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        write_magic(&mut out).unwrap();
        blocks().iter().for_each(|block| write_block(&mut out, block).unwrap());
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Block>, Fault> {
        let mut reader = Reader::new(bytes)?;
        let mut blocks = Vec::new();
        while let Some(block) = reader.next()? {
            blocks.push(block);
        }
        Ok(blocks)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&written()).unwrap(), blocks());
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let good = written();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(matches!(read(&bad), Err(Fault::Damaged(_))), "{at}");
            assert!(matches!(read(&good[..at]), Err(Fault::Damaged(_))), "cut at {at}");
        }
        assert!(matches!(read(&[good, vec![0]].concat()), Err(Fault::Damaged(_))));
    }
}
