//! The signature header, the header at the end (packed or not), and the files that it lists.

use std::io::Read as _;

use seal::{EntryKind, EntryPath, MAX_PATH};

use super::streams::{Input, Streams, id};
use super::{MAGIC, decode, refused, undecodable};
use crate::collector::Collector;
use crate::error::EvidenceError;
use crate::file::DEFAULT_MODE;
use crate::options::Limits;
use crate::source::{ReadAt, read_exact_at};

type Result<T> = std::result::Result<T, EvidenceError>;

/// "SignatureHeader": magic, version, and where the header is.
pub(super) const SIGNATURE_HEADER: usize = 32;
/// The largest header that is read into memory: a million names of usual length.
const MAX_HEADER: u64 = 128 << 20;
/// Dictionaries of one block together: `7z -mx=9` asks for 64 MiB.
pub(super) const MAX_MEMORY: u64 = 128 << 20;
/// `FILE_ATTRIBUTE_UNIX_EXTENSION` of p7zip and 7-Zip: the upper half is a Unix mode.
const UNIX_EXTENSION: u32 = 0x8000;
const ATTRIBUTE_DIRECTORY: u32 = 0x10;
const ATTRIBUTE_REPARSE: u32 = 0x400;
const DIRECTORY_MODE: u32 = 0o755;

/// One file, as the header lists it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) path: EntryPath,
    pub(super) kind: EntryKind,
    pub(super) mode: u32,
}

/// Everything that the archive lists.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) streams: Streams,
    /// In the order of the files that have content, block by block; `None` for one whose name or kind was refused.
    pub(super) items: Vec<Option<Item>>,
    /// Those without content.
    pub(super) empty: Vec<Item>,
}

/// Reads the header.
pub(super) fn read(source: &dyn ReadAt, limits: &Limits, collector: &mut Collector<'_>) -> Result<Listing> {
    let Some(header) = find(source)? else { return Ok(Listing::default()) };
    let header = unpacked(source, header, limits)?;
    let mut input = Input(&header);
    input.expect(id::HEADER)?;
    let mut streams = Streams::default();
    let mut files = None;
    loop {
        match input.byte()? {
            id::END => break,
            id::ARCHIVE_PROPERTIES => skip_properties(&mut input)?,
            id::MAIN_STREAMS if files.is_none() => {
                streams = Streams::read(&mut input, room(source), limits.entries)?;
            }
            id::FILES if files.is_none() => files = Some(Files::read(&mut input, limits)?),
            _ => return Err(refused("its header holds something that is not read here")),
        }
    }
    if !input.0.is_empty() {
        return Err(refused("its header is longer than what it lists"));
    }
    files.unwrap_or_default().into_listing(streams, collector)
}

/// Where packed streams and the header may lie: behind the signature header.
fn room(source: &dyn ReadAt) -> u64 {
    source.size().saturating_sub(SIGNATURE_HEADER as u64)
}

/// The bytes of the header, checked; `None` in an empty archive, which has none.
fn find(source: &dyn ReadAt) -> Result<Option<Vec<u8>>> {
    let mut start = [0; SIGNATURE_HEADER];
    read_at(source, &mut start, 0)?;
    let u32_at = |at: usize| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    if !start.starts_with(MAGIC) || start[6] != 0 {
        return Err(refused("it is of a version that is not known here"));
    }
    if crc32fast::hash(&start[12..]) != u32_at(8) {
        return Err(refused("the CRC of its first header is wrong"));
    }
    let (offset, size, crc) = (u64_at(12), u64_at(20), u32_at(28));
    let end = offset.checked_add(size).filter(|end| *end <= room(source));
    if end.is_none() {
        return Err(refused("its header lies outside of it: it is truncated"));
    }
    if size == 0 {
        return Ok(None);
    }
    let mut header = vec![0; length(size)?];
    read_at(source, &mut header, offset + SIGNATURE_HEADER as u64)?;
    match crc32fast::hash(&header) == crc {
        true => Ok(Some(header)),
        false => Err(refused("the CRC of its header is wrong")),
    }
}

