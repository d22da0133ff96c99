//! Resources in the image: a new section behind the others, or the old one at its new size.
//!
//! Whatever stands behind the sections (symbols, an archive that the program reads from itself) moves along, and the
//! fields that point there with it. The image is copied as a stream; only its headers and its resources are in memory.

use std::io::{Read, Seek, SeekFrom, Write};

use super::{MAX_BYTES, Resources};
use crate::checksum::Checksum;
use crate::error::{AuthenticodeError, Result};
use crate::image::{Image, Section};

/// Indices of data directories (PE Format, "Optional Header Data Directories").
const RESOURCE: usize = 2;
const RELOCATION: usize = 5;
const DEBUG: usize = 6;
/// Bytes of an entry of the section table, and of the debug directory.
const SECTION_ENTRY: u64 = 40;
const DEBUG_ENTRY: u64 = 28;
/// More debug entries than this has no linker written.
const MAX_DEBUG: u64 = 64;
/// Initialised data that can be read.
const CHARACTERISTICS: u32 = 0x4000_0040;
/// What is copied at a time.
const CHUNK: usize = 128 * 1024;

/// What else changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// The `TimeDateStamp`; none to keep the one that is there.
    pub time: Option<u32>,
    /// Whether a signature may be taken away: it would be of another image.
    pub drop_signature: bool,
}

/// How the resources came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    /// As a new section.
    Appended,
    /// In the place of the old section.
    Replaced,
    /// There are none, and there were none.
    Nothing,
}

fn unsuitable(why: impl Into<String>) -> AuthenticodeError {
    AuthenticodeError::unsuitable("put resources into it", why)
}

/// The resources as they stand in an image: where, and the section from there to its end.
///
/// # Errors
/// When the image says that it has some and does not, or they cannot be read.
pub fn existing(source: &mut (impl Read + Seek), image: &Image) -> Result<Option<(u32, Vec<u8>)>> {
    let Some((rva, _)) = directory(image, RESOURCE) else { return Ok(None) };
    let bad = |why: &str| AuthenticodeError::malformed("resource directory", why);
    let section = containing(image, rva).ok_or_else(|| bad("it stands in no section"))?;
    let at = image.offset_of(rva).ok_or_else(|| bad("it stands beyond the end of its section"))?;
    let end = section.file_range().end.min(image.content_end());
    let length = end.checked_sub(at).and_then(|length| usize::try_from(length).ok());
    let length =
        length.filter(|length| *length <= MAX_BYTES).ok_or_else(|| bad("it is larger than 512 MiB"))?;
    let mut bytes = Vec::new();
    source.seek(SeekFrom::Start(at)).map_err(AuthenticodeError::read)?;
    source.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(AuthenticodeError::read)?;
    if bytes.len() != length {
        return Err(bad("its section reaches beyond the end of the file"));
    }
    Ok(Some((rva, bytes)))
}

fn directory(image: &Image, index: usize) -> Option<(u32, u32)> {
    image.directories.get(index).copied().filter(|(rva, size)| *rva != 0 && *size != 0)
}

fn containing(image: &Image, rva: u32) -> Option<&Section> {
    image.sections.iter().find(|section| {
        let size = section.virtual_size.max(section.raw_size);
        rva.checked_sub(section.virtual_address).is_some_and(|within| within < size)
    })
}

/// Copies the image with these resources, and with a checksum that is right.
///
/// # Errors
/// When it is signed and may not lose its signature, when there is no room in its headers or behind its resources, or
/// when it cannot be read or written.
pub fn write(
    source: &mut (impl Read + Seek),
    image: &Image,
    resources: &Resources<'_>,
    options: Options,
    destination: &mut (impl Write + Seek),
) -> Result<Placed> {
    if image.table.is_some() && !options.drop_signature {
        return Err(unsuitable("it is signed, and the signature would be of another image"));
    }
    let mut plan = Plan::new(source, image)?;
    let placed = match (own_section(image), resources.is_empty()) {
        (Some(index), _) => plan.replace(image, index, resources)?,
        (None, true) => Placed::Nothing,
        (None, false) => plan.append(image, resources)?,
    };
    plan.shift_pointers(source, image)?;
    plan.finish_headers(image, options)?;
    plan.copy(source, image, destination)?;
    Ok(placed)
}

/// The section that holds the resources and nothing else, as far as the headers show.
fn own_section(image: &Image) -> Option<usize> {
    let (rva, _) = directory(image, RESOURCE)?;
    image.sections.iter().position(|section| section.virtual_address == rva)
}

