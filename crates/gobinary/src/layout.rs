//! Where the fields of `runtime.moduledata` stand.
//!
//! The fields up to `etext` have kept their places since Go 1.16. The later ones move: the table below says in which
//! releases each field exists (runtime/symtab.go of each release), and the places follow from the order. A layout is
//! believed only when what stands at its places can be what its names say; see [`choose`]. For releases that the table
//! does not know, [`crate::code`] asks the functions that read the fields.

use crate::bytes::Layout;
use crate::code::Place;

/// A field: how many words it takes, and the first and the last minor release of Go 1 that has it.
struct Member {
    name: &'static str,
    words: u64,
    first: u32,
    last: u32,
}

const ALWAYS: u32 = u32::MAX;

const fn member(name: &'static str, words: u64, first: u32, last: u32) -> Member {
    Member { name, words, first, last }
}

const fn word(name: &'static str) -> Member {
    member(name, 1, 0, ALWAYS)
}

const fn slice(name: &'static str) -> Member {
    member(name, 3, 0, ALWAYS)
}

/// In the order of the structure. One-byte fields take a word, except where two share one: `hasmain` and, since 1.23,
/// `bad` behind it.
const MEMBERS: &[Member] = &[
    word("pcHeader"),
    slice("funcnametab"),
    slice("cutab"),
    slice("filetab"),
    slice("pctab"),
    slice("pclntable"),
    slice("ftab"),
    word("findfunctab"),
    word("minpc"),
    word("maxpc"),
    word("text"),
    word("etext"),
    word("noptrdata"),
    word("enoptrdata"),
    word("data"),
    word("edata"),
    word("bss"),
    word("ebss"),
    word("noptrbss"),
    word("enoptrbss"),
    member("covctrs", 1, 20, ALWAYS),
    member("ecovctrs", 1, 20, ALWAYS),
    word("end"),
    word("gcdata"),
    word("gcbss"),
    word("types"),
    member("typedesclen", 1, 27, ALWAYS),
    word("etypes"),
    member("itaboffset", 1, 27, ALWAYS),
    member("itabsize", 1, 27, ALWAYS),
    member("rodata", 1, 18, ALWAYS),
    member("gofunc", 1, 18, ALWAYS),
    member("epclntab", 1, 26, ALWAYS),
    slice("textsectmap"),
    member("typelinks", 3, 0, 26),
    member("itablinks", 3, 0, 26),
    slice("ptab"),
    member("pluginpath", 2, 0, ALWAYS),
    slice("pkghashes"),
    member("inittasks", 3, 21, ALWAYS),
    member("modulename", 2, 0, ALWAYS),
    slice("modulehashes"),
    word("hasmain"),
    member("gcdatamask", 2, 0, ALWAYS),
    member("gcbssmask", 2, 0, ALWAYS),
    word("typemap"),
    member("bad", 1, 0, 22),
    word("next"),
];

/// The first release of each layout, newest first: where none is named, the newest that fits is taken.
const LAYOUTS: [u32; 7] = [27, 26, 23, 21, 20, 18, 16];
/// The newest release whose source was read for the table. What a newer one has may be the same; it has to be shown.
pub(crate) const NEWEST: u32 = 27;
/// What a layout is called that is none of these.
pub(crate) const UNKNOWN: &str = "unknown";

/// The places of the fields in one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// The minor release whose layout it is.
    pub(crate) minor: u32,
}

impl Places {
    /// The layout that `minor` has; that of the newest known for what is newer.
    pub(crate) fn of(minor: u32) -> Self {
        let found = LAYOUTS.iter().find(|&&first| first <= minor);
        Self { minor: found.copied().unwrap_or(LAYOUTS[LAYOUTS.len() - 1]) }
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        LAYOUTS.iter().map(|&minor| Self { minor })
    }

