//! `runtime.firstmoduledata`: ties the function table to addresses.
//!
//! It is found without symbols, as the one place in the data that holds a pointer to the function table followed
//! by the slices that the table's header implies. The fields read here have kept their places since Go 1.16
//! (runtime/symtab.go); later ones move with each release and are recognised by their content.

use crate::image::Image;
use crate::pclntab::Header;

/// Places of fields, in words. The fifth slice is that of the function records, which stand last in the table.
const FIRST_SLICE: u64 = 1;
const RECORDS: u64 = 13;
const FUNCTION_TABLE: u64 = 16;
const MINIMUM_PC: u64 = 20;
const TEXT: u64 = 22;
const END_TEXT: u64 = 23;
/// `textsectmap` lies behind `rodata`, `gofunc` and, from 1.26 on, `epclntab`; 1.27 added more before it.
const SECTION_MAP: std::ops::Range<u64> = 38..48;
/// A link splits the code when a branch could not reach across it: a handful of parts.
const SECTIONS: u64 = 4096;

/// Where the code stands.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) start: u64,
    pub(crate) source: &'static str,
    /// How long the whole function table is, where the module data says.
    pub(crate) table_bytes: Option<u64>,
    /// (offset, end offset, address) of each part, when the code is in several.
    parts: Vec<(u64, u64, u64)>,
}

impl Text {
    /// runtime/symtab.go `moduledata.textAddr`.
    pub(crate) fn address(&self, offset: u32) -> u64 {
        let offset = u64::from(offset);
        let part = self.parts.iter().find(|p| (p.0..p.1).contains(&offset));
        part.map_or(self.start.wrapping_add(offset), |p| p.2.wrapping_add(offset - p.0))
    }
}

/// Where the code starts: by the module data; else by the header, if it was written there (before 1.26) and needs
/// no relocation.
pub(crate) fn text(image: &Image<'_>, header: &Header<'_>) -> Option<Text> {
    let found = image.places_of(header.address).find_map(|place| validated(image, header, place));
    found.or_else(|| {
        let relocated = image.word(header.address.wrapping_add(8 + 2 * header.layout.pointer as u64));
        let start = relocated.filter(|&start| start != 0 && image.from(start).is_some())?;
        Some(Text { start, source: "header", table_bytes: None, parts: Vec::new() })
    })
}

fn validated(image: &Image<'_>, header: &Header<'_>, place: u64) -> Option<Text> {
    let pointer = header.layout.pointer as u64;
    let word = |number: u64| image.word(place.checked_add(number * pointer)?);
    for (number, offset) in (0u64..).zip(header.offsets) {
        let start = word(FIRST_SLICE + 3 * number)?;
        if start != header.address.checked_add(offset)? {
            return None;
        }
    }
    let entries = word(FUNCTION_TABLE + 1)?;
    let (start, end, least) = (word(TEXT)?, word(END_TEXT)?, word(MINIMUM_PC)?);
    let holds = entries == header.functions as u64 + 1 && start < end && (start..=end).contains(&least);
    holds.then(|| Text {
        start,
        source: "moduledata",
        table_bytes: word(RECORDS + 1).and_then(|length| header.offsets[4].checked_add(length)),
        parts: parts(image, pointer, start, word),
    })
}

/// `textsectmap`: a slice whose first element is (0, end, start of the code).
fn parts(
    image: &Image<'_>,
    pointer: u64,
    start: u64,
    word: impl Fn(u64) -> Option<u64>,
) -> Vec<(u64, u64, u64)> {
    let read = |number: u64| {
        let (at, length, capacity) = (word(number)?, word(number + 1)?, word(number + 2)?);
        if length != capacity || !(2..=SECTIONS).contains(&length) {
            return None;
        }
        let field = |index: u64, which: u64| image.word(at.checked_add((index * 3 + which) * pointer)?);
        let all = (0..length).map(|i| Some((field(i, 0)?, field(i, 1)?, field(i, 2)?)));
        let all: Vec<_> = all.collect::<Option<_>>()?;
        let ordered = all.windows(2).all(|w| w[0].1 <= w[1].0);
        (all[0].0 == 0 && all[0].2 == start && ordered).then_some(all)
    };
    SECTION_MAP.filter_map(read).next().unwrap_or_default()
}
