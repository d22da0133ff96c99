//! `runtime.firstmoduledata`: ties the function table to addresses.
//!
//! It is found without symbols, as the one place in the data that holds a pointer to the function table followed
//! by the slices that the table's header implies. The fields up to `etext` have kept their places since Go 1.16
//! (runtime/symtab.go); where the later ones stand is chosen in [`crate::layout`].

use serde::Serialize;

use crate::bytes::Layout;
use crate::code;
use crate::functions::hexadecimal;
use crate::image::Image;
use crate::layout::{self, Chosen, Source, Words};
use crate::pclntab::{Header, Release};

/// Places of fields, in words. The fifth slice is that of the function records, which stand last in the table.
const FIRST_SLICE: u64 = 1;
const RECORDS: u64 = 13;
const FUNCTION_TABLE: u64 = 16;
const MINIMUM_PC: u64 = 20;
const TEXT: u64 = 22;
const END_TEXT: u64 = 23;
/// A link splits the code when a branch could not reach across it: a handful of parts.
const SECTIONS: u64 = 4096;

/// Where the code stands.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) start: u64,
    pub(crate) source: &'static str,
    /// How long the whole function table is, where the module data says.
    pub(crate) table_bytes: Option<u64>,
    /// `gofunc`: what offsets of function data are counted from.
    pub(crate) function_data: Option<u64>,
    /// The module data itself, where it was found and its layout is known.
    pub(crate) module: Option<Module>,
    /// (offset, end offset, address) of each part, when the code is in several.
    parts: Vec<(u64, u64, u64)>,
}

impl Text {
    /// runtime/symtab.go `moduledata.textAddr`.
    pub(crate) fn address(&self, offset: u64) -> u64 {
        let part = self.parts.iter().find(|p| (p.0..p.1).contains(&offset));
        part.map_or(self.start.wrapping_add(offset), |p| p.2.wrapping_add(offset - p.0))
    }
}

/// The runtime's description of one module: an executable, a shared library, a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Module {
    /// Where it stands.
    #[serde(serialize_with = "hexadecimal")]
    pub address: u64,
    /// Bytes that it takes; with an unknown layout up to the end of the last field that was found.
    pub bytes: u64,
    /// Releases of Go whose layout it has, by the first of them: `1.23`; `unknown` where it is that of none.
    pub layout: &'static str,
    /// How the layout was chosen: `release` (the one that the build information names; the content agrees), `code`
    /// (functions of the runtime read the fields there), `content` (the newest that the content agrees with).
    pub layout_from: &'static str,
    /// The fields in order; with an unknown layout those that were found.
    pub fields: Vec<Field>,
}

/// A field of the module data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// As the runtime's source names it.
    pub name: &'static str,
    /// Where it starts, in bytes from the start of the module data.
    pub offset: u64,
    /// Its words: one for an address or a size; pointer and length for a string; pointer, length and capacity for a
    /// slice. As linked, before the runtime writes to it.
    pub words: Vec<u64>,
}

impl Module {
    /// The first word of a field: an address, a size, or where a slice or string starts.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<u64> {
        self.words(name)?.first().copied()
    }

    /// All words of a field.
    #[must_use]
    pub fn words(&self, name: &str) -> Option<&[u64]> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.words.as_slice())
    }
}

/// A place that may be module data.
struct Place<'i, 'a> {
    image: &'i Image<'a>,
    layout: Layout,
    address: u64,
}

impl Words for Place<'_, '_> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn word(&self, number: u64) -> Option<u64> {
        self.image.word(self.address.checked_add(number.checked_mul(self.layout.pointer as u64)?)?)
    }

    fn maps(&self, address: u64) -> bool {
        // The end of a region is an address of it too: an empty part may stand there.
        self.image.from(address).is_some() || self.image.from(address.wrapping_sub(1)).is_some()
    }
}

