//! Mach-O executables of macOS. Segments are the regions; sections are named `__gopclntab` where ELF has
//! `.gopclntab`, and are renamed to what the readers look for.
//!
//! Go's own linker leaves the pointers of a position-independent image in the file as they were linked. Apple's linker
//! (cgo) chains its fixups through them (`<mach-o/fixup-chains.h>`); those are not followed, and what is found by such
//! a pointer is not found.

use object::macho::{self, MachHeader32, MachHeader64};
use object::read::macho::{LoadCommandVariant as Variant, MachHeader, Section as _, Segment as _};
use object::{Endian as _, Endianness};

use crate::Error;
use crate::bytes::{self, Layout};
use crate::facts::{BuildIds, Container, Kind, Linkage, Memory, NxStack, Purpose, SymbolSection};
use crate::image::{Image, Region, Section};

/// More load commands than any linker writes.
const COMMANDS: u32 = 4096;
/// More sections than any linker writes.
const SECTIONS: usize = 65_536;
const NAME: usize = 4096;

/// Reads the container of a 32-bit or 64-bit Mach-O file.
pub(crate) fn parse(data: &[u8]) -> Result<(Image<'_>, Container), Error> {
    match data {
        [0xcf, ..] | [_, _, _, 0xcf, ..] => parse_class::<MachHeader64<Endianness>>(data),
        _ => parse_class::<MachHeader32<Endianness>>(data),
    }
}

fn damaged(cause: object::Error) -> Error {
    Error::Container { format: "Mach-O", cause }
}

/// What the load commands say.
#[derive(Default)]
struct Commands {
    needed: Vec<String>,
    search_paths: Vec<String>,
    interpreter: Option<String>,
    uuid: Option<String>,
    symbols: Option<SymbolSection>,
}

fn parse_class<M: MachHeader<Endian = Endianness>>(data: &[u8]) -> Result<(Image<'_>, Container), Error> {
    let header = M::parse(data, 0).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if header.ncmds(endian) > COMMANDS {
        let found = header.ncmds(endian).into();
        return Err(Error::TooMany { what: "load commands", found, limit: COMMANDS.into() });
    }
    let pointer = if header.is_type_64() { 8 } else { 4 };
    let mut image = Image {
        data,
        layout: Layout { big_endian: endian.is_big_endian(), pointer },
        regions: Vec::new(),
        sections: Vec::new(),
        relocations: Vec::new(),
        dynamic: None,
    };
    segments::<M>(header, endian, &mut image)?;
    let found = commands::<M>(header, endian, data)?;
    let flags = header.flags(endian);
    let both = image.regions.iter().filter(|r| r.writable && r.executable).map(|r| r.name.clone()).collect();
    let container = Container {
        format: "macho",
        architecture: architecture(header.cputype(endian)),
        linkage: Linkage {
            kind: kind(header.filetype(endian), flags),
            static_linked: found.interpreter.is_none() && found.needed.is_empty(),
            interpreter: found.interpreter,
            needed: found.needed,
            search_paths: found.search_paths,
        },
        memory: Memory {
            relro: None,
            relro_needed: false,
            binds_lazily: false,
            // The kernel gives no program an executable stack unless it asks for one.
            nx_stack: if flags.contains(macho::MH_ALLOW_STACK_EXECUTION) {
                NxStack::No
            } else {
                NxStack::Yes
            },
            write_execute: both,
        },
        build_ids: BuildIds { go: go_build_id(&image), gnu: None, uuid: found.uuid },
        pe: None,
        symbol_table: found.symbols.into_iter().collect(),
    };
    Ok((image, container))
}

