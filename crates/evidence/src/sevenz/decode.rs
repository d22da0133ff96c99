//! From the packed streams of a block to its content, as one reader.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use liblzma::stream::{Filters, Stream};

use super::bcj2::Bcj2;
use super::block::{Block, Coder, Filter, From, Method};
use crate::compressed::ZSTD_WINDOW_LOG;
use crate::source::ReadAt;

/// Bytes read from the archive at once.
const AHEAD: usize = 64 * 1024;

/// The content of `block`.
pub(super) fn reader<'a>(
    source: &'a dyn ReadAt,
    block: &'a Block,
    coders: &'a [Coder],
) -> io::Result<Box<dyn Read + 'a>> {
    coder(source, coders, block.main)
}

/// What the coder `at` gives: never more than its size. Recursion ends, because no coder is the input of two.
fn coder<'a>(source: &'a dyn ReadAt, coders: &'a [Coder], at: usize) -> io::Result<Box<dyn Read + 'a>> {
    let coder = coders.get(at).ok_or(io::ErrorKind::InvalidData)?;
    let mut inputs = coder.inputs.iter().map(|from| input(source, coders, from));
    let mut next = || inputs.next().unwrap_or_else(|| Err(io::ErrorKind::InvalidData.into()));
    let out: Box<dyn Read + 'a> = match coder.method {
        Method::Copy => Box::new(next()?),
        Method::Lzma => Box::new(lzma(next()?, coder)?),
        Method::Lzma2 => {
            let stream = Stream::new_raw_decoder(Filters::new().lzma2_properties(&coder.properties)?)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(next()?, stream))
        }
        Method::Deflate => Box::new(flate2::bufread::DeflateDecoder::new(next()?)),
        Method::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(next()?)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Method::Bcj2 => Box::new(Bcj2::new([next()?, next()?, next()?, next()?], coder.size)),
        Method::Filter(filter) => filtered(next()?, filter, coder)?,
    };
    Ok(Box::new(out.take(coder.size)))
}

fn input<'a>(source: &'a dyn ReadAt, coders: &'a [Coder], from: &From) -> io::Result<Box<dyn BufRead + 'a>> {
    Ok(match from {
        From::Packed(range) => {
            let part = Section { source, range: range.clone() };
            Box::new(BufReader::with_capacity(AHEAD, part))
        }
        From::Coder(at) => Box::new(BufReader::with_capacity(AHEAD, coder(source, coders, *at)?)),
    })
}

/// Bytes of the archive.
struct Section<'a> {
    source: &'a dyn ReadAt,
    range: Range<u64>,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = self.source.read_at(&mut buffer[..wanted], self.range.start);
        let count = read.map_err(|source| {
            crate::error::EvidenceError::Read { path: "archive".into(), source }.into_io()
        })?;
        self.range.start += count as u64;
        Ok(count)
    }
}

/// LZMA as 7z has it, with the header that `.lzma` files have: that form knows its size and needs no end marker.
fn lzma<'a>(input: impl BufRead + 'a, coder: &Coder) -> io::Result<impl Read + 'a> {
    if coder.properties.len() != 5 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the properties of LZMA have five bytes"));
    }
    let header = [&coder.properties, &coder.size.to_le_bytes()[..]].concat();
    let stream = Stream::new_lzma_decoder(u64::MAX)?; // Its dictionary was held to the limit already.
    Ok(liblzma::bufread::XzDecoder::new_stream(io::Cursor::new(header).chain(input), stream))
}

/// A filter of liblzma by itself. A chain of its decoders must end in a compressor, so the bytes are dressed as
/// uncompressed chunks of LZMA2.
fn filtered<'a>(input: impl BufRead + 'a, filter: Filter, coder: &Coder) -> io::Result<Box<dyn Read + 'a>> {
    let mut filters = Filters::new();
    let properties = &*coder.properties;
    match (filter, properties.is_empty()) {
        (Filter::Delta, _) => filters.delta_properties(properties)?,
        (Filter::X86, true) => filters.x86(),
        (Filter::X86, false) => filters.x86_properties(properties)?,
        (Filter::PowerPc, true) => filters.powerpc(),
        (Filter::PowerPc, false) => filters.powerpc_properties(properties)?,
        (Filter::Ia64, true) => filters.ia64(),
        (Filter::Ia64, false) => filters.ia64_properties(properties)?,
        (Filter::Arm, true) => filters.arm(),
        (Filter::Arm, false) => filters.arm_properties(properties)?,
        (Filter::ArmThumb, true) => filters.arm_thumb(),
        (Filter::ArmThumb, false) => filters.arm_thumb_properties(properties)?,
        (Filter::Sparc, true) => filters.sparc(),
        (Filter::Sparc, false) => filters.sparc_properties(properties)?,
        (Filter::Arm64, true) => filters.arm64(),
        (Filter::Arm64, false) => filters.arm64_properties(properties)?,
        (Filter::RiscV, true) => filters.riscv(),
        (Filter::RiscV, false) => filters.riscv_properties(properties)?,
    };
    filters.lzma2_properties(&[DRESS_DICTIONARY])?;
    let dressed = Dressed { input, chunk: Vec::new(), at: 0, ended: false };
    let stream = Stream::new_raw_decoder(&filters)?;
    Ok(Box::new(liblzma::read::XzDecoder::new_stream(dressed, stream)))
}

/// The property of a dictionary of 64 KiB (xz file format §5.3.1).
const DRESS_DICTIONARY: u8 = 8;
/// The most that an uncompressed chunk holds.
const DRESS_CHUNK: usize = 64 * 1024;

/// Bytes as chunks of LZMA2 that hold them as they are: a control byte, the length less one, the bytes; 0 ends.
struct Dressed<R> {
    input: R,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: BufRead> Dressed<R> {
    fn refill(&mut self) -> io::Result<()> {
        self.chunk.clear();
        self.at = 0;
        let ready = self.input.fill_buf()?;
        let count = ready.len().min(DRESS_CHUNK);
        if count == 0 {
            self.ended = true;
            self.chunk.push(0);
            return Ok(());
        }
        // 1: a chunk as it is, and the dictionary starts anew.
        self.chunk.push(1);
        self.chunk.extend(u16::try_from(count - 1).unwrap_or(u16::MAX).to_be_bytes());
        self.chunk.extend(&ready[..count]);
        self.input.consume(count);
        Ok(())
    }
}

impl<R: BufRead> Read for Dressed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() && !self.ended {
            self.refill()?;
        }
        let ready = &self.chunk[self.at..];
        let count = ready.len().min(out.len());
        out[..count].copy_from_slice(&ready[..count]);
        self.at += count;
        Ok(count)
    }
}
