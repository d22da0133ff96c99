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

/// The layouts that are read, each named after its first release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Release {
    /// Entries are addresses.
    Go116,
    /// Entries are offsets from the start of the code.
    Go118,
    /// A function says at which line it starts.
    Go120,
}

impl Release {
    /// Releases that write this layout, as people say it.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Go116 => "1.16-1.17",
            Self::Go118 => "1.18-1.19",
            Self::Go120 => "1.20+",
        }
    }
}

/// A validated header, cut into its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    /// Where the table stands.
    pub(crate) address: u64,
    pub(crate) layout: Layout,
    /// Releases that write this layout.
    pub(crate) release: Release,
    /// The magic is none that Go has: an obfuscator changed it.
    pub(crate) altered: bool,
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
pub(crate) const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// A program that deals with function tables has the magics as data too, but not by the dozen.
const CANDIDATES: usize = 64;

/// The table by its section, else by its shape: a PE has no section for it. The first candidate that can be tied to
/// addresses is the table.
pub(crate) fn find<'a>(image: &Image<'a>, minor: Option<u32>) -> Result<(Header<'a>, Text), Error> {
    let mut refusal = None;
    for address in named(image).chain(scan(image)).take(CANDIDATES) {
        let tied = parse(image, address).and_then(|header| {
            moduledata::text(image, &header, minor).map(|t| (header, t)).ok_or(Error::NoTextStart)
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

/// A header at `address`. Obfuscators write a magic of their own: where a section names the table, the newest layout
/// is tried, and the module data has to agree with it.
fn parse<'a>(image: &Image<'a>, address: u64) -> Result<Header<'a>, Error> {
    let bytes = image.from(address).ok_or(Error::NoFunctionTable)?;
    let (release, altered) = match release(image.layout, bytes) {
        Some(MAGIC_1_20) => (Release::Go120, false),
        Some(MAGIC_1_18) => (Release::Go118, false),
        Some(MAGIC_1_16) => (Release::Go116, false),
        Some(_) => return Err(Error::OldFunctionTable { release: "1.2 to 1.15" }),
        None => (Release::Go120, true),
    };
    let header = fields(image.layout, address, bytes, release, altered);
    header.ok_or(match altered {
        true => Error::NoFunctionTable,
        false => Error::FunctionTable { what: "the header's offsets do not fit the table" },
    })
}

/// Where the parts of the table at the start of `bytes` begin, whatever its magic: in order, within the table.
pub(crate) fn offsets(big_endian: bool, bytes: &[u8]) -> Option<[usize; 5]> {
    let layout = Layout { big_endian, pointer: 8 };
    let release = match release(layout, bytes) {
        Some(MAGIC_1_2) => return None,
        Some(MAGIC_1_16) => Release::Go116,
        _ => Release::Go120, // 1.18 has the same header
    };
    let header = fields(layout, 0, bytes, release, false)?;
    let mut offsets = [0; 5];
    for (offset, found) in offsets.iter_mut().zip(header.offsets) {
        *offset = bytes::index(found)?;
    }
    Some(offsets)
}

fn fields<'a>(
    image: Layout,
    address: u64,
    bytes: &'a [u8],
    release: Release,
    altered: bool,
) -> Option<Header<'a>> {
    let pointer = usize::from(*bytes.get(7)?);
    if !matches!(pointer, 4 | 8) {
        return None;
    }
    let layout = Layout { pointer, ..image };
    let word = |number: usize| layout.word(bytes, 8 + number * pointer);
    let first = if release == Release::Go116 { 2 } else { 3 }; // behind the start of the code, since Go 1.18
    let mut offsets = [0; 5];
    for (number, offset) in offsets.iter_mut().enumerate() {
        *offset = word(first + number)?;
    }
    let part = |number: usize| {
        let start = bytes::index(offsets[number])?;
        let end = offsets.get(number + 1).map_or(Some(bytes.len()), |&end| bytes::index(end))?;
        bytes.get(start..end)
    };
    let functions = bytes::index(word(0)?).filter(|&n| n > 0 && n <= FUNCTIONS)?;
    let table = part(4)?;
    let header = Header {
        address,
        layout,
        release,
        altered,
        quantum: u64::from(bytes[6]),
        functions,
        files: bytes::index(word(1)?)?,
        offsets,
        names: part(0)?,
        units: part(1)?,
        file_names: part(2)?,
        values: part(3)?,
        table,
    };
    table.get(..functions * header.entry_bytes() + header.entry_bytes() / 2)?; // pairs, then the end of the code
    Some(header)
}

impl Header<'_> {
    /// Bytes of one pair of the table of entries.
    pub(crate) fn entry_bytes(&self) -> usize {
        if self.release == Release::Go116 { 2 * self.layout.pointer } else { 8 }
    }

    /// The first or second number of a pair of the table of entries.
    pub(crate) fn entry(&self, number: usize, second: bool) -> Option<u64> {
        let at = number.checked_mul(self.entry_bytes())?;
        let half = self.entry_bytes() / 2;
        let at = at + if second { half } else { 0 };
        match half == self.layout.pointer && self.release == Release::Go116 {
            true => self.layout.word(self.table, at),
            false => self.layout.u32(self.table, at).map(u64::from),
        }
    }
}