/// Where the code starts: by the module data; else by the header, if it was written there (1.18 to 1.25) and needs
/// no relocation. `minor` is the release that the build information names.
pub(crate) fn text(image: &Image<'_>, header: &Header<'_>, minor: Option<u32>) -> Option<Text> {
    let places = image.places_of(header.address);
    let found = places.filter_map(|address| {
        let place = Place { image, layout: header.layout, address };
        validated(&place, header, minor)
    });
    // Another copy of the first fields (the runtime keeps some) has no layout that fits.
    let mut any = None;
    for text in found {
        if text.module.is_some() {
            return Some(text);
        }
        any = any.or(Some(text));
    }
    any.or_else(|| {
        if header.release == Release::Go116 || header.altered {
            return None;
        }
        let relocated = image.word(header.address.wrapping_add(8 + 2 * header.layout.pointer as u64));
        let start = relocated.filter(|&start| start != 0 && image.from(start).is_some())?;
        Some(Text {
            start,
            source: "header",
            table_bytes: None,
            function_data: None,
            module: None,
            parts: Vec::new(),
        })
    })
}

fn validated(place: &Place<'_, '_>, header: &Header<'_>, minor: Option<u32>) -> Option<Text> {
    let word = |number: u64| place.word(number);
    for (number, offset) in (0u64..).zip(header.offsets) {
        let start = word(FIRST_SLICE + 3 * number)?;
        if start != header.address.checked_add(offset)? {
            return None;
        }
    }
    let entries = word(FUNCTION_TABLE + 1)?;
    let (start, end, least) = (word(TEXT)?, word(END_TEXT)?, word(MINIMUM_PC)?);
    let holds = entries == header.functions as u64 + 1 && start < end && (start..=end).contains(&least);
    if !holds {
        return None;
    }
    // The code can be found before the layout is known: it stands in one part, but for the largest ARM programs.
    let mut text = Text {
        start,
        source: "moduledata",
        table_bytes: word(RECORDS + 1).and_then(|length| header.offsets[4].checked_add(length)),
        function_data: None,
        module: None,
        parts: Vec::new(),
    };
    if let Some(chosen) = layout::choose(minor, place, || code::places(place.image, header, &text)) {
        text.function_data = chosen.place("gofunc").and_then(word);
        text.parts = chosen.place("textsectmap").and_then(|map| parts(place, start, map)).unwrap_or_default();
        text.module = module(place, &chosen);
    }
    Some(text)
}

fn module(place: &Place<'_, '_>, chosen: &Chosen) -> Option<Module> {
    let pointer = place.layout.pointer as u64;
    let fields = chosen.fields.iter().map(|&(name, start, words)| {
        let words = (start..start + words).map(|number| place.word(number)).collect::<Option<_>>()?;
        Some(Field { name, offset: start * pointer, words })
    });
    let last = chosen.fields.iter().map(|(_, start, words)| start + words).max()?;
    Some(Module {
        address: place.address,
        bytes: last * pointer,
        layout: chosen.told,
        layout_from: match chosen.source {
            Source::Release => "release",
            Source::Code => "code",
            Source::Content => "content",
        },
        fields: fields.collect::<Option<_>>()?,
    })
}

/// `textsectmap`, whose first element is (0, end, start of the code). One part needs no map.
fn parts(place: &Place<'_, '_>, start: u64, map: u64) -> Option<Vec<(u64, u64, u64)>> {
    let (at, length) = (place.word(map)?, place.word(map + 1)?);
    if !(2..=SECTIONS).contains(&length) {
        return None;
    }
    let pointer = place.layout.pointer as u64;
    let field = |index: u64, which: u64| place.image.word(at.checked_add((index * 3 + which) * pointer)?);
    let all = (0..length).map(|i| Some((field(i, 0)?, field(i, 1)?, field(i, 2)?)));
    let all: Vec<_> = all.collect::<Option<_>>()?;
    let ordered = all.windows(2).all(|w| w[0].1 <= w[1].0);
    (all[0].0 == 0 && all[0].2 == start && ordered).then_some(all)
}
