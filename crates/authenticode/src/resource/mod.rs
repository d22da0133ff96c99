//! Resources of an image: what Windows shows of a program, its icon, and the manifest that says what it needs.
//!
//! A tree of three levels (PE Format, "The .rsrc Section"): type, name, language. It is read whole, changed, and written
//! anew; where it goes in the image is the affair of [`place`]. The same resources give the same bytes: the times in the
//! directories are zero, and everything stands in the order that the format asks for.

mod directory;
pub mod icon;
pub mod manifest;
pub mod place;
pub mod version;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

/// `RT_ICON`: one picture.
pub const ICON: Name = Name::Id(3);
/// `RT_GROUP_ICON`: the sizes of an icon, each a picture.
pub const GROUP_ICON: Name = Name::Id(14);
/// `RT_VERSION`.
pub const VERSION: Name = Name::Id(16);
/// `RT_MANIFEST`.
pub const MANIFEST: Name = Name::Id(24);
/// English (United States): what Windows shows where nothing fits better.
pub const ENGLISH: u16 = 0x0409;
/// More resources than this has no program.
pub const MAX_RESOURCES: usize = 65_536;
/// More bytes of resources are not written.
pub const MAX_BYTES: usize = 512 << 20;

/// What a type or a resource is called. Texts come before numbers, as the format asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Name {
    /// UTF-16.
    Text(Vec<u16>),
    /// A number of 16 bits, though there is room for 31.
    Id(u32),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(number) => write!(f, "{number}"),
            Self::Text(units) => {
                let text = String::from_utf16_lossy(units);
                let shown = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
                write!(f, "\"{}\"", shown.collect::<String>())
            }
        }
    }
}

/// Where a resource stands in the tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// What it is.
    pub kind: Name,
    /// Which of its kind.
    pub name: Name,
    /// For whom: a `LANGID`.
    pub language: u32,
}

impl Key {
    /// The resource `name` of a kind.
    #[must_use]
    pub fn new(kind: Name, name: u32, language: u16) -> Self {
        Self { kind, name: Name::Id(name), language: u32::from(language) }
    }
}

/// One resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource<'a> {
    /// The code page of its text; nobody looks at it.
    pub code_page: u32,
    /// Its bytes.
    pub data: Cow<'a, [u8]>,
}

/// All resources of an image.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resources<'a> {
    entries: BTreeMap<Key, Resource<'a>>,
}

impl<'a> Resources<'a> {
    /// Every resource, in the order of the tree.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Resource<'a>)> {
        self.entries.iter()
    }

    /// Puts a resource in its place.
    pub fn set(&mut self, key: Key, data: impl Into<Cow<'a, [u8]>>) {
        self.entries.insert(key, Resource { code_page: 0, data: data.into() });
    }

    /// Takes away every resource of a kind for which `gone` says so.
    pub fn remove(&mut self, kind: &Name, mut gone: impl FnMut(&Key) -> bool) {
        self.entries.retain(|key, _| key.kind != *kind || !gone(key));
    }

    /// The resources of a kind.
    pub fn of_kind(&self, kind: &Name) -> impl Iterator<Item = (&Key, &Resource<'a>)> {
        self.entries.iter().filter(move |(key, _)| key.kind == *kind)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
