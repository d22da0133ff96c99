//! What is needed of the executable: its segments, its symbols, its type descriptions.

use std::collections::BTreeMap;

use flate2::{Decompress, FlushDecompress, Status};
use gimli::{AttributeValue, EndianArcSlice, Reader as _, RunTimeEndian, SectionId};
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{
    CompressionFormat, Endianness, Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _,
    SymbolKind,
};

use crate::error::{Error, Result};

/// Decompressed debugging sections beyond this are refused.
const MAX_SECTION: u64 = 1 << 30;

/// A parsed `ELF` file for amd64.
#[derive(Debug)]
pub struct Executable<'a> {
    file: ElfFile64<'a, Endianness>,
}

/// A piece of the file as it is mapped.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Link address.
    pub address: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// What the file holds of it.
    pub bytes: &'a [u8],
    /// How much memory it takes; what the file does not hold is zero.
    pub size: u64,
    /// May it be executed?
    pub executable: bool,
    /// May it be written?
    pub writable: bool,
}

/// A symbol with an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol<'a> {
    /// As the Go linker wrote it.
    pub name: &'a str,
    /// Link address.
    pub address: u64,
    /// In bytes; 0 for a mark.
    pub size: u64,
    /// Is it code?
    pub is_function: bool,
}

/// Debugging data, owned.
pub type Dwarf = gimli::Dwarf<EndianArcSlice<RunTimeEndian>>;

impl<'a> Executable<'a> {
    /// Parses the file.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is no 64-bit `ELF` file, [`Error::Platform`] when it is for another machine.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let file = ElfFile64::parse(bytes)
            .map_err(|e| Error::damaged(format!("the executable cannot be read: {e}")))?;
        match file.architecture() {
            object::Architecture::X86_64 => Ok(Self { file }),
            _ => Err(Error::Platform),
        }
    }

    /// Is it linked to run at any address?
    #[must_use]
    pub fn is_position_independent(&self) -> bool {
        self.file.kind() == object::ObjectKind::Dynamic
    }

    /// Where it begins to run: link address.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.file.entry()
    }

    /// What the loader makes read-only once it has written the addresses into it: first address and the one behind the
    /// last (`PT_GNU_RELRO`).
    #[must_use]
    pub fn relro(&self) -> Option<(u64, u64)> {
        let (endian, headers) = (self.file.endian(), self.file.elf_program_headers());
        let header = headers.iter().find(|h| h.p_type(endian) == object::elf::PT_GNU_RELRO)?;
        let start = header.p_vaddr(endian);
        Some((start, start.checked_add(header.p_memsz(endian))?))
    }

    /// The GNU build id, or Go's own when there is none (before Go 1.24 the linker writes none).
    #[must_use]
    pub fn build_id(&self) -> Option<Vec<u8>> {
        if let Ok(Some(id)) = self.file.build_id() {
            return Some(id.to_vec());
        }
        let note = self.section(".note.go.buildid")?.1;
        // A note: sizes of name and description, type, then `Go\0\0` and the description (ELF, "Note Section").
        let length = u32::from_le_bytes(note.get(4..8)?.try_into().ok()?) as usize;
        Some(note.get(16..16 + length)?.to_vec())
    }

    /// The segments that are loaded.
    ///
    /// # Errors
    /// When one lies outside the file.
    pub fn segments(&self) -> Result<Vec<Segment<'a>>> {
        let mut found = Vec::new();
        for segment in self.file.segments() {
            let bytes =
                segment.data().map_err(|e| Error::damaged(format!("a segment cannot be read: {e}")))?;
            let object::SegmentFlags::Elf { p_flags, .. } = segment.flags() else { continue };
            found.push(Segment {
                address: segment.address(),
                offset: segment.file_range().0,
                bytes,
                size: segment.size(),
                executable: p_flags.contains(object::elf::PF_X),
                writable: p_flags.contains(object::elf::PF_W),
            });
        }
        Ok(found)
    }

    /// Address and bytes of a section; a section without bytes in the file has none here.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<(u64, &'a [u8])> {
        let section = self.file.section_by_name(name)?;
        Some((section.address(), section.data().unwrap_or_default()))
    }

    /// First address and the one behind the last of a section.
    #[must_use]
    pub fn section_range(&self, name: &str) -> Option<(u64, u64)> {
        let section = self.file.section_by_name(name)?;
        Some((section.address(), section.address().saturating_add(section.size())))
    }

    /// The lowest address of a section: what is loaded below it are the headers of the file.
    #[must_use]
    pub fn first_section(&self) -> u64 {
        self.file.sections().map(|s| s.address()).filter(|at| *at > 0).min().unwrap_or(0)
    }

    /// Every symbol that has a name and a place, in the order of the table.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> + '_ {
        self.file.symbols().filter_map(|symbol| {
            let name = symbol.name().ok().filter(|n| !n.is_empty())?;
            if symbol.is_undefined()
                || matches!(symbol.kind(), SymbolKind::File | SymbolKind::Section | SymbolKind::Tls)
            {
                return None;
            }
            let is_function = symbol.kind() == SymbolKind::Text;
            Some(Symbol { name, address: symbol.address(), size: symbol.size(), is_function })
        })
    }

    /// Debugging data, decompressed.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was stripped.
    pub fn dwarf(&self) -> Result<Dwarf> {
        if self.file.section_by_name(".debug_info").is_none() {
            return Err(Error::missing("debugging data (it was linked with -w, or stripped)"));
        }
        gimli::Dwarf::load(|id: SectionId| -> Result<_> {
            let bytes = match self.file.section_by_name(id.name()) {
                Some(section) => inflated(&section)?,
                None => Vec::new(),
            };
            Ok(EndianArcSlice::new(bytes.into(), RunTimeEndian::Little))
        })
    }

    /// The fields of the named structures: name of the structure, then name and offset of each field.
    ///
    /// # Errors
    /// When the debugging data is missing or damaged, or does not describe one of them.
    pub fn layouts(&self, wanted: &[&str]) -> Result<Layouts> {
        let dwarf = self.dwarf()?;
        let mut found = Layouts::default();
        let damaged = |e: gimli::Error| Error::damaged(format!("the debugging data cannot be read: {e}"));
        let mut units = dwarf.units();
        while found.0.len() < wanted.len() {
            let Some(header) = units.next().map_err(damaged)? else { break };
            let unit = dwarf.unit(header).map_err(damaged)?;
            collect(&dwarf, &unit, wanted, &mut found).map_err(damaged)?;
        }
        match wanted.iter().find(|name| !found.0.contains_key(**name)) {
            Some(name) => Err(Error::missing(format!("description of `{name}`"))),
            None => Ok(found),
        }
    }
}

