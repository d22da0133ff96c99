//! PE executables. Sections are the regions; Go's parts lie unnamed in `.rdata` and `.data`.

use object::LittleEndian as LE;
use object::pe::{self, ImageNtHeaders32, ImageNtHeaders64};
use object::read::StringTable;
use object::read::pe::{DataDirectories, ImageNtHeaders, ImageOptionalHeader as _};

use crate::Error;
use crate::bytes::{self, Layout};
use crate::facts::{BuildIds, Container, Kind, Linkage, Memory, NxStack, PeFacts, Purpose, SymbolSection};
use crate::image::{Image, Region, Section};

/// Names in import tables; a limit for hostile files.
const LIBRARIES: usize = 4096;
/// `IMAGE_SIZEOF_SYMBOL` of the PE/COFF specification.
const SYMBOL: u64 = 18;
/// A `.zdebug_*` section is `ZLIB`, the unpacked size in big-endian order, and a zlib stream.
const BIG: Layout = Layout { big_endian: true, pointer: 8 };

/// Reads the container of a 32-bit or 64-bit PE file.
pub(crate) fn parse(data: &[u8]) -> Result<(Image<'_>, Container), Error> {
    let damaged = |cause| Error::Container { format: "PE", cause };
    match object::read::pe::optional_header_magic(data).map_err(damaged)? {
        pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => parse_class::<ImageNtHeaders64>(data),
        _ => parse_class::<ImageNtHeaders32>(data),
    }
}

fn parse_class<P: ImageNtHeaders>(data: &[u8]) -> Result<(Image<'_>, Container), Error> {
    let damaged = |cause| Error::Container { format: "PE", cause };
    let dos = pe::ImageDosHeader::parse(data).map_err(damaged)?;
    let mut offset = dos.nt_headers_offset().into();
    let (headers, directories) = P::parse(data, &mut offset).map_err(damaged)?;
    let table = headers.sections(data, offset).map_err(damaged)?;
    let strings = headers.symbols(data).map(|s| s.strings()).unwrap_or_default();
    let base = headers.optional_header().image_base();
    let regions: Vec<Region> = table.iter().map(|header| region(strings, base, header, data.len())).collect();
    let file = headers.file_header();
    let flags = flags(headers, &directories);
    let container = Container {
        format: "pe",
        architecture: architecture(file.machine.get(LE)),
        linkage: linkage(file, flags, libraries(&directories, data, &table)),
        memory: memory(&regions, flags),
        build_ids: BuildIds { go: go_build_id(data), gnu: None, uuid: None },
        pe: Some(flags),
        symbol_table: symbol_table(file, data),
    };
    let image = Image {
        data,
        layout: Layout { big_endian: false, pointer: if headers.is_type_64() { 8 } else { 4 } },
        sections: regions.iter().zip(table.iter()).filter_map(|(r, h)| section(r, h, data)).collect(),
        regions,
        relocations: Vec::new(),
        dynamic: None,
    };
    Ok((image, container))
}

fn flags<P: ImageNtHeaders>(headers: &P, directories: &DataDirectories<'_>) -> PeFacts {
    let flags = headers.optional_header().dll_characteristics();
    let fixed = headers.file_header().characteristics.get(LE).contains(pe::IMAGE_FILE_RELOCS_STRIPPED);
    let signature = directories.get(pe::IMAGE_DIRECTORY_ENTRY_SECURITY);
    PeFacts {
        dynamic_base: flags.contains(pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE) && !fixed,
        high_entropy_va: flags.contains(pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA),
        nx_compat: flags.contains(pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT),
        guard_cf: flags.contains(pe::IMAGE_DLLCHARACTERISTICS_GUARD_CF),
        authenticode: signature.is_some_and(|d| d.size.get(LE) != 0),
    }
}

fn linkage(file: &pe::ImageFileHeader, flags: PeFacts, needed: Vec<String>) -> Linkage {
    let kind = if file.characteristics.get(LE).contains(pe::IMAGE_FILE_DLL) {
        Kind::SharedLibrary
    } else if flags.dynamic_base {
        Kind::PositionIndependent
    } else {
        Kind::Executable
    };
    // Every Windows program calls the system through DLLs.
    Linkage { kind, static_linked: false, interpreter: None, needed, search_paths: Vec::new() }
}