    /// The first release that has it.
    pub(crate) fn told(self) -> &'static str {
        match self.minor {
            27.. => "1.27",
            26 => "1.26",
            23.. => "1.23",
            21.. => "1.21",
            20 => "1.20",
            18.. => "1.18",
            _ => "1.16",
        }
    }

    fn members(self) -> impl Iterator<Item = &'static Member> {
        MEMBERS.iter().filter(move |m| (m.first..=m.last).contains(&self.minor))
    }

    /// Every field.
    pub(crate) fn fields(self) -> impl Iterator<Item = Place> {
        self.members().scan(0, |at, member| {
            let start = *at;
            *at += member.words;
            Some((member.name, start, member.words))
        })
    }

    /// The word that the field starts at.
    pub(crate) fn place(self, name: &str) -> Option<u64> {
        self.fields().find(|field| field.0 == name).map(|field| field.1)
    }

    /// Words of the whole structure.
    pub(crate) fn words(self) -> u64 {
        self.members().map(|m| m.words).sum()
    }
}

/// What the choice of a layout asks of the image.
pub(crate) trait Words {
    fn layout(&self) -> Layout;
    /// The word `number` of the module data.
    fn word(&self, number: u64) -> Option<u64>;
    /// Whether the loader puts anything at `address`.
    fn maps(&self, address: u64) -> bool;
}

/// Whether what stands at the places of `places` can be what its names say. The linker writes these fields, and the
/// runtime has not run yet: what it fills is still zero.
pub(crate) fn fits(places: Places, module: &impl Words) -> bool {
    let at = |name: &str| places.place(name).and_then(|place| module.word(place));
    let ordered = |low: &str, high: &str| at(low).zip(at(high)).is_some_and(|(low, high)| low <= high);
    let mapped = |name: &str| at(name).is_some_and(|address| module.maps(address));
    let either =
        |name: &str, one: &dyn Fn(u64) -> bool| places.place(name).is_none() || at(name).is_some_and(one);
    let slices = ["textsectmap", "typelinks", "itablinks", "ptab", "pkghashes", "inittasks", "modulehashes"];
    let sound = |name: &&str| places.place(name).is_none_or(|place| is_slice(module, place));
    ordered("noptrdata", "enoptrdata")
        && ordered("data", "edata")
        && ordered("bss", "ebss")
        && ordered("noptrbss", "enoptrbss")
        && ordered("types", "etypes")
        && mapped("types")
        && either("rodata", &|address| module.maps(address))
        && either("gofunc", &|address| module.maps(address))
        && either("epclntab", &|address| at("pcHeader").is_some_and(|start| start < address))
        && either("typedesclen", &|length| span(at("types"), at("etypes")).is_some_and(|all| length <= all))
        && either("itaboffset", &|offset| span(at("types"), at("etypes")).is_some_and(|all| offset <= all))
        && slices.iter().all(sound)
        && one_or_none(module, places, "hasmain", places.place("bad").is_none())
        && at("typemap") == Some(0)
        && at("next").is_some_and(|next| next == 0 || module.maps(next))
}

/// A slice as the linker writes it: full.
fn is_slice(module: &impl Words, place: u64) -> bool {
    let [start, length, capacity] = [0, 1, 2].map(|number| module.word(place + number));
    let Some(((start, length), capacity)) = start.zip(length).zip(capacity) else { return false };
    length == capacity && length < 1 << 32 && (length == 0 || module.maps(start))
}

fn span(low: Option<u64>, high: Option<u64>) -> Option<u64> {
    high?.checked_sub(low?)
}

/// A byte that is 0 or 1; behind it, when they share a word, another that is 0.
fn one_or_none(module: &impl Words, places: Places, name: &str, shared: bool) -> bool {
    let Some(word) = places.place(name).and_then(|place| module.word(place)) else { return false };
    let Layout { big_endian, pointer } = module.layout();
    let first = if big_endian { word >> (8 * (pointer - 1)) } else { word & 0xff };
    let rest = if big_endian { word & !(0xff << (8 * (pointer - 1))) } else { word >> 8 };
    first <= 1 && (!shared || rest == 0)
}

/// What said where the fields are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The release that the build information names, and the content agrees.
    Release,
    /// The code of functions that read them.
    Code,
    /// The content alone: the newest layout that it agrees with.
    Content,
}

/// Where the fields are, and what said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// (name, first word, words), in order.
    pub(crate) fields: Vec<Place>,
    /// The first release of the layout; [`UNKNOWN`] when it is that of no release in the table.
    pub(crate) told: &'static str,
    pub(crate) source: Source,
}