fn segments<M: MachHeader<Endian = Endianness>>(
    header: &M,
    endian: Endianness,
    image: &mut Image<'_>,
) -> Result<(), Error> {
    let data = image.data;
    let mut commands = header.load_commands(endian, data, 0).map_err(damaged)?;
    while let Some(command) = commands.next().map_err(damaged)? {
        let Some((segment, rest)) = M::Segment::from_command(command).map_err(damaged)? else { continue };
        let start: u64 = segment.fileoff(endian).into();
        let length: u64 = segment.filesize(endian).into();
        let protection = segment.initprot(endian);
        let name = text(segment.name());
        if name != "__PAGEZERO" {
            image.regions.push(Region {
                name,
                address: segment.vmaddr(endian).into(),
                file: range(start, length, data.len()),
                writable: protection.contains(macho::VM_PROT_WRITE),
                executable: protection.contains(macho::VM_PROT_EXECUTE),
            });
        }
        let sections = segment.sections(endian, rest).map_err(damaged)?;
        if image.sections.len() + sections.len() > SECTIONS {
            let found = (image.sections.len() + sections.len()) as u64;
            return Err(Error::TooMany { what: "sections", found, limit: SECTIONS as u64 });
        }
        for section in sections {
            let held = section.file_range(endian, 0);
            let content = held.map_or(0..0, |(start, length)| range(start, length, data.len()));
            let zipped = data.get(content.clone()).and_then(|c| c.strip_prefix(b"ZLIB"));
            image.sections.push(Section {
                name: renamed(&text(section.name())),
                address: section.addr(endian).into(),
                bytes: held.map_or(0, |(_, length)| length),
                expanded: zipped.and_then(|size| Layout { big_endian: true, pointer: 8 }.u64(size, 0)),
                file: content,
            });
        }
    }
    Ok(())
}

fn range(start: u64, length: u64, whole: usize) -> std::ops::Range<usize> {
    let start = bytes::index(start).unwrap_or(usize::MAX).min(whole);
    start..start.saturating_add(bytes::index(length).unwrap_or(usize::MAX)).min(whole)
}

fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(&raw[..raw.len().min(NAME)]).into_owned()
}

/// `__gopclntab` → `.gopclntab`, `__go_buildinfo` → `.go.buildinfo`, `__zdebug_info` → `.zdebug_info`.
fn renamed(name: &str) -> String {
    match name.strip_prefix("__") {
        Some("go_buildinfo") => ".go.buildinfo".to_owned(),
        Some("symbol_stub1" | "stubs") => ".stubs".to_owned(),
        Some(rest) => format!(".{rest}"),
        None => name.to_owned(),
    }
}

fn commands<M: MachHeader<Endian = Endianness>>(
    header: &M,
    endian: Endianness,
    data: &[u8],
) -> Result<Commands, Error> {
    let mut found = Commands::default();
    let mut commands = header.load_commands(endian, data, 0).map_err(damaged)?;
    while let Some(command) = commands.next().map_err(damaged)? {
        let string = |at| command.string(endian, at).ok().map(text);
        match command.variant() {
            Ok(Variant::Dylib(library)) => found.needed.extend(string(library.dylib.name)),
            Ok(Variant::LoadDylinker(linker)) => found.interpreter = string(linker.name),
            Ok(Variant::Rpath(path)) => found.search_paths.extend(string(path.path)),
            Ok(Variant::Uuid(uuid)) => {
                found.uuid = Some(uuid.uuid.iter().map(|b| format!("{b:02x}")).collect());
            }
            Ok(Variant::Symtab(table)) if table.nsyms.get(endian) > 0 => {
                let entries = u64::from(table.nsyms.get(endian)) * if header.is_type_64() { 16 } else { 12 };
                found.symbols = Some(SymbolSection {
                    name: "LC_SYMTAB".to_owned(),
                    bytes: (entries + u64::from(table.strsize.get(endian))).min(data.len() as u64),
                    expanded: None,
                    purpose: Purpose::Symbols,
                });
            }
            _ => {}
        }
    }
    Ok(found)
}

fn kind(file_type: macho::FileType, flags: macho::FileFlags) -> Kind {
    match file_type {
        macho::MH_EXECUTE if flags.contains(macho::MH_PIE) => Kind::PositionIndependent,
        macho::MH_EXECUTE => Kind::Executable,
        macho::MH_DYLIB | macho::MH_BUNDLE => Kind::SharedLibrary,
        _ => Kind::Other,
    }
}

fn architecture(machine: macho::CpuType) -> String {
    match machine {
        macho::CPU_TYPE_X86 => "386".to_owned(),
        macho::CPU_TYPE_X86_64 => "amd64".to_owned(),
        macho::CPU_TYPE_ARM => "arm".to_owned(),
        macho::CPU_TYPE_ARM64 => "arm64".to_owned(),
        other => format!("machine {:#x}", other.0),
    }
}

/// As on PE the linker writes the build id at the start of the code, in a frame (cmd/internal/buildid).
fn go_build_id(image: &Image<'_>) -> Option<String> {
    let code = image.regions.iter().find(|r| r.executable)?;
    let code = image.content(code);
    crate::buildinfo::build_id(&code[..code.len().min(64 << 10)])
}
