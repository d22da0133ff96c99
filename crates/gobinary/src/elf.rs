//! ELF executables: program headers first, since a stripped file may have no sections at all.

use object::elf;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, Rela as _, SectionHeader as _};
use object::{Endian as _, Endianness};

use crate::Error;
use crate::bytes::{self, Layout};
use crate::facts::{BuildIds, Container, Kind, Linkage, Memory, NxStack, Relro};
use crate::image::{self, Image, Region, Section};

/// A linker writes about ten; what claims a thousand is not an executable.
const SEGMENTS: usize = 1024;
/// Enough for `-ffunction-sections`; keeps the work of a hostile file bounded.
const SECTIONS: usize = 65_536;
/// Libraries, search paths and other dynamic entries.
const DYNAMIC: usize = 4096;
const NAME: usize = 4096;

type Headers<'a, E> = &'a [<E as FileHeader>::ProgramHeader];

/// Reads the container of an ELF file of either class.
pub(crate) fn parse<'a, E: FileHeader<Endian = Endianness>>(
    data: &'a [u8],
) -> Result<(Image<'a>, Container), Error> {
    let damaged = |cause| Error::Container { format: "ELF", cause };
    let header = E::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let headers = header.program_headers(endian, data).map_err(damaged)?;
    if headers.len() > SEGMENTS {
        return Err(Error::TooMany { what: "segments", found: headers.len() as u64, limit: SEGMENTS as u64 });
    }
    let pointer = if header.is_type_64() { 8 } else { 4 };
    let mut image = Image {
        data,
        layout: Layout { big_endian: endian.is_big_endian(), pointer },
        regions: regions::<E>(endian, headers, data),
        sections: sections(header, endian, data)?,
        relocations: Vec::new(),
        dynamic: None,
    };
    let dynamic = Dynamic::read::<E>(endian, headers, &image);
    image.relocations = relocations::<E>(header.e_machine(endian), endian, &dynamic, &image);
    let relro = segment::<E>(endian, headers, elf::PT_GNU_RELRO).map(|h| {
        let start: u64 = h.p_vaddr(endian).into();
        start..start.saturating_add(h.p_memsz(endian).into())
    });
    image.dynamic = dynamic.present.then(|| image::Dynamic { entries: dynamic.entries.clone(), relro });
    let interpreter = segment::<E>(endian, headers, elf::PT_INTERP)
        .and_then(|h| h.data(endian, data).ok())
        .map(|path| text(path.split(|&b| b == 0).next().unwrap_or_default()));
    let container = Container {
        format: "elf",
        architecture: architecture(header.e_machine(endian), image.layout),
        linkage: linkage(header.e_type(endian), &dynamic, interpreter),
        memory: memory::<E>(endian, headers, &dynamic),
        build_ids: build_ids::<E>(endian, headers, data),
        pe: None,
        symbol_table: Vec::new(),
    };
    Ok((image, container))
}

fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(&raw[..raw.len().min(NAME)]).into_owned()
}

fn segment<'a, E: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    headers: Headers<'a, E>,
    kind: elf::ProgramType,
) -> Option<&'a E::ProgramHeader> {
    headers.iter().find(|h| h.p_type(endian) == kind)
}

fn regions<E: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    headers: Headers<'_, E>,
    data: &[u8],
) -> Vec<Region> {
    let load = headers.iter().filter(|h| h.p_type(endian) == elf::PT_LOAD);
    load.enumerate()
        .map(|(number, h)| {
            let start = bytes::index(h.p_offset(endian).into()).unwrap_or(usize::MAX).min(data.len());
            let held = bytes::index(h.p_filesz(endian).into()).unwrap_or(usize::MAX);
            let flags = h.p_flags(endian).0;
            Region {
                name: format!("PT_LOAD[{number}]"),
                address: h.p_vaddr(endian).into(),
                file: start..start.saturating_add(held).min(data.len()),
                writable: flags & elf::PF_W.0 != 0,
                executable: flags & elf::PF_X.0 != 0,
            }
        })
        .collect()
}

