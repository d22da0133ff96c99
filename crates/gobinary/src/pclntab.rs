//! The function table of the Go runtime (`runtime.pclntab`): where it stands, and its header.
//!
//! The layout is that of runtime/symtab.go `pcHeader` and runtime2.go `_func`. Magics: internal/abi/symtab.go.

use crate::Error;
use crate::bytes::{self, Layout};
use crate::image::Image;
use crate::moduledata::{self, Text};

const MAGIC_1_2: u32 = 0xffff_fffb;
const MAGIC_1_16: u32 = 0xffff_fffa;
const MAGIC_1_18: u32 = 0xffff_fff0;
const MAGIC_1_20: u32 = 0xffff_fff1;

/// More than any program has; a table that claims more is refused before anything is allocated.
pub(crate) const FUNCTIONS: usize = 16 << 20;

/// A validated header, cut into its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    /// Where the table stands.
    pub(crate) address: u64,
    pub(crate) layout: Layout,
    /// Releases that write this layout.
    pub(crate) release: &'static str,
    /// Code addresses advance in steps of this many bytes: 1, 2 or 4.
    pub(crate) quantum: u64,
    /// Number of functions.
    pub(crate) functions: usize,
    /// Number of source files.
    pub(crate) files: usize,
    /// Offsets of the parts within the table, in the order of the header: names, units, files, values, functions.
    pub(crate) offsets: [u64; 5],
    pub(crate) names: &'a [u8],
    pub(crate) units: &'a [u8],
    pub(crate) file_names: &'a [u8],
    pub(crate) values: &'a [u8],
    pub(crate) table: &'a [u8],
}

/// Sections that hold the table and nothing else before it; in a PIE of older releases the second.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// A program that deals with function tables has the magics as data too, but not by the dozen.
const CANDIDATES: usize = 64;

/// The table by its section, else by its shape: a PE has no section for it. The first candidate that can be tied to
/// addresses is the table.
pub(crate) fn find<'a>(image: &Image<'a>) -> Result<(Header<'a>, Text), Error> {
    let mut refusal = None;
    for address in named(image).chain(scan(image)).take(CANDIDATES) {
        let tied = parse(image, address).and_then(|header| {
            moduledata::text(image, &header).map(|t| (header, t)).ok_or(Error::NoTextStart)
        });
        match tied {
            Ok(found) => return Ok(found),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or(Error::NoFunctionTable))
}

/// Whether a section says that there is a table, readable or not.
pub(crate) fn is_named(image: &Image<'_>) -> bool {
    named(image).next().is_some()
}

fn named(image: &Image<'_>) -> impl Iterator<Item = u64> {
    SECTIONS.iter().filter_map(|name| image.section(name)).map(|s| s.address)
}

/// Addresses at which a header may start: magic, two zeros, a quantum and the pointer size, at a pointer's
/// alignment.
fn scan(image: &Image<'_>) -> impl Iterator<Item = u64> {
    let Layout { pointer, .. } = image.layout;
    let data = image.regions.iter().filter(|r| !r.executable);
    let code = image.regions.iter().filter(|r| r.executable); // some linkers put all read-only data there
    let cells = data.chain(code).flat_map(|region| image.cells(region, 8));
    let heads = cells.filter(move |(_, head)| {
        release(image.layout, head).is_some()
            && head[4..6] == [0, 0]
            && matches!(head[6], 1 | 2 | 4)
            && usize::from(head[7]) == pointer
    });
    heads.map(|(address, _)| address)
}

fn release(layout: Layout, bytes: &[u8]) -> Option<u32> {
    let magic = layout.u32(bytes, 0)?;
    matches!(magic, MAGIC_1_2 | MAGIC_1_16 | MAGIC_1_18 | MAGIC_1_20).then_some(magic)
}

fn parse<'a>(image: &Image<'a>, address: u64) -> Result<Header<'a>, Error> {
    let bytes = image.from(address).ok_or(Error::NoFunctionTable)?;
    let release = match release(image.layout, bytes) {
        Some(MAGIC_1_20) => "1.20+",
        Some(MAGIC_1_18) => "1.18-1.19",
        Some(MAGIC_1_16) => return Err(Error::OldFunctionTable { release: "1.16 or 1.17" }),
        Some(_) => return Err(Error::OldFunctionTable { release: "1.2 to 1.15" }),
        None => return Err(Error::NoFunctionTable),
    };
    fields(image.layout, address, bytes, release)
        .ok_or(Error::FunctionTable { what: "the header's offsets do not fit the table" })
}

fn fields<'a>(image: Layout, address: u64, bytes: &'a [u8], release: &'static str) -> Option<Header<'a>> {
    let pointer = usize::from(*bytes.get(7)?);
    if !matches!(pointer, 4 | 8) {
        return None;
    }
    let layout = Layout { pointer, ..image };
    let word = |number: usize| layout.word(bytes, 8 + number * pointer);
    let offsets = [word(3)?, word(4)?, word(5)?, word(6)?, word(7)?];
    let part = |number: usize| {
        let start = bytes::index(offsets[number])?;
        let end = offsets.get(number + 1).map_or(Some(bytes.len()), |&end| bytes::index(end))?;
        bytes.get(start..end)
    };
    let functions = bytes::index(word(0)?).filter(|&n| n > 0 && n <= FUNCTIONS)?;
    let table = part(4)?;
    table.get(..functions * 8 + 4)?; // pairs of numbers, then the end of the code
    Some(Header {
        address,
        layout,
        release,
        quantum: u64::from(bytes[6]),
        functions,
        files: bytes::index(word(1)?)?,
        offsets,
        names: part(0)?,
        units: part(1)?,
        file_names: part(2)?,
        values: part(3)?,
        table,
    })
}
