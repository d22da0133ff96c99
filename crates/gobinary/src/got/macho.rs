//! Mach-O: sections of symbol pointers, whose symbols are in the indirect symbol table (`<mach-o/loader.h>`).

use object::Endianness;
use object::macho::{self, MachHeader32, MachHeader64};
use object::read::macho::{MachHeader, Nlist as _, Section as _, Segment as _};

use super::{Binding, IMPORTS, NAME, Slot};
use crate::image::Image;

pub(super) fn slots(image: &Image<'_>) -> object::Result<Vec<Slot>> {
    match image.layout.pointer {
        8 => of_class::<MachHeader64<Endianness>>(image),
        _ => of_class::<MachHeader32<Endianness>>(image),
    }
}

fn of_class<M: MachHeader<Endian = Endianness>>(image: &Image<'_>) -> object::Result<Vec<Slot>> {
    let data = image.data;
    let header = M::parse(data, 0)?;
    let endian = header.endian()?;
    let (mut symbols, mut indirect) = (None, &[][..]);
    let mut commands = header.load_commands(endian, data, 0)?;
    while let Some(command) = commands.next()? {
        if let Some(table) = command.symtab()? {
            symbols = Some(table.symbols::<M, _>(endian, data)?);
        } else if let Some(table) = command.dysymtab()? {
            indirect = table.indirect_symbols(endian, data)?;
        }
    }
    let mut found = Vec::new();
    let Some(symbols) = symbols else { return Ok(found) };
    let mut commands = header.load_commands(endian, data, 0)?;
    while let Some(command) = commands.next()? {
        let Some((segment, rest)) = M::Segment::from_command(command)? else { continue };
        let read_only = segment.flags(endian).contains(macho::SG_READ_ONLY);
        let writable = segment.initprot(endian).contains(macho::VM_PROT_WRITE) && !read_only;
        for section in segment.sections(endian, rest)? {
            let binding = match section.section_type(endian) {
                macho::S_LAZY_SYMBOL_POINTERS => Binding::Lazy,
                macho::S_NON_LAZY_SYMBOL_POINTERS => Binding::Start,
                _ => continue,
            };
            let first = section.reserved1(endian) as usize;
            let (start, size): (u64, u64) = (section.addr(endian).into(), section.size(endian).into());
            let pointer = image.layout.pointer as u64;
            let slots = (start..start.saturating_add(size)).step_by(image.layout.pointer);
            for (slot, number) in slots.zip(indirect.get(first..).unwrap_or_default()) {
                if found.len() == IMPORTS || slot + pointer > start.saturating_add(size) {
                    return Ok(found);
                }
                let number = number.get(endian);
                let Ok(symbol) = symbols.symbol(object::SymbolIndex(number.0 as usize)) else { continue };
                let Ok(name) = symbol.name(endian, symbols.strings()) else { continue };
                found.push(Slot {
                    name: String::from_utf8_lossy(&name[..name.len().min(NAME)]).into_owned(),
                    library: None,
                    slot,
                    section: super::section_of(image, slot),
                    relocation: "symbol-pointer",
                    binding,
                    writable,
                    stub: None,
                });
            }
        }
    }
    Ok(found)
}