/// The copy, as far as it is known.
struct Plan {
    /// Everything before the first section's bytes.
    head: Vec<u8>,
    /// Where the section table and the other fields stand.
    pe: usize,
    sections: Vec<Section>,
    /// Where the old bytes end and the new ones begin, in the source.
    cut: u64,
    /// Zeros before the new bytes.
    padding: u64,
    /// The new bytes.
    fresh: Vec<u8>,
    /// Where the source goes on.
    resume: u64,
    /// Changes within what is copied: place in the source, bytes.
    patches: Vec<(u64, [u8; 4])>,
}

impl Plan {
    fn new(source: &mut (impl Read + Seek), image: &Image) -> Result<Self> {
        let (file, section) = (image.file_alignment, image.section_alignment);
        let sane = file.is_power_of_two() && section.is_power_of_two() && (512..=65_536).contains(&file);
        // Below the size of a page every byte stands in memory where it stands in the file.
        if !sane || section < 4096 || section < file || section > 1 << 24 {
            return Err(unsuitable("its sections are not aligned to pages"));
        }
        let first = image.sections.iter().filter(|s| s.raw_size != 0).map(|s| u64::from(s.raw_at)).min();
        // Without any, the headers end where they say: what stands behind is content, and stays behind a new section.
        let end = first.unwrap_or(image.size_of_headers.into()).min(image.content_end());
        let table_end = image.sections_at + SECTION_ENTRY * image.sections.len() as u64;
        if end < table_end || end > 1 << 20 {
            return Err(unsuitable("a section stands within its headers, or after their first megabyte"));
        }
        let mut head = Vec::new();
        source.seek(SeekFrom::Start(0)).map_err(AuthenticodeError::read)?;
        source.by_ref().take(end).read_to_end(&mut head).map_err(AuthenticodeError::read)?;
        let pe = usize::try_from(image.checksum_at).ok().and_then(|at| at.checked_sub(88));
        match pe {
            Some(pe) if head.len() as u64 == end => Ok(Self {
                head,
                pe,
                sections: image.sections.clone(),
                cut: image.content_end(),
                padding: 0,
                fresh: Vec::new(),
                resume: image.content_end(),
                patches: Vec::new(),
            }),
            _ => Err(unsuitable("it was cut off while it was read")),
        }
    }

    /// A section of its own, behind all others in memory and in the file.
    fn append(&mut self, image: &Image, resources: &Resources<'_>) -> Result<Placed> {
        let at = image.sections_at + SECTION_ENTRY * image.sections.len() as u64;
        let end = usize::try_from(at + SECTION_ENTRY).unwrap_or(usize::MAX);
        let room = u64::from(image.size_of_headers).min(self.head.len() as u64) >= at + SECTION_ENTRY;
        let start = end - usize::try_from(SECTION_ENTRY).unwrap_or(0);
        if image.sections.len() >= 96 || !room || self.head[start..end].iter().any(|byte| *byte != 0) {
            return Err(unsuitable("its headers have no room for another section"));
        }
        // Behind the headers too, which sections of nothing at address zero are not: address zero is no directory.
        let memory_end = image.sections.iter().map(memory_end).max().unwrap_or(0);
        let memory_end = memory_end.max(image.size_of_headers.into());
        let rva = narrow(aligned(memory_end, image.section_alignment))?;
        let file_end = image.sections.iter().filter(|s| s.raw_size != 0).map(|s| s.file_range().end).max();
        let file_end = file_end.unwrap_or(image.size_of_headers.into());
        if file_end > image.content_end() {
            return Err(unsuitable("a section reaches beyond the end of the file"));
        }
        let raw_at = aligned(file_end, image.file_alignment);
        let (fresh, virtual_size) = self.section(image, resources, rva)?;
        (self.cut, self.resume, self.padding) = (file_end, file_end, raw_at - file_end);
        self.sections.push(Section {
            name: ".rsrc".to_owned(),
            virtual_size,
            virtual_address: rva,
            raw_size: narrow(fresh.len() as u64)?,
            raw_at: narrow(raw_at)?,
            characteristics: CHARACTERISTICS,
        });
        self.fresh = fresh;
        // Its header, as far as it is not written with those of the others.
        self.head[start..start + 5].copy_from_slice(b".rsrc");
        self.head[start + 36..end].copy_from_slice(&CHARACTERISTICS.to_le_bytes());
        self.set_directory(image, RESOURCE, (rva, virtual_size))?;
        Ok(Placed::Appended)
    }