fn length(size: u64) -> Result<usize> {
    let fits = (size <= MAX_HEADER).then(|| usize::try_from(size).ok()).flatten();
    fits.ok_or_else(|| refused("its header is longer than 128 MiB"))
}

fn read_at(source: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> Result<()> {
    read_exact_at(source, buffer, offset).map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => refused("it is truncated"),
        _ => EvidenceError::Read { path: "archive".into(), source },
    })
}

/// A header that is packed itself, unpacked: once, writers do no more.
fn unpacked(source: &dyn ReadAt, header: Vec<u8>, limits: &Limits) -> Result<Vec<u8>> {
    let mut input = Input(&header);
    if input.byte()? != id::ENCODED_HEADER {
        return Ok(header);
    }
    let streams = Streams::read(&mut input, room(source), limits.entries)?;
    let ([block], [parts]) = (&streams.blocks[..], &streams.parts[..]) else {
        return Err(refused("its header is packed into several blocks"));
    };
    let coders = block.coders.as_ref().map_err(|why| {
        refused(if *why == "it is encrypted" { "its list of entries is encrypted" } else { why })
    })?;
    if block.memory() > MAX_MEMORY {
        return Err(refused("its header asks for more than 128 MiB to unpack"));
    }
    let mut out = Vec::new();
    let reader = decode::reader(source, block, coders).map_err(undecodable)?;
    reader.take(length(block.size())? as u64).read_to_end(&mut out).map_err(undecodable)?;
    let crc = parts.first().and_then(|part| part.crc);
    let sound = out.len() as u64 == block.size() && crc.is_none_or(|crc| crc == crc32fast::hash(&out));
    if sound { Ok(out) } else { Err(refused("its header does not unpack to what it says")) }
}

fn skip_properties(input: &mut Input<'_>) -> Result<()> {
    while input.byte()? != id::END {
        let size = input.count(input.0.len() as u64)?;
        input.take(size)?;
    }
    Ok(())
}

/// "FilesInfo".
#[derive(Default)]
struct Files {
    count: usize,
    names: Vec<Vec<u8>>,
    attributes: Vec<Option<u32>>,
    /// Which have no content, and which of these are files.
    empty: Vec<bool>,
    empty_files: Vec<bool>,
}

impl Files {
    fn read(input: &mut Input<'_>, limits: &Limits) -> Result<Self> {
        let count = input.number()?;
        if count > limits.entries {
            let limit = limits.entries;
            return Err(EvidenceError::Limit { what: "entries", limit, field: "entries" });
        }
        let count = usize::try_from(count).map_err(|_| refused("its header counts too much"))?;
        let mut files = Self { count, empty: vec![false; count], ..Self::default() };
        loop {
            let property = input.byte()?;
            if property == id::END {
                break;
            }
            let size = input.count(input.0.len() as u64)?;
            let mut body = Input(input.take(size)?);
            match property {
                id::EMPTY_STREAM => files.empty = body.bits(count)?,
                id::EMPTY_FILE => {
                    let empty = files.empty.iter().filter(|empty| **empty).count();
                    files.empty_files = body.bits(empty)?;
                }
                id::ANTI => return Err(refused("it holds orders to delete files")),
                id::NAMES => files.names = names(&mut body, count)?,
                id::ATTRIBUTES => files.attributes = attributes(&mut body, count)?,
                // Times, comments and padding: bytes of the container.
                _ => {}
            }
        }
        if files.names.len() != count {
            return Err(refused("it has entries without names"));
        }
        Ok(files)
    }

