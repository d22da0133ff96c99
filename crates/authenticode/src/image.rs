//! The headers of a PE image (Microsoft, PE Format): where the three places are that a signature leaves out, and what
//! stands where.
//!
//! Reads the first bytes and the section table only, whatever the size of the file.

use std::io::{Read, Seek, SeekFrom};

use crate::error::{AuthenticodeError, Result};

/// Bytes from the start of the file in which the headers must lie. Linkers put them within the first page; the limit
/// of the loader is higher, and no one gets near it.
const MAX_HEADERS: u64 = 1 << 20;
/// The usual headers come with the first read.
pub(crate) const FIRST: u64 = 4096;
/// The loader's limit since Windows Vista.
const MAX_SECTIONS: u16 = 96;
/// The certificate table is addressed by 32 bits, and so is the file.
const MAX_FILE: u64 = u32::MAX as u64;
/// Index of the certificate table among the data directories.
const SECURITY: usize = 4;

/// Where everything is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// Bytes of the file.
    pub file_size: u64,
    /// `Machine`, as 0x8664 for x86-64.
    pub machine: u16,
    /// Whether it is PE32+.
    pub is_64: bool,
    /// `TimeDateStamp`.
    pub time_date_stamp: u32,
    /// `Characteristics` of the file header; 0x2000 is a DLL.
    pub characteristics: u16,
    /// `Subsystem`; 1 is native, so a driver.
    pub subsystem: u16,
    /// `DllCharacteristics`; 0x80 demands integrity checks.
    pub dll_characteristics: u16,
    /// `SectionAlignment`: the size of a page for page hashes.
    pub section_alignment: u32,
    /// `FileAlignment`.
    pub file_alignment: u32,
    /// `SizeOfHeaders`.
    pub size_of_headers: u32,
    /// `SizeOfImage`.
    pub size_of_image: u32,
    /// The stored `CheckSum`.
    pub checksum: u32,
    /// Offset of the `CheckSum` field.
    pub checksum_at: u64,
    /// Offset of the certificate table's entry among the data directories.
    pub security_at: u64,
    /// Offset of the section table.
    pub sections_at: u64,
    /// The data directories: address and size. That of the certificate table holds a file offset, all others an RVA.
    pub directories: Vec<(u32, u32)>,
    /// The sections in the order of the table.
    pub sections: Vec<Section>,
    /// Where the certificate table is, and its size; none in an unsigned file.
    pub table: Option<(u64, u32)>,
}

/// A section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Its name's eight bytes, without the zeros at the end.
    pub name: String,
    /// Size in memory.
    pub virtual_size: u32,
    /// Address in memory.
    pub virtual_address: u32,
    /// Bytes in the file.
    pub raw_size: u32,
    /// Where in the file.
    pub raw_at: u32,
    /// Flags.
    pub characteristics: u32,
}

impl Section {
    /// The bytes that it has in the file.
    #[must_use]
    pub fn file_range(&self) -> std::ops::Range<u64> {
        u64::from(self.raw_at)..u64::from(self.raw_at) + u64::from(self.raw_size)
    }
}

fn bad(why: impl Into<String>) -> AuthenticodeError {
    AuthenticodeError::malformed("PE image", why)
}

impl Image {
    /// Reads the headers.
    ///
    /// # Errors
    /// When it is no PE image, larger than 4 GiB, or its certificate table lies where it cannot.
    pub fn read(source: &mut (impl Read + Seek)) -> Result<Self> {
        let file_size = source.seek(SeekFrom::End(0)).map_err(AuthenticodeError::read)?;
        check_size(file_size)?;
        source.seek(SeekFrom::Start(0)).map_err(AuthenticodeError::read)?;
        // The usual headers come with the first read; a far-away one with the second.
        let mut head = Vec::new();
        source.take(FIRST).read_to_end(&mut head).map_err(AuthenticodeError::read)?;
        let needed = Self::headers_end(&head)?;
        if needed > head.len() as u64 {
            source
                .take(needed - head.len() as u64)
                .read_to_end(&mut head)
                .map_err(AuthenticodeError::read)?;
        }
        Self::parse(&head, file_size)
    }

    /// How many of the first bytes [`Image::parse`] needs, by the first [`FIRST`] of them.
    pub(crate) fn headers_end(first: &[u8]) -> Result<u64> {
        let needed = Fields::new(first).end()?;
        if needed > MAX_HEADERS {
            return Err(bad("its headers end after the first megabyte"));
        }
        Ok(needed)
    }