    /// The old section with other bytes; relocations behind it in memory make room.
    fn replace(&mut self, image: &Image, index: usize, resources: &Resources<'_>) -> Result<Placed> {
        let old = image.sections[index].clone();
        if old.raw_size == 0 || old.file_range().end > image.content_end() {
            return Err(unsuitable("its section of resources reaches beyond the end of the file"));
        }
        let (fresh, virtual_size) = self.section(image, resources, old.virtual_address)?;
        let end = aligned(u64::from(old.virtual_address) + u64::from(virtual_size), image.section_alignment);
        let behind: Vec<usize> = (0..image.sections.len())
            .filter(|i| image.sections[*i].virtual_address > old.virtual_address)
            .collect();
        let next = behind.iter().map(|i| u64::from(image.sections[*i].virtual_address)).min();
        if next.is_some_and(|next| end > next) {
            let relocation = directory(image, RELOCATION);
            match (behind.as_slice(), relocation) {
                // Nothing in the image points at relocations but the directory.
                ([only], Some((rva, size))) if image.sections[*only].virtual_address == rva => {
                    let rva = narrow(end)?;
                    self.sections[*only].virtual_address = rva;
                    self.set_directory(image, RELOCATION, (rva, size))?;
                }
                _ => {
                    return Err(unsuitable(
                        "sections stand behind its resources, and there is no room between them",
                    ));
                }
            }
        }
        (self.cut, self.resume) = (u64::from(old.raw_at), old.file_range().end);
        let section = &mut self.sections[index];
        (section.virtual_size, section.raw_size) = (virtual_size, narrow(fresh.len() as u64)?);
        self.fresh = fresh;
        let directory = if resources.is_empty() { (0, 0) } else { (old.virtual_address, virtual_size) };
        self.set_directory(image, RESOURCE, directory)?;
        Ok(Placed::Replaced)
    }

    /// The bytes of the section, filled up to the alignment of the file, and their number before that.
    fn section(&self, image: &Image, resources: &Resources<'_>, rva: u32) -> Result<(Vec<u8>, u32)> {
        let mut bytes = resources.to_section(rva)?;
        let size = narrow(bytes.len() as u64)?;
        let padded = aligned(bytes.len() as u64, image.file_alignment);
        bytes.resize(usize::try_from(padded).unwrap_or(usize::MAX), 0);
        Ok((bytes, size))
    }

    /// How far what stands behind the new bytes moves.
    fn delta(&self) -> i64 {
        let added = self.padding + self.fresh.len() as u64;
        i64::try_from(added).unwrap_or(0) - i64::try_from(self.resume - self.cut).unwrap_or(0)
    }

    /// Where a place of the source stands in the copy; zero stays zero.
    fn moved(&self, at: u32) -> Result<u32> {
        if at == 0 || u64::from(at) < self.resume {
            return Ok(at);
        }
        u32::try_from(i64::from(at) + self.delta())
            .map_err(|_| unsuitable("the file would be larger than 4 GiB"))
    }

    /// Every field with an offset in the file: of sections, of symbols, of debug data.
    fn shift_pointers(&mut self, source: &mut (impl Read + Seek), image: &Image) -> Result<()> {
        for index in 0..image.sections.len() {
            if image.sections[index].raw_at != 0 && u64::from(image.sections[index].raw_at) >= self.resume {
                self.sections[index].raw_at = self.moved(image.sections[index].raw_at)?;
            }
            let entry = self.entry(image, index);
            for pointer in [entry + 24, entry + 28] {
                let moved = self.moved(self.u32(pointer))?;
                self.put(pointer, moved);
            }
        }
        let symbols = self.moved(self.u32(self.pe + 12))?;
        self.put(self.pe + 12, symbols);
        let Some((rva, size)) = directory(image, DEBUG) else { return Ok(()) };
        let Some(at) = image.offset_of(rva) else { return Ok(()) };
        for index in 0..(u64::from(size) / DEBUG_ENTRY).min(MAX_DEBUG) {
            let field = at + index * DEBUG_ENTRY + 24;
            let mut bytes = [0; 4];
            source
                .seek(SeekFrom::Start(field))
                .and_then(|_| source.read_exact(&mut bytes))
                .map_err(AuthenticodeError::read)?;
            let moved = self.moved(u32::from_le_bytes(bytes))?.to_le_bytes();
            if moved != bytes {
                self.patches.push((field, moved));
            }
        }
        Ok(())
    }

    fn entry(&self, image: &Image, index: usize) -> usize {
        usize::try_from(image.sections_at + SECTION_ENTRY * index as u64).unwrap_or(0)
    }

