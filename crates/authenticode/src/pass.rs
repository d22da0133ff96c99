//! One pass over an image: every digest, page hashes and the checksum together, and a copy where one is wanted.
//!
//! Memory is one buffer, whatever the size of the file. The digest is that of the specification ("Calculating the PE
//! Image Hash"): everything but the checksum, the certificate table's directory entry and the table itself, in the
//! order of the file; bytes after the last section count too, and a signer fills the end up to a multiple of eight.

use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

use pkix::{Digest, Hasher};

use crate::checksum::Checksum;
use crate::error::{AuthenticodeError, Result};
use crate::image::Image;
use crate::pages::Pages;

/// Bytes taken at a time: they stay in the second-level cache between reading and hashing.
const CHUNK: usize = 128 * 1024;
/// Bytes written at a time. A destination that bypasses the system's cache ([`ALIGNMENT`]) waits for the disk at every
/// write: with pieces of this size that costs a quarter of the processor time of [`CHUNK`].
const PIECE: usize = 1 << 20;
/// Every piece that is handed to the copy lies at such an address, and begins at such an offset: the largest block of
/// a disk in use, which writing past the cache demands (`O_DIRECT`, open(2)).
pub const ALIGNMENT: usize = 4096;

/// What a pass is to compute.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Digests of the image.
    pub digests: Vec<Digest>,
    /// Page hashes under these.
    pub pages: Vec<Digest>,
}

/// What a pass found.
#[derive(Clone, Debug)]
pub struct Found {
    digests: Vec<(Digest, Vec<u8>)>,
    pages: Vec<(Digest, Vec<u8>)>,
    /// Zeros that were added to the end of the content.
    pub padding: u64,
    /// Checksum of the content, the two fields counted as zero.
    checksum: Checksum,
}

impl Found {
    /// The checksum of the file with this directory entry for its certificate table, and this table.
    pub(crate) fn checksum(&self, image: &Image, entry: &[u8], table: &[u8]) -> u32 {
        let mut checksum = self.checksum.clone();
        if !table.is_empty() {
            checksum.update(&[0; 8][..usize::try_from(self.padding).unwrap_or(0)]);
        }
        checksum.update(table);
        checksum.put(image.security_at, entry);
        checksum.finish()
    }

    /// The checksum of the file as it is.
    pub(crate) fn file_checksum(&self, image: &Image, table: &[u8]) -> u32 {
        let (at, size) = image.directories.get(4).copied().unwrap_or_default();
        self.checksum(image, &[at.to_le_bytes(), size.to_le_bytes()].concat(), table)
    }

    pub(crate) fn forget_pages(&mut self) {
        self.pages.clear();
    }

    /// The digest of the image, if it was wanted.
    #[must_use]
    pub fn digest(&self, digest: Digest) -> Option<&[u8]> {
        self.digests.iter().find(|(known, _)| *known == digest).map(|(_, value)| value.as_slice())
    }

    /// The page hashes, if they were wanted.
    #[must_use]
    pub fn pages(&self, digest: Digest) -> Option<&[u8]> {
        self.pages.iter().find(|(known, _)| *known == digest).map(|(_, value)| value.as_slice())
    }
}

/// Reads the image from its start to its certificate table.
///
/// # Errors
/// When it cannot be read, or its pages cannot be hashed.
pub fn digest(source: &mut (impl Read + Seek), image: &Image, wanted: &Wanted) -> Result<Found> {
    run(source, image, wanted, None::<&mut std::io::Sink>)
}

/// As [`digest`], writing what was read to `copy`, the two fields as zeros and the end filled up to a multiple of eight.
///
/// # Errors
/// As [`digest`], and when the copy cannot be written.
pub(crate) fn copy(
    source: &mut (impl Read + Seek),
    image: &Image,
    wanted: &Wanted,
    copy: &mut impl Write,
) -> Result<Found> {
    run(source, image, wanted, Some(copy))
}