/// The section table is optional at run time: a damaged one is treated as absent.
fn sections<E: FileHeader<Endian = Endianness>>(
    header: &E,
    endian: Endianness,
    data: &[u8],
) -> Result<Vec<Section>, Error> {
    let Ok(table) = header.sections(endian, data) else { return Ok(Vec::new()) };
    if table.len() > SECTIONS {
        return Err(Error::TooMany { what: "sections", found: table.len() as u64, limit: SECTIONS as u64 });
    }
    let described = table.iter().filter(|s| s.sh_type(endian) != elf::SHT_NULL).map(|s| {
        let name = table.section_name(endian, s).unwrap_or_default();
        let compressed = s.compression(endian, data).ok().flatten();
        let file = s.file_range(endian).unwrap_or((0, 0));
        let start = bytes::index(file.0).unwrap_or(usize::MAX).min(data.len());
        let end = start.saturating_add(bytes::index(file.1).unwrap_or(usize::MAX)).min(data.len());
        Section {
            name: text(name),
            address: s.sh_addr(endian).into(),
            // `.bss` and its kin take memory, not file.
            bytes: file.1,
            file: start..end,
            expanded: compressed.map(|(header, _, _)| {
                use object::read::elf::CompressionHeader as _;
                header.ch_size(endian).into()
            }),
        }
    });
    Ok(described.collect())
}

/// The entries of `PT_DYNAMIC` that matter here.
#[derive(Default)]
struct Dynamic {
    present: bool,
    entries: Vec<(i64, u64)>,
    needed: Vec<String>,
    search_paths: Vec<String>,
    soname: bool,
}

impl Dynamic {
    fn read<E: FileHeader<Endian = Endianness>>(
        endian: Endianness,
        headers: Headers<'_, E>,
        image: &Image<'_>,
    ) -> Self {
        let mut found = Self::default();
        let raw = headers.iter().find_map(|h| h.dynamic(endian, image.data).ok().flatten());
        let Some(raw) = raw else { return found };
        let live = raw.iter().take(DYNAMIC).map(|d| (d.tag(endian).0, d.val(endian)));
        found.entries = live.take_while(|(tag, _)| *tag != elf::DT_NULL.0).collect();
        found.present = true;
        let strings = found.value(elf::DT_STRTAB).and_then(|at| image.from(at)).unwrap_or_default();
        let string = |at: u64| bytes::c_string(strings, bytes::index(at)?, NAME).map(text);
        let all = |tag: elf::DynamicTag| {
            let tagged = found.entries.iter().filter(move |e| e.0 == tag.0);
            tagged.filter_map(|e| string(e.1)).collect::<Vec<_>>()
        };
        found.needed = all(elf::DT_NEEDED);
        found.search_paths = [all(elf::DT_RPATH), all(elf::DT_RUNPATH)].concat();
        found.soname = found.value(elf::DT_SONAME).is_some();
        found
    }

    fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.entries.iter().find(|e| e.0 == tag.0).map(|e| e.1)
    }

    fn flag(&self, tag: elf::DynamicTag, bit: u64) -> bool {
        self.value(tag).is_some_and(|flags| flags & bit != 0)
    }

    fn binds_now(&self) -> bool {
        self.value(elf::DT_BIND_NOW).is_some()
            || self.flag(elf::DT_FLAGS, elf::DF_BIND_NOW.0)
            || self.flag(elf::DT_FLAGS_1, elf::DF_1_NOW.0)
    }

    /// Whether any symbol is bound at its first call, through a writable table.
    fn binds_lazily(&self) -> bool {
        !self.binds_now() && self.value(elf::DT_PLTRELSZ).unwrap_or(0) != 0
    }
}

/// Relative relocations that carry their addend (RELA). REL and RELR keep it in place, where the readers see it.
fn relocations<E: FileHeader<Endian = Endianness>>(
    machine: elf::Machine,
    endian: Endianness,
    dynamic: &Dynamic,
    image: &Image<'_>,
) -> Vec<(u64, u64)> {
    let table = || {
        let relative = relative_type(machine)?;
        let start = image.from(dynamic.value(elf::DT_RELA)?)?;
        let length = bytes::index(dynamic.value(elf::DT_RELASZ)?)?.min(start.len());
        let count = length / size_of::<E::Rela>();
        let (entries, _) = object::pod::slice_from_bytes::<E::Rela>(start, count).ok()?;
        let relative = entries.iter().filter(move |r| r.r_type(endian, false).0 == relative);
        Some(relative.map(|r| {
            let addend: i64 = r.r_addend(endian).into();
            (r.r_offset(endian).into(), addend.cast_unsigned())
        }))
    };
    let mut found: Vec<(u64, u64)> = table().map(Iterator::collect).unwrap_or_default();
    found.sort_unstable();
    found
}

