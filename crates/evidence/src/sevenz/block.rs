//! A block ("Folder"): coders, what is bound to what, and how much memory it asks for.

use std::ops::Range;

use super::refused;
use super::streams::Input;
use crate::error::EvidenceError;

type Result<T> = std::result::Result<T, EvidenceError>;

/// A block for each of a million files is the most that limits of entries allow.
pub(super) const MAX_BLOCKS: u64 = 1 << 20;
/// 7-Zip itself writes at most five (BCJ2 with its three branches), and reads 32.
const MAX_CODERS: u64 = 8;
/// The most streams that go into one coder: BCJ2 has four.
const MAX_INPUTS: u64 = 4;

/// A method ("Methods.txt").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    Copy,
    Lzma,
    Lzma2,
    Deflate,
    Zstd,
    Bcj2,
    /// A filter that liblzma has too.
    Filter(Filter),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Filter {
    Delta,
    X86,
    PowerPc,
    Ia64,
    Arm,
    ArmThumb,
    Sparc,
    Arm64,
    RiscV,
}

impl Method {
    fn of(id: &[u8]) -> std::result::Result<Self, &'static str> {
        Ok(match id {
            [0x00] => Self::Copy,
            [0x03, 0x01, 0x01] => Self::Lzma,
            [0x21] => Self::Lzma2,
            [0x04, 0x01, 0x08] => Self::Deflate,
            [0x04, 0xf7, 0x11, 0x01] => Self::Zstd,
            [0x03, 0x03, 0x01, 0x1b] => Self::Bcj2,
            [0x03] => Self::Filter(Filter::Delta),
            [0x04] | [0x03, 0x03, 0x01, 0x03] => Self::Filter(Filter::X86),
            [0x05] | [0x03, 0x03, 0x02, 0x05] => Self::Filter(Filter::PowerPc),
            [0x06] | [0x03, 0x03, 0x04, 0x01] => Self::Filter(Filter::Ia64),
            [0x07] | [0x03, 0x03, 0x05, 0x01] => Self::Filter(Filter::Arm),
            [0x08] | [0x03, 0x03, 0x07, 0x01] => Self::Filter(Filter::ArmThumb),
            [0x09] | [0x03, 0x03, 0x08, 0x05] => Self::Filter(Filter::Sparc),
            [0x0a] => Self::Filter(Filter::Arm64),
            [0x0b] => Self::Filter(Filter::RiscV),
            [0x06, 0xf1, 0x07, 0x01] => return Err("it is encrypted"),
            [0x03, 0x04, 0x01] => return Err("it is packed with PPMd, which is not read here"),
            [0x04, 0x02, 0x02] => return Err("it is packed with bzip2, which is not read here"),
            [0x04, 0x01, 0x09] => return Err("it is packed with Deflate64, which is not read here"),
            [0x04, 0xf7, 0x11, 0x02] => return Err("it is packed with Brotli, which is not read here"),
            [0x04, 0xf7, 0x11, 0x04] => return Err("it is packed with LZ4, which is not read here"),
            _ => return Err("it is packed with a method that is not known here"),
        })
    }

    fn inputs(self) -> usize {
        if self == Self::Bcj2 { 4 } else { 1 }
    }
}

/// One coder; what it gives is one stream, numbered like the coder.
#[derive(Debug)]
pub(super) struct Coder {
    pub(super) method: Method,
    pub(super) properties: Box<[u8]>,
    /// Where each of its inputs comes from.
    pub(super) inputs: Vec<From>,
    /// Bytes that it gives.
    pub(super) size: u64,
}

/// Where an input of a coder comes from.
#[derive(Clone, Debug)]
pub(super) enum From {
    Packed(Range<u64>),
    Coder(usize),
}

/// A block whose methods are known, or why it cannot be read.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) coders: std::result::Result<Vec<Coder>, &'static str>,
    sizes: Vec<u64>,
    count: usize,
    /// The coder whose output is the block's content.
    pub(super) main: usize,
    /// Bytes of packed streams.
    pub(super) packed: u64,
}

/// A coder as it stands.
struct Raw {
    id: Vec<u8>,
    inputs: usize,
    properties: Vec<u8>,
}