fn run(
    source: &mut (impl Read + Seek),
    image: &Image,
    wanted: &Wanted,
    mut copy: Option<&mut impl Write>,
) -> Result<Found> {
    source.seek(SeekFrom::Start(0)).map_err(AuthenticodeError::read)?;
    let mut pass = Pass::new(image, wanted)?;
    let end = image.content_end();
    let piece = if copy.is_some() { PIECE } else { CHUNK };
    let mut buffer = Buffer::new(piece.min(index(end)));
    let mut at = 0;
    while at < end {
        let room = &mut buffer.room()[..index(end - at).min(piece)];
        for chunk in room.chunks_mut(CHUNK) {
            source.read_exact(chunk).map_err(AuthenticodeError::read)?;
            pass.update(at, chunk);
            at += chunk.len() as u64;
        }
        if let Some(copy) = &mut copy {
            copy.write_all(room).map_err(AuthenticodeError::write)?;
        }
    }
    let padding = end.next_multiple_of(8) - end;
    let zeros = &[0; 8][..index(padding)];
    // A signed file's content ends at a multiple of eight already.
    pass.content(zeros);
    if let Some(copy) = &mut copy {
        copy.write_all(zeros).map_err(AuthenticodeError::write)?;
    }
    Ok(pass.finish(padding))
}

/// Bytes that begin at a multiple of [`ALIGNMENT`].
struct Buffer {
    bytes: Vec<u8>,
    from: usize,
}

impl Buffer {
    fn new(size: usize) -> Self {
        let bytes = vec![0; size + ALIGNMENT];
        // Where it cannot be said (`usize::MAX`), the start will do: the destination looks for itself.
        let from = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { bytes, from }
    }

    fn room(&mut self) -> &mut [u8] {
        let size = self.bytes.len() - ALIGNMENT;
        &mut self.bytes[self.from..self.from + size]
    }
}

pub(crate) struct Pass {
    /// The fields left out, in the order of the file.
    fields: [Range<u64>; 2],
    hashers: Vec<(Digest, Hasher)>,
    pages: Vec<(Digest, Pages)>,
    checksum: Checksum,
}

impl Pass {
    pub(crate) fn new(image: &Image, wanted: &Wanted) -> Result<Self> {
        let mut digests = wanted.digests.clone();
        digests.dedup();
        let pages = wanted.pages.iter().map(|digest| Ok((*digest, Pages::new(image, *digest)?)));
        Ok(Self {
            fields: [image.checksum_at..image.checksum_at + 4, image.security_at..image.security_at + 8],
            hashers: digests.into_iter().map(|digest| (digest, digest.hasher())).collect(),
            pages: pages.collect::<Result<_>>()?,
            checksum: Checksum::default(),
        })
    }

    /// Takes the bytes at `at`, and makes zeros of the two fields in them.
    fn update(&mut self, at: u64, bytes: &mut [u8]) {
        let end = at + bytes.len() as u64;
        for field in self.fields.clone() {
            let (start, stop) = (field.start.clamp(at, end), field.end.clamp(at, end));
            bytes[index(start - at)..index(stop - at)].fill(0);
        }
        self.observe(at, bytes);
    }

    /// Takes the bytes at `at`; the two fields in them count for nothing.
    pub(crate) fn observe(&mut self, at: u64, bytes: &[u8]) {
        let end = at + bytes.len() as u64;
        let mut from = at;
        for field in self.fields.clone() {
            let (start, stop) = (field.start.clamp(from, end), field.end.clamp(from, end));
            if start < stop {
                self.take(from, &bytes[index(from - at)..index(start - at)]);
                self.checksum.update(&bytes[index(from - at)..index(start - at)]);
                self.checksum.update(&[0; 8][..index(stop - start)]);
                from = stop;
            }
        }
        let rest = &bytes[index(from - at)..];
        self.take(from, rest);
        self.checksum.update(rest);
    }

    fn take(&mut self, at: u64, bytes: &[u8]) {
        // Page hashes take a digest of the whole along: two under SHA-256 cost little more than one.
        let mut hashers = self.hashers.iter_mut().map(|(_, hasher)| hasher);
        for (_, pages) in &mut self.pages {
            pages.update(at, bytes, hashers.next());
        }
        hashers.for_each(|hasher| hasher.update(bytes));
    }

    pub(crate) fn content(&mut self, bytes: &[u8]) {
        for (_, hasher) in &mut self.hashers {
            hasher.update(bytes);
        }
    }

    pub(crate) fn finish(self, padding: u64) -> Found {
        Found {
            digests: self.hashers.into_iter().map(|(digest, hasher)| (digest, hasher.finish())).collect(),
            pages: self.pages.into_iter().map(|(digest, pages)| (digest, pages.finish())).collect(),
            padding,
            checksum: self.checksum,
        }
    }
}

/// A length or an offset within memory.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