/// Structures and the offsets of their fields.
#[derive(Clone, Default, Debug)]
pub struct Layouts(BTreeMap<String, BTreeMap<String, u64>>);

impl Layouts {
    /// From structures, fields, and offsets; the size of a structure is the offset of the field without a name.
    pub(crate) fn of<'n>(fields: impl Iterator<Item = (&'n str, &'n str, u64)>) -> Self {
        let mut found = Self::default();
        for (structure, field, at) in fields {
            found.0.entry(structure.to_owned()).or_default().insert(field.to_owned(), at);
        }
        found
    }

    /// Structure, field and offset of each.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.0.iter().flat_map(|(structure, fields)| {
            fields.iter().map(move |(field, at)| (structure.as_str(), field.as_str(), *at))
        })
    }

    /// The offset of a field.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such field.
    pub fn offset(&self, structure: &str, field: &str) -> Result<u64> {
        self.optional(structure, field)
            .ok_or_else(|| Error::missing(format!("field `{field}` in `{structure}`")))
    }

    /// The offset of a field that not every release has.
    #[must_use]
    pub fn optional(&self, structure: &str, field: &str) -> Option<u64> {
        self.0.get(structure)?.get(field).copied()
    }

    /// The size of a structure.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not described.
    pub fn size(&self, structure: &str) -> Result<u64> {
        self.offset(structure, "")
    }
}

/// Go writes its structures as direct children of their unit and the fields as direct children of the structure.
fn collect(
    dwarf: &Dwarf,
    unit: &gimli::Unit<EndianArcSlice<RunTimeEndian>>,
    wanted: &[&str],
    found: &mut Layouts,
) -> gimli::Result<()> {
    let mut entries = unit.entries();
    let mut current: Option<String> = None;
    while let Some(entry) = entries.next_dfs()? {
        let tag = entry.tag();
        if tag == gimli::DW_TAG_member {
            let Some(structure) = &current else { continue };
            let Some(name) = string(dwarf, unit, entry, gimli::DW_AT_name)? else { continue };
            let offset = entry.attr_value(gimli::DW_AT_data_member_location).and_then(|v| v.udata_value());
            if let (Some(offset), Some(fields)) = (offset, found.0.get_mut(structure)) {
                fields.insert(name, offset);
            }
            continue;
        }
        current = None;
        if tag == gimli::DW_TAG_structure_type
            && let Some(name) = string(dwarf, unit, entry, gimli::DW_AT_name)?
            && wanted.contains(&name.as_str())
        {
            let size = entry.attr_value(gimli::DW_AT_byte_size).and_then(|v| v.udata_value()).unwrap_or(0);
            found.0.entry(name.clone()).or_default().insert(String::new(), size);
            current = Some(name);
        }
    }
    Ok(())
}

/// A string attribute of an entry.
///
/// # Errors
/// When the debugging data is damaged.
pub fn string(
    dwarf: &Dwarf,
    unit: &gimli::Unit<EndianArcSlice<RunTimeEndian>>,
    entry: &gimli::DebuggingInformationEntry<EndianArcSlice<RunTimeEndian>>,
    which: gimli::DwAt,
) -> gimli::Result<Option<String>> {
    let Some(value) = entry.attr_value(which) else { return Ok(None) };
    if let AttributeValue::String(text) = &value {
        return Ok(Some(text.to_string_lossy()?.into_owned()));
    }
    Ok(Some(dwarf.attr_string(unit, value)?.to_string_lossy()?.into_owned()))
}

fn inflated<'a>(section: &impl object::ObjectSection<'a>) -> Result<Vec<u8>> {
    let failed = || Error::damaged("a section of debugging data cannot be decompressed");
    let data = section.compressed_data().map_err(|_| failed())?;
    if data.format == CompressionFormat::None {
        return Ok(data.data.to_vec());
    }
    if data.format != CompressionFormat::Zlib || data.uncompressed_size > MAX_SECTION {
        return Err(failed());
    }
    let mut out = Vec::with_capacity(usize::try_from(data.uncompressed_size).map_err(|_| failed())?);
    let status = Decompress::new(true)
        .decompress_vec(data.data, &mut out, FlushDecompress::Finish)
        .map_err(|_| failed())?;
    match status {
        Status::StreamEnd if out.len() as u64 == data.uncompressed_size => Ok(out),
        _ => Err(failed()),
    }
}