    fn finish_headers(&mut self, image: &Image, options: Options) -> Result<()> {
        let initialised = |sections: &[Section]| -> i64 {
            sections.iter().filter(|s| s.characteristics & 0x40 != 0).map(|s| i64::from(s.raw_size)).sum()
        };
        let more = initialised(&self.sections) - initialised(&image.sections);
        let optional = self.pe + 24;
        let size = u32::try_from(i64::from(self.u32(optional + 8)) + more).unwrap_or(0);
        self.put(optional + 8, size);
        let memory = self.sections.iter().map(memory_end).max().unwrap_or(image.size_of_headers.into());
        self.put(optional + 56, narrow(aligned(memory, image.section_alignment))?);
        for index in 0..self.sections.len() {
            let (section, entry) = (self.sections[index].clone(), self.entry(image, index));
            let fields = [section.virtual_size, section.virtual_address, section.raw_size, section.raw_at];
            for (field, place) in fields.into_iter().zip([8, 12, 16, 20]) {
                self.put(entry + place, field);
            }
        }
        let count = u16::try_from(self.sections.len()).unwrap_or(u16::MAX);
        self.head[self.pe + 6..self.pe + 8].copy_from_slice(&count.to_le_bytes());
        if let Some(time) = options.time {
            self.put(self.pe + 8, time);
        }
        let security = usize::try_from(image.security_at).unwrap_or(0);
        self.head[security..security + 8].fill(0);
        let checksum = usize::try_from(image.checksum_at).unwrap_or(0);
        self.head[checksum..checksum + 4].fill(0);
        Ok(())
    }

    fn set_directory(&mut self, image: &Image, index: usize, (rva, size): (u32, u32)) -> Result<()> {
        if index >= image.directories.len() {
            return Err(unsuitable("its headers have no directory for them"));
        }
        // That of the certificate table is the fifth.
        let at = usize::try_from(image.security_at).unwrap_or(0) - 32 + 8 * index;
        self.put(at, rva);
        self.put(at + 4, size);
        Ok(())
    }

    fn u32(&self, at: usize) -> u32 {
        let field = self.head.get(at..at + 4).map_or([0; 4], |b| [b[0], b[1], b[2], b[3]]);
        u32::from_le_bytes(field)
    }

    fn put(&mut self, at: usize, field: u32) {
        if let Some(place) = self.head.get_mut(at..at + 4) {
            place.copy_from_slice(&field.to_le_bytes());
        }
    }

    fn copy(
        &mut self,
        source: &mut (impl Read + Seek),
        image: &Image,
        destination: &mut (impl Write + Seek),
    ) -> Result<()> {
        let end = image.content_end();
        let total = i64::try_from(end).unwrap_or(i64::MAX).saturating_add(self.delta());
        if u32::try_from(total).is_err() {
            return Err(unsuitable("the file would be larger than 4 GiB"));
        }
        let start = self.head.len() as u64;
        let mut head = std::mem::take(&mut self.head);
        for (at, bytes) in self.patches.iter().filter(|(at, _)| at + 4 <= start) {
            let at = usize::try_from(*at).unwrap_or(0);
            head[at..at + 4].copy_from_slice(bytes);
        }
        let mut out = Out { destination, checksum: Checksum::default() };
        out.put(&head)?;
        self.stream(source, start..self.cut, &mut out)?;
        out.put(&vec![0; usize::try_from(self.padding).unwrap_or(0)])?;
        out.put(&self.fresh)?;
        self.stream(source, self.resume..end, &mut out)?;
        let checksum = out.checksum.finish().to_le_bytes();
        destination
            .seek(SeekFrom::Start(image.checksum_at))
            .and_then(|_| destination.write_all(&checksum))
            .map_err(AuthenticodeError::write)
    }

    /// Copies a part of the source, changed where a pointer in it moved.
    fn stream(
        &self,
        source: &mut (impl Read + Seek),
        part: std::ops::Range<u64>,
        out: &mut Out<'_, impl Write>,
    ) -> Result<()> {
        source.seek(SeekFrom::Start(part.start)).map_err(AuthenticodeError::read)?;
        let mut buffer = vec![0; CHUNK];
        let mut at = part.start;
        while at < part.end {
            let room = usize::try_from((part.end - at).min(CHUNK as u64)).unwrap_or(CHUNK);
            let chunk = &mut buffer[..room];
            source.read_exact(chunk).map_err(AuthenticodeError::read)?;
            for (patch, bytes) in &self.patches {
                for (place, byte) in (*patch..).zip(bytes) {
                    if let Some(within) = place.checked_sub(at)
                        && let Some(target) = usize::try_from(within).ok().and_then(|i| chunk.get_mut(i))
                    {
                        *target = *byte;
                    }
                }
            }
            out.put(chunk)?;
            at += room as u64;
        }
        Ok(())
    }
}

/// What is written, and its checksum.
struct Out<'d, W> {
    destination: &'d mut W,
    checksum: Checksum,
}

impl<W: Write> Out<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.checksum.update(bytes);
        self.destination.write_all(bytes).map_err(AuthenticodeError::write)
    }
}

/// Where a section ends in memory; linkers that leave the size out mean that of the file.
fn memory_end(section: &Section) -> u64 {
    let size = if section.virtual_size == 0 { section.raw_size } else { section.virtual_size };
    u64::from(section.virtual_address) + u64::from(size)
}

fn aligned(at: u64, alignment: u32) -> u64 {
    at.next_multiple_of(u64::from(alignment))
}

fn narrow(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| unsuitable("it would be larger than 4 GiB"))
}