fn memory(regions: &[Region], flags: PeFacts) -> Memory {
    let both = regions.iter().filter(|r| r.writable && r.executable);
    Memory {
        relro: None,
        relro_needed: false,
        binds_lazily: false,
        nx_stack: if flags.nx_compat { NxStack::Yes } else { NxStack::No },
        write_execute: both.map(|r| r.name.clone()).collect(),
    }
}

fn region(strings: StringTable<'_>, base: u64, header: &pe::ImageSectionHeader, length: usize) -> Region {
    let name = header.name(strings).unwrap_or(header.raw_name());
    let name = String::from_utf8_lossy(&name[..name.len().min(256)]).into_owned();
    let (offset, held) = header.pe_file_range();
    let flags = header.characteristics.get(LE);
    let start = bytes::index(offset.into()).unwrap_or(usize::MAX).min(length);
    let end = start.saturating_add(bytes::index(held.into()).unwrap_or(usize::MAX)).min(length);
    Region {
        name,
        address: base.wrapping_add(header.virtual_address.get(LE).into()),
        file: start..end,
        writable: flags.contains(pe::IMAGE_SCN_MEM_WRITE),
        executable: flags.contains(pe::IMAGE_SCN_MEM_EXECUTE),
    }
}

/// The Go linker lays the COFF symbol table out as a section too, `.symtab`; it is counted once, by
/// [`symbol_table`], which sees whether it holds any symbol.
fn section(region: &Region, header: &pe::ImageSectionHeader, data: &[u8]) -> Option<Section> {
    let content = data.get(region.file.clone()).unwrap_or_default();
    (region.name != ".symtab").then(|| Section {
        name: region.name.clone(),
        address: region.address,
        bytes: header.size_of_raw_data.get(LE).into(),
        file: region.file.clone(),
        expanded: content.strip_prefix(b"ZLIB").and_then(|size| BIG.u64(size, 0)),
    })
}

fn architecture(machine: pe::Machine) -> String {
    match machine {
        pe::IMAGE_FILE_MACHINE_I386 => "386".to_owned(),
        pe::IMAGE_FILE_MACHINE_AMD64 => "amd64".to_owned(),
        pe::IMAGE_FILE_MACHINE_ARMNT => "arm".to_owned(),
        pe::IMAGE_FILE_MACHINE_ARM64 => "arm64".to_owned(),
        other => format!("machine {:#06x}", other.0),
    }
}

fn libraries(
    directories: &DataDirectories<'_>,
    data: &[u8],
    sections: &object::read::coff::SectionTable<'_>,
) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(Some(imports)) = directories.import_table(data, sections) else { return names };
    let Ok(mut descriptors) = imports.descriptors() else { return names };
    while let Ok(Some(descriptor)) = descriptors.next() {
        let Ok(name) = imports.name(descriptor.name.get(LE)) else { break };
        names.push(String::from_utf8_lossy(&name[..name.len().min(256)]).into_owned());
        if names.len() == LIBRARIES {
            break;
        }
    }
    names
}

/// The COFF symbol table and its strings stand behind the sections, outside of any of them.
fn symbol_table(file: &pe::ImageFileHeader, data: &[u8]) -> Vec<SymbolSection> {
    let start = u64::from(file.pointer_to_symbol_table.get(LE));
    let symbols = u64::from(file.number_of_symbols.get(LE)) * SYMBOL;
    if start == 0 || symbols == 0 {
        return Vec::new();
    }
    let little = Layout { big_endian: false, pointer: 8 };
    let strings = bytes::index(start + symbols).and_then(|at| little.u32(data, at)).unwrap_or(0);
    let held = (data.len() as u64).saturating_sub(start);
    let whole = (symbols + u64::from(strings)).min(held);
    vec![SymbolSection {
        name: "COFF symbol table".to_owned(),
        bytes: whole,
        expanded: None,
        purpose: Purpose::Symbols,
    }]
}

/// On PE the Go linker writes the build id near the start of the code, in a frame; cmd/internal/buildid looks for it
/// within the first 32 KiB of the file.
fn go_build_id(data: &[u8]) -> Option<String> {
    crate::buildinfo::build_id(&data[..data.len().min(32 << 10)])
}
