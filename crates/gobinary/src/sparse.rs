//! Which parts of a large file are needed: most of a Go executable is code, symbols and debug data, and the facts are
//! elsewhere.
//!
//! The caller gets a buffer as long as the file in which only the needed parts have been read; the rest is zero, and
//! on systems that map zeroed memory when it is touched it takes no memory. What is left out is decided by section
//! names, so a file without sections, or one that is not ELF, is read whole.

use std::ops::Range;

use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader as _};
use object::{Endian as _, Endianness};

use crate::pclntab;

/// What will be asked of the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// [`crate::Binary::inspect`], module data, imports: of the function table the header and the names only.
    Summary,
    /// These, and the symbol table.
    Symbols,
    /// These, and functions without what their inline trees say.
    Functions,
    /// Functions and their details, types, module data, imports: all but code, symbols and debug data.
    Facts,
    /// The facts, and the code: what [`crate::Binary::wants_code`] asks for.
    Code,
    /// The whole file.
    Everything,
}

impl Need {
    fn code(self) -> bool {
        self == Self::Code
    }

    fn symbols(self) -> bool {
        self == Self::Symbols
    }

    /// Type data, and what function data points to.
    fn read_only(self) -> bool {
        matches!(self, Self::Facts | Self::Code)
    }

    fn functions(self) -> bool {
        self.read_only() || self == Self::Functions
    }
}

/// Longest piece that is asked for at once.
const PIECE: usize = 1 << 20;
/// Bytes of a section of debug data that say how long it is unpacked.
const HEADER: usize = 64;
/// Section headers that are looked through.
const SECTIONS: usize = 65_536;

/// Reads what `need` asks for from a file of `size` bytes; `read` fills the buffer with the bytes of the range.
///
/// # Errors
/// Those of `read`.
pub fn read<E>(
    size: usize,
    need: Need,
    mut read: impl FnMut(Range<usize>, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let mut file = File { bytes: vec![0; size], read: &mut read };
    file.fetch(0..size.min(4096))?;
    let left_out = match (need, file.bytes.get(..5)) {
        (Need::Everything, _) => None,
        (_, Some([0x7f, b'E', b'L', b'F', 1])) => file.left_out::<FileHeader32<Endianness>>(need)?,
        (_, Some([0x7f, b'E', b'L', b'F', 2])) => file.left_out::<FileHeader64<Endianness>>(need)?,
        _ => None,
    };
    let mut start = 0;
    for gap in left_out.unwrap_or_default() {
        file.fetch(start..gap.start.max(start))?;
        start = gap.end.max(start);
    }
    file.fetch(start..size)?;
    Ok(file.bytes)
}

struct File<'r, E> {
    bytes: Vec<u8>,
    #[expect(clippy::type_complexity, reason = "the caller's closure")]
    read: &'r mut dyn FnMut(Range<usize>, &mut [u8]) -> Result<(), E>,
}