    /// Holds the files against the streams: every part of a block belongs to one.
    fn into_listing(self, streams: Streams, collector: &mut Collector<'_>) -> Result<Listing> {
        let parts: usize = streams.parts.iter().map(Vec::len).sum();
        if self.count - self.empty.iter().filter(|empty| **empty).count() != parts {
            return Err(refused("it has another number of files than of contents"));
        }
        let mut listing = Listing { streams, ..Listing::default() };
        let mut empty_files = self.empty_files.into_iter();
        for (at, name) in self.names.into_iter().enumerate() {
            let has_content = !self.empty[at];
            let is_file = has_content || empty_files.next().unwrap_or(false);
            let attributes = self.attributes.get(at).copied().flatten();
            let item = match item(&name, attributes, is_file, has_content) {
                Ok(item) => Some(item),
                Err(error) => {
                    collector.fault(&shown(&name), error)?;
                    None
                }
            };
            match has_content {
                true => listing.items.push(item),
                false => listing.empty.extend(item),
            }
        }
        Ok(listing)
    }
}

fn inline(body: &mut Input<'_>) -> Result<()> {
    match body.byte()? {
        0 => Ok(()),
        _ => Err(refused("a part of its header stands in another stream")),
    }
}

/// UTF-16, each ended by a zero; given as UTF-8, or as the bytes that they are when they are no text.
fn names(body: &mut Input<'_>, count: usize) -> Result<Vec<Vec<u8>>> {
    inline(body)?;
    let mut out = Vec::new();
    let mut units = body.0.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    for _ in 0..count {
        let mut name = Vec::new();
        loop {
            match units.next() {
                None => return Err(refused("its names are cut off")),
                Some(0) => break,
                Some(unit) => name.push(unit),
            }
        }
        let text = String::from_utf16(&name).map(String::into_bytes);
        // 0xff is in no UTF-8: such a name is refused, and shown escaped.
        out.push(text.unwrap_or_else(|_| [&[0xff], &*String::from_utf16_lossy(&name).into_bytes()].concat()));
    }
    match units.next() {
        None => Ok(out),
        Some(_) => Err(refused("it has more names than entries")),
    }
}

fn attributes(body: &mut Input<'_>, count: usize) -> Result<Vec<Option<u32>>> {
    let known = body.optional_bits(count)?;
    inline(body)?;
    known.into_iter().map(|known| known.then(|| body.u32()).transpose()).collect()
}

fn shown(name: &[u8]) -> String {
    std::str::from_utf8(name).map_or_else(|_| seal::escape(name), str::to_owned)
}

fn item(name: &[u8], attributes: Option<u32>, is_file: bool, has_content: bool) -> Result<Item> {
    let text = std::str::from_utf8(name).map_err(|_| EvidenceError::Name { name: seal::escape(name) })?;
    let path = EntryPath::new(text)?;
    let wrong = |why| EvidenceError::entry(path.as_str(), why);
    let attributes = attributes.unwrap_or(0);
    let unix = (attributes & UNIX_EXTENSION != 0).then_some(attributes >> 16);
    let kind = match unix.map(|mode| mode & 0o170_000) {
        Some(0o120_000) => EntryKind::Symlink,
        Some(0o040_000) => EntryKind::Directory,
        Some(0o100_000 | 0) => EntryKind::File,
        Some(_) => return Err(wrong("it is a special file")),
        None if attributes & ATTRIBUTE_REPARSE != 0 => {
            return Err(wrong("it is a reparse point of Windows"));
        }
        None if attributes & ATTRIBUTE_DIRECTORY != 0 || !is_file => EntryKind::Directory,
        None => EntryKind::File,
    };
    match kind {
        EntryKind::Directory if is_file => Err(wrong("it is a directory with content")),
        EntryKind::File if !is_file => Err(wrong("it is a file by its mode and a directory by its place")),
        EntryKind::Symlink if !has_content => Err(wrong("the target of a symbolic link has 1 to 4096 bytes")),
        _ => {
            let usual = if kind == EntryKind::Directory { DIRECTORY_MODE } else { DEFAULT_MODE };
            let mode = unix.filter(|mode| *mode != 0).unwrap_or(usual);
            Ok(Item { path, kind, mode })
        }
    }
}

/// Bytes that the target of a symbolic link may have.
pub(super) const MAX_TARGET: u64 = MAX_PATH as u64;
