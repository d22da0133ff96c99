//! ELF: relocations that name a symbol (System V ABI, "Dynamic Linking"), and RELRO.

use object::elf;

use super::{Binding, IMPORTS, NAME, Slot, is_writable, section_of};
use crate::bytes::{c_string, index};
use crate::facts::Container;
use crate::image::{Dynamic, Image};

/// The page that RELRO is rounded to: the smallest of the machines that Go builds for.
const PAGE: u64 = 4096;

/// One relocation with a symbol.
struct Named {
    place: u64,
    kind: u32,
    symbol: u64,
}

/// Every slot. Tables that lie outside of the file are left out.
pub(super) fn slots(image: &Image<'_>, container: &Container) -> Vec<Slot> {
    let Some(dynamic) = &image.dynamic else { return Vec::new() };
    let lazy = container.memory.binds_lazily;
    let stubs = stubs(image);
    // RELRO is the loader's doing; a program without one, and without libc, is left as it was mapped.
    let protected = dynamic.relro.clone().filter(|_| !container.linkage.static_linked);
    let mut found = Vec::new();
    for (table, bytes, explicit, plt) in tables(dynamic) {
        for named in relocations(image, table, bytes, explicit) {
            if found.len() == IMPORTS {
                return found;
            }
            let Some(relocation) = kind(&container.architecture, named.kind) else { continue };
            let Some(name) = symbol(image, dynamic, named.symbol) else { continue };
            let read_only = protected.as_ref().is_some_and(|range| {
                let end = range.end / PAGE * PAGE;
                (range.start / PAGE * PAGE..end).contains(&named.place)
            });
            found.push(Slot {
                name,
                library: None,
                slot: named.place,
                section: section_of(image, named.place),
                relocation,
                binding: if plt && lazy { Binding::Lazy } else { Binding::Start },
                writable: is_writable(image, named.place) && !read_only,
                stub: stubs.iter().find(|stub| stub.1 == named.place).map(|stub| stub.0),
            });
        }
    }
    found
}

/// (address, bytes, with addends, of the PLT) of each table of relocations.
fn tables(dynamic: &Dynamic) -> Vec<(u64, u64, bool, bool)> {
    let value = |tag: elf::DynamicTag| dynamic.value(tag);
    let explicit = value(elf::DT_PLTREL).is_some_and(|kind| kind == elf::DT_RELA.0.cast_unsigned());
    let table = |start, bytes, explicit, plt| Some((value(start)?, value(bytes)?, explicit, plt));
    let all = [
        table(elf::DT_RELA, elf::DT_RELASZ, true, false),
        table(elf::DT_REL, elf::DT_RELSZ, false, false),
        table(elf::DT_JMPREL, elf::DT_PLTRELSZ, explicit, true),
    ];
    all.into_iter().flatten().collect()
}

fn relocations(image: &Image<'_>, start: u64, bytes: u64, explicit: bool) -> Vec<Named> {
    let layout = image.layout;
    let size = layout.pointer * if explicit { 3 } else { 2 };
    let held = image.from(start).unwrap_or_default();
    let held = &held[..index(bytes).unwrap_or(usize::MAX).min(held.len())];
    let each = held.chunks_exact(size).filter_map(|entry| {
        let (place, info) = (layout.word(entry, 0)?, layout.word(entry, layout.pointer)?);
        let (symbol, kind) = match layout.pointer {
            8 => (info >> 32, u32::try_from(info & 0xffff_ffff).ok()?),
            _ => (info >> 8, u32::try_from(info & 0xff).ok()?),
        };
        (symbol != 0).then_some(Named { place, kind, symbol })
    });
    each.take(IMPORTS).collect()
}

fn symbol(image: &Image<'_>, dynamic: &Dynamic, number: u64) -> Option<String> {
    let size = if image.layout.pointer == 8 { 24 } else { 16 };
    let place = dynamic.value(elf::DT_SYMTAB)?.checked_add(number.checked_mul(size)?)?;
    let name = image.layout.u32(image.read(place, 4)?, 0)?;
    let strings = image.from(dynamic.value(elf::DT_STRTAB)?)?;
    let name = c_string(strings, index(name.into())?, NAME)?;
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

/// What kind of slot a relocation fills, for the machines whose numbers are known.
fn kind(architecture: &str, kind: u32) -> Option<&'static str> {
    let (jump, data, absolute) = match architecture {
        "amd64" => (elf::R_X86_64_JUMP_SLOT, elf::R_X86_64_GLOB_DAT, elf::R_X86_64_64),
        "386" => (elf::R_386_JMP_SLOT, elf::R_386_GLOB_DAT, elf::R_386_32),
        "arm" => (elf::R_ARM_JUMP_SLOT, elf::R_ARM_GLOB_DAT, elf::R_ARM_ABS32),
        "arm64" => (elf::R_AARCH64_JUMP_SLOT, elf::R_AARCH64_GLOB_DAT, elf::R_AARCH64_ABS64),
        "riscv64" => (elf::R_RISCV_JUMP_SLOT, elf::R_RISCV_64, elf::R_RISCV_64),
        "s390x" => (elf::R_390_JMP_SLOT, elf::R_390_GLOB_DAT, elf::R_390_64),
        "ppc64" | "ppc64le" => (elf::R_PPC64_JMP_SLOT, elf::R_PPC64_GLOB_DAT, elf::R_PPC64_ADDR64),
        "loong64" => (elf::R_LARCH_JUMP_SLOT, elf::R_LARCH_64, elf::R_LARCH_64),
        _ => return None,
    };
    match kind {
        _ if kind == jump.0 => Some("jump-slot"),
        _ if kind == data.0 => Some("global-data"),
        _ if kind == absolute.0 => Some("absolute"),
        _ => None,
    }
}

/// (stub, slot) of the code in `.plt` and its kin: on amd64 `jmp *displacement(%rip)`, FF 25.
fn stubs(image: &Image<'_>) -> Vec<(u64, u64)> {
    const JUMP: [u8; 2] = [0xff, 0x25];
    let sections = image.sections.iter().filter(|s| s.name.starts_with(".plt") && s.address != 0);
    let each = sections.flat_map(|section| {
        let code = image.held(section);
        memchr::memmem::find_iter(code, &JUMP).filter_map(move |at| {
            let displacement = i32::from_le_bytes(code.get(at + 2..at + 6)?.try_into().ok()?);
            let behind = section.address.wrapping_add(at as u64 + 6);
            let slot = behind.wrapping_add_signed(displacement.into());
            // The stub of `.plt.sec` begins with a landing pad; stubs are 16 bytes apart.
            Some((section.address.wrapping_add(at as u64 / 16 * 16), slot))
        })
    });
    each.take(IMPORTS).collect()
}