impl<E> File<'_, E> {
    fn fetch(&mut self, range: Range<usize>) -> Result<(), E> {
        let end = range.end.min(self.bytes.len());
        let mut start = range.start;
        while start < end {
            let piece = start..end.min(start + PIECE);
            (self.read)(piece.clone(), &mut self.bytes[piece.clone()])?;
            start = piece.end;
        }
        Ok(())
    }

    /// The parts that nobody needs, in order; `None` when the headers do not tell.
    fn left_out<H: FileHeader<Endian = Endianness>>(
        &mut self,
        need: Need,
    ) -> Result<Option<Vec<Range<usize>>>, E> {
        let Some(table) = self.headers::<H>() else { return Ok(None) };
        self.fetch(table)?;
        let Some(names) = self.names::<H>() else { return Ok(None) };
        self.fetch(names)?;
        let Some(sections) = self.sections::<H>() else { return Ok(None) };
        // A table that no section names may stand among other read-only data.
        let named = sections.iter().any(|s| is_table(&s.0));
        let inline = named && self.build_info_is_inline(&sections)?;
        let mut gaps = Vec::new();
        for (name, range) in sections {
            match name.as_slice() {
                _ if name.starts_with(b".debug_") || name.starts_with(b".zdebug_") => {
                    gaps.push(range.start + HEADER.min(range.len())..range.end);
                }
                b".symtab" | b".strtab" if !need.symbols() => gaps.push(range),
                b".text" if !need.code() => gaps.push(range),
                b".go.type" | b".go.func" if !need.read_only() => gaps.push(range),
                // Until Go 1.17 the build information is text in there.
                b".rodata" if !need.read_only() && inline => gaps.push(range),
                name if is_table(name) && !need.functions() => {
                    gaps.extend(self.beside_names::<H>(range)?);
                }
                _ => {}
            }
        }
        gaps.sort_by_key(|gap| gap.start);
        let apart = gaps.windows(2).all(|w| w[0].end <= w[1].start);
        Ok(apart.then_some(gaps))
    }

    /// Bit 1 of the flags (debug/buildinfo): the text stands right behind the header.
    fn build_info_is_inline(&mut self, sections: &[(Vec<u8>, Range<usize>)]) -> Result<bool, E> {
        let Some((_, range)) = sections.iter().find(|s| s.0 == b".go.buildinfo") else { return Ok(false) };
        self.fetch(range.start..range.end.min(range.start + 16))?;
        Ok(self.bytes.get(range.start + 15).is_some_and(|flags| flags & 2 != 0))
    }

    /// The parts of a function table that are not names: of functions, and of source files.
    fn beside_names<H: FileHeader<Endian = Endianness>>(
        &mut self,
        table: Range<usize>,
    ) -> Result<Vec<Range<usize>>, E> {
        self.fetch(table.start..table.end.min(table.start + 128))?;
        let endian = H::parse(self.bytes.as_slice()).ok().and_then(|header| header.endian().ok());
        let big_endian = endian.is_some_and(|endian| endian.is_big_endian());
        let Some([_, units, files, values, _]) = pclntab::offsets(big_endian, &self.bytes[table.clone()])
        else {
            return Ok(Vec::new());
        };
        let part = |from: usize, to: usize| table.start + from..table.start + to.min(table.len());
        Ok(vec![part(units, files), part(values, table.len())]
            .into_iter()
            .filter(|r| !r.is_empty())
            .collect())
    }

    /// Where the section headers stand.
    fn headers<H: FileHeader<Endian = Endianness>>(&self) -> Option<Range<usize>> {
        let data = self.bytes.as_slice();
        let header = H::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let start = usize::try_from(header.e_shoff(endian).into()).ok().filter(|&start| start > 0)?;
        let count = usize::from(header.e_shnum(endian));
        let length =
            count.checked_mul(size_of::<H::SectionHeader>()).filter(|_| (1..SECTIONS).contains(&count))?;
        let end = start.checked_add(length).filter(|&end| end <= data.len())?;
        Some(start..end)
    }

    fn names<H: FileHeader<Endian = Endianness>>(&self) -> Option<Range<usize>> {
        let data = self.bytes.as_slice();
        let header = H::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let index = header.shstrndx(endian, data).ok()?;
        let section = header.section_headers(endian, data).ok()?.get(usize::try_from(index).ok()?)?;
        range(section.file_range(endian)?, data.len())
    }

    fn sections<H: FileHeader<Endian = Endianness>>(&self) -> Option<Vec<(Vec<u8>, Range<usize>)>> {
        let data = self.bytes.as_slice();
        let header = H::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let table = header.sections(endian, data).ok()?;
        let held = table.iter().filter_map(|section| {
            let name = table.section_name(endian, section).ok()?;
            Some((name.to_vec(), range(section.file_range(endian)?, data.len())?))
        });
        Some(held.collect())
    }
}

fn is_table(section: &[u8]) -> bool {
    pclntab::SECTIONS.iter().any(|name| name.as_bytes() == section)
}

fn range((start, length): (u64, u64), whole: usize) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= whole).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::synthetic::{elf, inline_build_info};

    /// What is not read stays zero; what cannot be told apart is read whole.
    #[test]
    fn a_file_without_sections_is_read_whole() {
        let whole = elf(&inline_build_info("go1.27.3", ""));
        let mut asked = 0;
        let bytes = super::read(whole.len(), Need::Facts, |range, into| {
            asked += range.len();
            into.copy_from_slice(&whole[range]);
            Ok::<_, Infallible>(())
        });
        assert_eq!(bytes.unwrap(), whole);
        assert!(asked >= whole.len());
    }

    #[test]
    fn damaged_headers_are_no_reason_to_fail() {
        let mut damaged = elf(&inline_build_info("go1.27.3", ""));
        for (at, value) in [(40usize, 0xff_u8), (58, 64), (60, 0xff), (61, 0xff), (62, 3)] {
            damaged[at] = value;
            let read = |range: Range<usize>, into: &mut [u8]| {
                into.copy_from_slice(&damaged[range]);
                Ok::<_, Infallible>(())
            };
            assert_eq!(super::read(damaged.len(), Need::Facts, read).unwrap(), damaged);
        }
    }
}