impl Raw {
    fn read(input: &mut Input<'_>) -> Result<Self> {
        let flags = input.byte()?;
        let id = input.take(usize::from(flags & 0x0f))?.to_vec();
        let (inputs, outputs) = match flags & 0x10 {
            0 => (1, 1),
            _ => (input.count(MAX_INPUTS)?, input.count(MAX_INPUTS)?),
        };
        let properties = match flags & 0x20 {
            0 => Vec::new(),
            _ => {
                let size = input.count(input.0.len() as u64)?;
                input.take(size)?.to_vec()
            }
        };
        if flags & 0xc0 != 0 || outputs != 1 || inputs == 0 {
            return Err(refused("it has a coder of a kind that is not read here"));
        }
        Ok(Self { id, inputs, properties })
    }
}

impl Block {
    /// Takes as many streams from the end of `packed` as it has open inputs.
    pub(super) fn read(input: &mut Input<'_>, packed: &mut Vec<Range<u64>>) -> Result<Self> {
        let wrong = || refused("the coders of a block are not bound to each other");
        let count = input.count(MAX_CODERS)?;
        let raw = (0..count).map(|_| Raw::read(input)).collect::<Result<Vec<_>>>()?;
        let total: usize = raw.iter().map(|coder| coder.inputs).sum();
        let mut from = vec![None; total];
        let mut bound = vec![false; count];
        for _ in 1..count {
            let at = input.count(total as u64)?;
            let coder = input.count(count as u64)?;
            let place = from.get_mut(at).filter(|place| place.is_none()).ok_or_else(wrong)?;
            let mark = bound.get_mut(coder).filter(|mark| !**mark).ok_or_else(wrong)?;
            (*place, *mark) = (Some(From::Coder(coder)), true);
        }
        let main = bound.iter().position(|bound| !bound).ok_or_else(wrong)?;
        let open: Vec<usize> = (0..total).filter(|at| from[*at].is_none()).collect();
        let mut order = open.clone();
        if open.len() > 1 {
            for place in &mut order {
                *place = input.count(total as u64)?;
            }
        }
        let mut bytes = 0;
        for at in order {
            let range =
                packed.pop().ok_or_else(|| refused("it has fewer packed streams than its blocks need"))?;
            bytes += range.end - range.start;
            let place = from.get_mut(at).filter(|place| place.is_none()).ok_or_else(wrong)?;
            *place = Some(From::Packed(range));
        }
        let from: Vec<From> = from.into_iter().flatten().collect();
        Ok(Self { coders: coders(raw, from), sizes: Vec::new(), count, main, packed: bytes })
    }

    pub(super) fn read_sizes(&mut self, input: &mut Input<'_>) -> Result<()> {
        self.sizes = (0..self.count).map(|_| input.number()).collect::<Result<_>>()?;
        if let Ok(coders) = &mut self.coders {
            coders.iter_mut().zip(&self.sizes).for_each(|(coder, size)| coder.size = *size);
        }
        Ok(())
    }

    /// Bytes of its content.
    pub(super) fn size(&self) -> u64 {
        self.sizes.get(self.main).copied().unwrap_or(0)
    }

    /// Bytes that its dictionaries take.
    pub(super) fn memory(&self) -> u64 {
        self.coders.iter().flatten().map(Coder::memory).sum()
    }
}

/// A graph in which every coder is reached from the main one once: a circle would never be.
fn coders(raw: Vec<Raw>, from: Vec<From>) -> std::result::Result<Vec<Coder>, &'static str> {
    let mut from = from.into_iter();
    let coder = |raw: Raw| {
        let method = Method::of(&raw.id)?;
        if method.inputs() != raw.inputs {
            return Err("one of its coders has another number of streams than its method");
        }
        let inputs = from.by_ref().take(raw.inputs).collect();
        Ok(Coder { method, properties: raw.properties.into(), inputs, size: 0 })
    };
    raw.into_iter().map(coder).collect()
}

impl Coder {
    /// LZMA: the four bytes behind the first. LZMA2: its one byte, as in the xz file format (§5.3.1).
    fn memory(&self) -> u64 {
        match (self.method, &*self.properties) {
            (Method::Lzma, [_, size @ ..]) => size.try_into().map(u32::from_le_bytes).map_or(0, u64::from),
            (Method::Lzma2, [bits @ 0..=39]) => u64::from(2 | bits & 1) << (bits / 2 + 11),
            (Method::Lzma2, [40]) => u64::from(u32::MAX),
            (Method::Zstd, _) => 1 << crate::compressed::ZSTD_WINDOW_LOG,
            _ => 0,
        }
    }
}