/// The number of the machine's `R_*_RELATIVE`, for the machines that Go builds for with RELA.
fn relative_type(machine: elf::Machine) -> Option<u32> {
    Some(match machine {
        elf::EM_X86_64 => elf::R_X86_64_RELATIVE.0,
        elf::EM_AARCH64 => elf::R_AARCH64_RELATIVE.0,
        elf::EM_RISCV => elf::R_RISCV_RELATIVE.0,
        elf::EM_S390 => elf::R_390_RELATIVE.0,
        elf::EM_PPC64 => elf::R_PPC64_RELATIVE.0,
        elf::EM_LOONGARCH => elf::R_LARCH_RELATIVE.0,
        _ => return None,
    })
}

/// The names that Go uses for `GOARCH`.
fn architecture(machine: elf::Machine, layout: Layout) -> String {
    let name = match machine {
        elf::EM_386 => "386",
        elf::EM_X86_64 => "amd64",
        elf::EM_ARM => "arm",
        elf::EM_AARCH64 => "arm64",
        elf::EM_RISCV => "riscv64",
        elf::EM_S390 => "s390x",
        elf::EM_PPC64 if layout.big_endian => "ppc64",
        elf::EM_PPC64 => "ppc64le",
        elf::EM_MIPS => match (layout.pointer, layout.big_endian) {
            (8, true) => "mips64",
            (8, false) => "mips64le",
            (_, true) => "mips",
            (_, false) => "mipsle",
        },
        elf::EM_LOONGARCH => "loong64",
        other => return format!("machine {}", other.0),
    };
    name.to_owned()
}

fn linkage(file_type: elf::FileType, dynamic: &Dynamic, interpreter: Option<String>) -> Linkage {
    let pie_flag = dynamic.flag(elf::DT_FLAGS_1, elf::DF_1_PIE.0);
    let kind = match file_type {
        elf::ET_EXEC => Kind::Executable,
        // `ld -pie` sets the flag; Go's own linker does not always, but gives its executables an interpreter, and
        // a library a name.
        elf::ET_DYN if pie_flag || (interpreter.is_some() && !dynamic.soname) => Kind::PositionIndependent,
        elf::ET_DYN => Kind::SharedLibrary,
        _ => Kind::Other,
    };
    Linkage {
        kind,
        static_linked: interpreter.is_none() && dynamic.needed.is_empty(),
        interpreter,
        needed: dynamic.needed.clone(),
        search_paths: dynamic.search_paths.clone(),
    }
}

fn memory<E: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    headers: Headers<'_, E>,
    dynamic: &Dynamic,
) -> Memory {
    let both = elf::PF_W.0 | elf::PF_X.0;
    let write_execute = headers
        .iter()
        .enumerate()
        .filter(|(_, h)| h.p_type(endian) == elf::PT_LOAD && h.p_flags(endian).0 & both == both);
    let relro = match segment::<E>(endian, headers, elf::PT_GNU_RELRO) {
        None => Relro::None,
        Some(_) if dynamic.binds_now() => Relro::Full,
        Some(_) => Relro::Partial,
    };
    let nx_stack = match segment::<E>(endian, headers, elf::PT_GNU_STACK) {
        None => NxStack::Unstated,
        Some(h) if h.p_flags(endian).0 & elf::PF_X.0 != 0 => NxStack::No,
        Some(_) => NxStack::Yes,
    };
    Memory {
        relro: Some(relro),
        relro_needed: dynamic.present,
        binds_lazily: dynamic.binds_lazily(),
        nx_stack,
        write_execute: write_execute.map(|(number, _)| format!("segment {number}")).collect(),
    }
}

/// Build ids are notes: owner `Go`, type 4 (cmd/internal/buildid), and owner `GNU`, type 3.
fn build_ids<E: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    headers: Headers<'_, E>,
    data: &[u8],
) -> BuildIds {
    let mut ids = BuildIds::default();
    for header in headers {
        let Ok(Some(mut notes)) = header.notes(endian, data) else { continue };
        while let Ok(Some(note)) = notes.next() {
            let desc = &note.desc()[..note.desc().len().min(NAME)];
            match (note.name(), note.n_type(endian).0) {
                (b"Go", 4) => ids.go = Some(text(desc)),
                (b"GNU", 3) => ids.gnu = Some(hex(desc)),
                _ => {}
            }
        }
    }
    ids
}

fn hex(raw: &[u8]) -> String {
    raw.iter().map(|b| format!("{b:02x}")).collect()
}