    /// Reads the headers out of the first bytes of a file of `file_size`.
    pub(crate) fn parse(head: &[u8], file_size: u64) -> Result<Self> {
        check_size(file_size)?;
        let fields = Fields::new(head);
        let pe = fields.pe()?;
        let (file, optional) = (pe + 4, pe + 24);
        let is_64 = match fields.u16(optional)? {
            0x10b => false,
            0x20b => true,
            _ => return Err(bad("its optional header is neither PE32 nor PE32+")),
        };
        let optional_size = usize::from(fields.u16(file + 16)?);
        // PE Format, "Optional Header": the count of the directories stands before them.
        let directories_at = optional + if is_64 { 112 } else { 96 };
        let count = fields.u32(directories_at - 4)?.min(16) as usize;
        if count <= SECURITY {
            return Err(bad("it has no data directory for a certificate table"));
        }
        if directories_at + count * 8 > optional + optional_size {
            return Err(bad("its data directories do not fit into its optional header"));
        }
        let directory =
            |at: usize| Ok((fields.u32(directories_at + at * 8)?, fields.u32(directories_at + at * 8 + 4)?));
        let directories = (0..count).map(directory).collect::<Result<Vec<_>>>()?;
        let sections_at = optional + optional_size;
        let section = |at: usize| fields.section(sections_at + at * 40);
        let sections = (0..usize::from(fields.u16(file + 2)?)).map(section).collect::<Result<Vec<_>>>()?;
        let checksum_at = optional + 64;
        let image = Self {
            file_size,
            machine: fields.u16(file)?,
            is_64,
            time_date_stamp: fields.u32(file + 4)?,
            characteristics: fields.u16(file + 18)?,
            section_alignment: fields.u32(optional + 32)?,
            file_alignment: fields.u32(optional + 36)?,
            size_of_image: fields.u32(optional + 56)?,
            size_of_headers: fields.u32(optional + 60)?,
            checksum: fields.u32(checksum_at)?,
            subsystem: fields.u16(optional + 68)?,
            dll_characteristics: fields.u16(optional + 70)?,
            checksum_at: checksum_at as u64,
            security_at: (directories_at + SECURITY * 8) as u64,
            sections_at: sections_at as u64,
            table: table(directories[SECURITY], file_size, head.len() as u64, sections_at as u64)?,
            directories,
            sections,
        };
        Ok(image)
    }

    /// Where the image ends and the certificate table begins: the end of what is signed.
    #[must_use]
    pub fn content_end(&self) -> u64 {
        self.table.map_or(self.file_size, |(at, _)| at)
    }

    /// Whether it is a DLL.
    #[must_use]
    pub fn is_dll(&self) -> bool {
        self.characteristics & 0x2000 != 0
    }

    /// Whether it runs in the kernel or demands the kernel's look (`IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY`).
    #[must_use]
    pub fn is_kernel(&self) -> bool {
        self.subsystem == 1 || self.dll_characteristics & 0x80 != 0
    }

    /// The file offset of an address in memory, if a section has it in the file.
    #[must_use]
    pub fn offset_of(&self, rva: u32) -> Option<u64> {
        let section = self.sections.iter().find(|section| {
            let size = section.virtual_size.max(section.raw_size);
            rva.checked_sub(section.virtual_address).is_some_and(|within| within < size)
        })?;
        let within = rva - section.virtual_address;
        (within < section.raw_size).then(|| u64::from(section.raw_at) + u64::from(within))
    }
}

fn check_size(file_size: u64) -> Result<()> {
    match file_size > MAX_FILE {
        true => Err(bad("it is larger than 4 GiB, and the certificate table is addressed by 32 bits")),
        false => Ok(()),
    }
}

/// The table must lie behind the headers and reach to the end of the file: bytes behind it would be in nobody's digest.
fn table((at, size): (u32, u32), file_size: u64, read: u64, headers_end: u64) -> Result<Option<(u64, u32)>> {
    if at == 0 && size == 0 {
        return Ok(None);
    }
    let (start, end) = (u64::from(at), u64::from(at) + u64::from(size));
    if size < 8 || start < headers_end.min(read) {
        return Err(bad("its certificate table is empty or lies inside its headers"));
    }
    if end > file_size {
        return Err(bad("its certificate table reaches beyond the end of the file"));
    }
    if end != file_size {
        return Err(bad(format!("{} bytes stand behind its certificate table", file_size - end)));
    }
    if start % 8 != 0 {
        return Err(bad("its certificate table does not begin at a multiple of eight"));
    }
    Ok(Some((start, size)))
}

/// Little-endian fields of the first bytes.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn take<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let field = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
        field.copied().ok_or_else(|| bad("its headers are cut off"))
    }

    fn u16(&self, at: usize) -> Result<u16> {
        self.take(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Result<u32> {
        self.take(at).map(u32::from_le_bytes)
    }

    /// Offset of the PE signature.
    fn pe(&self) -> Result<usize> {
        if !self.bytes.starts_with(b"MZ") {
            return Err(bad("it does not begin with `MZ`"));
        }
        Ok(self.u32(0x3c)? as usize)
    }

    /// Where the section table ends: everything before must have been read. A first read that shows only the DOS
    /// header asks for the PE headers with room for an optional header of any size.
    fn end(&self) -> Result<u64> {
        let pe = self.pe()?;
        if pe as u64 > MAX_HEADERS {
            return Err(bad("its headers end after the first megabyte"));
        }
        let Ok(signature) = self.take::<4>(pe) else { return Ok(pe as u64 + 24 + 0xffff + 96 * 40) };
        if &signature != b"PE\0\0" {
            return Err(bad("there is no PE signature where its header points"));
        }
        let sections = self.u16(pe + 6)?;
        if sections > MAX_SECTIONS {
            return Err(bad("it has more than 96 sections"));
        }
        Ok((pe + 24 + usize::from(self.u16(pe + 20)?) + usize::from(sections) * 40) as u64)
    }

    fn section(&self, at: usize) -> Result<Section> {
        let name = self.take::<8>(at)?;
        let length = name.iter().position(|byte| *byte == 0).unwrap_or(8);
        let name = String::from_utf8_lossy(&name[..length]);
        Ok(Section {
            name: name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
            virtual_size: self.u32(at + 8)?,
            virtual_address: self.u32(at + 12)?,
            raw_size: self.u32(at + 16)?,
            raw_at: self.u32(at + 20)?,
            characteristics: self.u32(at + 36)?,
        })
    }
}
