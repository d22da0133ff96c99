//! The numbers and lists that the header is made of, and where packed streams and blocks are.

use super::block::{Block, MAX_BLOCKS};
use super::refused;
use crate::error::EvidenceError;

type Result<T> = std::result::Result<T, EvidenceError>;

/// Property ids ("Property IDs").
pub(super) mod id {
    pub(in super::super) const END: u8 = 0x00;
    pub(in super::super) const HEADER: u8 = 0x01;
    pub(in super::super) const ARCHIVE_PROPERTIES: u8 = 0x02;
    pub(in super::super) const MAIN_STREAMS: u8 = 0x04;
    pub(in super::super) const FILES: u8 = 0x05;
    pub(super) const PACK: u8 = 0x06;
    pub(super) const UNPACK: u8 = 0x07;
    pub(super) const SUBSTREAMS: u8 = 0x08;
    pub(super) const SIZE: u8 = 0x09;
    pub(super) const CRC: u8 = 0x0a;
    pub(super) const FOLDER: u8 = 0x0b;
    pub(super) const UNPACK_SIZE: u8 = 0x0c;
    pub(super) const COUNT: u8 = 0x0d;
    pub(in super::super) const EMPTY_STREAM: u8 = 0x0e;
    pub(in super::super) const EMPTY_FILE: u8 = 0x0f;
    pub(in super::super) const ANTI: u8 = 0x10;
    pub(in super::super) const NAMES: u8 = 0x11;
    pub(in super::super) const ATTRIBUTES: u8 = 0x15;
    pub(in super::super) const ENCODED_HEADER: u8 = 0x17;
}

/// What is left of a header.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (now, rest) = self.0.split_at_checked(count).ok_or_else(|| refused("its header is cut off"))?;
        self.0 = rest;
        Ok(now)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// "UINT64": as many leading ones in the first byte as bytes follow; its other bits are the highest.
    pub(super) fn number(&mut self) -> Result<u64> {
        let first = self.byte()?;
        let more = first.leading_ones() as usize;
        let mut value = [0; 8];
        value[..more].copy_from_slice(self.take(more)?);
        let low = u64::from_le_bytes(value);
        let high = if more < 7 { u64::from(first & (0x7f >> more)) << (8 * more) } else { 0 };
        Ok(low | high)
    }

    /// A number of things, each of which takes at least a bit of what is left unless `limit` says otherwise.
    pub(super) fn count(&mut self, limit: u64) -> Result<usize> {
        let count = self.number()?;
        match count <= limit {
            true => usize::try_from(count).map_err(|_| refused("its header counts too much")),
            false => Err(refused("its header counts more than it can hold")),
        }
    }

    pub(super) fn expect(&mut self, id: u8) -> Result<()> {
        match self.byte()? == id {
            true => Ok(()),
            false => Err(refused("its header is not in the order of the format")),
        }
    }

    /// "BitVector", the highest bit first.
    pub(super) fn bits(&mut self, count: usize) -> Result<Vec<bool>> {
        let bytes = self.take(count.div_ceil(8))?;
        Ok((0..count).map(|at| bytes[at / 8] >> (7 - at % 8) & 1 == 1).collect())
    }

    /// The same with a byte before it that may say "all".
    pub(super) fn optional_bits(&mut self, count: usize) -> Result<Vec<bool>> {
        match self.byte()? {
            0 => self.bits(count),
            _ => Ok(vec![true; count]),
        }
    }

    /// "Digests".
    fn digests(&mut self, count: usize) -> Result<Vec<Option<u32>>> {
        let known = self.optional_bits(count)?;
        known.into_iter().map(|known| known.then(|| self.u32()).transpose()).collect()
    }
}

/// "StreamsInfo": packed streams, the blocks that they unpack to, and the files that these hold.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) blocks: Vec<Block>,
    /// The files of each block, one behind the other.
    pub(super) parts: Vec<Vec<Part>>,
}

/// One file in a block.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) size: u64,
    pub(super) crc: Option<u32>,
}

impl Streams {
    /// `room` is how many bytes the packed streams may lie in, behind the signature header.
    pub(super) fn read(input: &mut Input<'_>, room: u64, max_parts: u64) -> Result<Self> {
        let mut packed = Vec::new();
        let mut out = Self::default();
        let mut crcs = Vec::new();
        let mut substreams = false;
        loop {
            match input.byte()? {
                id::END => break,
                id::PACK if packed.is_empty() => packed = read_packed(input, room)?,
                id::UNPACK if out.blocks.is_empty() => {
                    (out.blocks, crcs) = read_blocks(input, &mut packed)?;
                }
                id::SUBSTREAMS if !substreams => {
                    substreams = true;
                    out.parts = read_parts(input, &out.blocks, &crcs, max_parts)?;
                }
                _ => return Err(refused("its header is not in the order of the format")),
            }
        }
        if !packed.is_empty() {
            return Err(refused("it has packed streams that no block uses"));
        }
        if !substreams {
            let whole = |(block, crc): (&Block, &Option<u32>)| vec![Part { size: block.size(), crc: *crc }];
            out.parts = out.blocks.iter().zip(&crcs).map(whole).collect();
        }
        Ok(out)
    }
}