impl Chosen {
    fn whole(places: Places, source: Source) -> Self {
        Self { fields: places.fields().collect(), told: places.told(), source }
    }

    /// A layout of which only some places are known: those that never changed, and what `code` gave.
    fn part(code: Vec<Place>) -> Self {
        let always = Places { minor: NEWEST }.fields().take_while(|field| field.0 != "noptrdata");
        Self { fields: always.chain(code).collect(), told: UNKNOWN, source: Source::Code }
    }

    /// The word that the field starts at.
    pub(crate) fn place(&self, name: &str) -> Option<u64> {
        self.fields.iter().find(|field| field.0 == name).map(|field| field.1)
    }
}

/// The layout: of the release that is named, if the table has it and the content agrees. Else what `code` says of single
/// fields: the known layout that agrees with all of it, or these fields alone. Else the newest that the content allows.
pub(crate) fn choose(
    minor: Option<u32>,
    module: &impl Words,
    code: impl FnOnce() -> Option<Vec<Place>>,
) -> Option<Chosen> {
    let named = minor.filter(|&minor| minor <= NEWEST).map(Places::of);
    if let Some(places) = named.filter(|&places| fits(places, module)) {
        return Some(Chosen::whole(places, Source::Release));
    }
    let mut fitting = Places::all().filter(|&places| fits(places, module));
    let Some(derived) = code().filter(|derived| can_be(derived, module)) else {
        return fitting.next().map(|places| Chosen::whole(places, Source::Content));
    };
    let agrees = |places: &Places| derived.iter().all(|field| places.place(field.0) == Some(field.1));
    let known = fitting.find(agrees).map(|places| Chosen::whole(places, Source::Code));
    Some(known.unwrap_or_else(|| Chosen::part(derived)))
}

/// Whether what stands at derived places can be what their names say.
fn can_be(derived: &[Place], module: &impl Words) -> bool {
    let at = |name: &str| derived.iter().find(|field| field.0 == name).and_then(|field| module.word(field.1));
    let sound = |(name, place, words): &Place| match (*name, words) {
        ("next", _) => at("next").is_some_and(|next| next == 0 || module.maps(next)),
        ("typemap", _) => at("typemap") == Some(0),
        ("itaboffset" | "itabsize" | "typedesclen", _) => at("types")
            .zip(at("etypes"))
            .and_then(|(start, end)| end.checked_sub(start))
            .zip(at(name))
            .is_some_and(|(all, one)| one <= all),
        (_, 3) => is_slice(module, *place),
        _ => at(name).is_some_and(|address| module.maps(address)),
    };
    derived.iter().all(sound) && at("types").zip(at("etypes")).is_some_and(|(start, end)| start <= end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets in bytes that were read from the DWARF of programs built by each release, linux/amd64.
    #[test]
    fn places_are_those_that_dwarf_gives() {
        let measured = [
            ("etypes", [304, 304, 304, 304, 312]),
            ("rodata", [312, 312, 312, 312, 336]),
            ("gofunc", [320, 320, 320, 320, 344]),
            ("textsectmap", [328, 328, 328, 336, 360]),
            ("inittasks", [464, 464, 464, 472, 448]),
            ("modulename", [488, 488, 488, 496, 472]),
            ("hasmain", [528, 528, 528, 536, 512]),
            ("gcdatamask", [536, 536, 536, 544, 520]),
            ("typemap", [568, 568, 568, 576, 552]),
            ("next", [584, 584, 576, 584, 560]),
        ];
        for (name, places) in measured {
            for (minor, place) in [21, 22, 25, 26, 27].into_iter().zip(places) {
                assert_eq!(Places::of(minor).place(name), Some(place / 8), "{name} in 1.{minor}");
            }
        }
        assert_eq!([21, 23, 26, 27].map(|minor| Places::of(minor).words() * 8), [592, 584, 592, 568]);
        assert_eq!(Places::of(27).place("typelinks"), None);
        assert_eq!(Places::of(26).place("typelinks"), Some(45));
        assert_eq!(Places::of(99), Places::of(27));
    }
}