/// "PackInfo": where packed streams lie in the archive, one behind the other, in reverse, to be taken from the end.
fn read_packed(input: &mut Input<'_>, room: u64) -> Result<Vec<std::ops::Range<u64>>> {
    const SIGNATURE_HEADER: u64 = 32;
    let outside = || refused("its packed streams lie outside of it");
    let mut at = input.number()?;
    let count = input.count(input.0.len() as u64)?;
    let mut ranges = Vec::new();
    loop {
        match input.byte()? {
            id::END => break,
            id::SIZE => {
                for _ in 0..count {
                    let end = at.checked_add(input.number()?).filter(|end| *end <= room);
                    let end = end.ok_or_else(outside)?;
                    ranges.push(at + SIGNATURE_HEADER..end + SIGNATURE_HEADER);
                    at = end;
                }
            }
            // Of packed bytes; the container's own digest covers them.
            id::CRC => drop(input.digests(count)?),
            _ => return Err(refused("its header is not in the order of the format")),
        }
    }
    if ranges.len() != count {
        return Err(refused("its packed streams have no sizes"));
    }
    ranges.reverse();
    Ok(ranges)
}

type Blocks = (Vec<Block>, Vec<Option<u32>>);

/// "UnPackInfo" (called "Coders Info" too).
fn read_blocks(input: &mut Input<'_>, packed: &mut Vec<std::ops::Range<u64>>) -> Result<Blocks> {
    input.expect(id::FOLDER)?;
    let count = input.count(MAX_BLOCKS.min(input.0.len() as u64))?;
    if input.byte()? != 0 {
        return Err(refused("its blocks are described in another stream"));
    }
    let mut blocks = (0..count).map(|_| Block::read(input, packed)).collect::<Result<Vec<_>>>()?;
    input.expect(id::UNPACK_SIZE)?;
    for block in &mut blocks {
        block.read_sizes(input)?;
    }
    let mut crcs = vec![None; count];
    loop {
        match input.byte()? {
            id::END => return Ok((blocks, crcs)),
            id::CRC => crcs = input.digests(count)?,
            _ => return Err(refused("its header is not in the order of the format")),
        }
    }
}

/// "SubStreamsInfo".
fn read_parts(
    input: &mut Input<'_>,
    blocks: &[Block],
    crcs: &[Option<u32>],
    max: u64,
) -> Result<Vec<Vec<Part>>> {
    let mut id = input.byte()?;
    let mut counts = vec![1; blocks.len()];
    if id == id::COUNT {
        let mut left = max;
        for count in &mut counts {
            let here = input.number()?;
            left = left.checked_sub(here).ok_or(EvidenceError::Limit {
                what: "entries",
                limit: max,
                field: "entries",
            })?;
            *count = usize::try_from(here).map_err(|_| refused("its header counts too much"))?;
        }
        id = input.byte()?;
    }
    let sized = id == id::SIZE;
    let mut parts = Vec::with_capacity(blocks.len());
    for (block, count) in blocks.iter().zip(&counts) {
        parts.push(read_sizes(input, block.size(), *count, sized)?);
    }
    if sized {
        id = input.byte()?;
    }
    let alone = |(parts, crc): (&Vec<Part>, &Option<u32>)| parts.len() == 1 && crc.is_some();
    let known: Vec<bool> = parts.iter().zip(crcs).map(alone).collect();
    for ((parts, crc), known) in parts.iter_mut().zip(crcs).zip(&known) {
        if *known {
            parts[0].crc = *crc;
        }
    }
    if id == id::CRC {
        let open = || parts.iter().zip(&known).filter(|(_, known)| !**known);
        let digests = input.digests(open().map(|(parts, _)| parts.len()).sum())?;
        let open = parts.iter_mut().zip(&known).filter(|(_, known)| !**known);
        for (part, crc) in open.flat_map(|(parts, _)| parts).zip(digests) {
            part.crc = crc;
        }
        id = input.byte()?;
    }
    match id {
        id::END => Ok(parts),
        _ => Err(refused("its header is not in the order of the format")),
    }
}

/// The sizes of the files of a block: the last one is what is left.
fn read_sizes(input: &mut Input<'_>, whole: u64, count: usize, sized: bool) -> Result<Vec<Part>> {
    let mut left = whole;
    let mut parts = Vec::new();
    for at in 0..count {
        let last = at + 1 == count;
        if !last && !sized {
            return Err(refused("the files of a block have no sizes"));
        }
        let size = if last { left } else { input.number()? };
        left = left.checked_sub(size).ok_or_else(|| refused("the files of a block are larger than it"))?;
        parts.push(Part { size, crc: None });
    }
    Ok(parts)
}
