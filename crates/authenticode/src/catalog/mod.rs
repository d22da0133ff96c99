//! Catalogues (`.cat`): a signed list of files, each known by its digest.
//!
//! A catalogue is PKCS #7 around a certificate trust list (MS-CAESO (2009) has the list; "Catalog Files" of the
//! Windows driver documentation its use). Microsoft does not publish what stands in the members;
//! `docs/formats/catalog.md` says what it is and how that is known. Two versions are in use: the first knows files by
//! SHA-1, the second by SHA-256 and, for those who look them up that way, by SHA-1 too.

mod build;
mod read;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use pkix::{Digest, Time};

use crate::subject::{Kind, Subject};

pub use build::{MemberOptions, unsigned};

/// A catalogue with more is not read; Windows' own largest have some ten thousand.
pub const MAX_MEMBERS: usize = 500_000;
/// A larger file is not read: that of the most members.
pub const MAX_CATALOG: usize = pkix::cms::MAX_SIGNED_DATA;
/// Flags of an attribute whose value is text: authenticated, name and value as text (`CRYPTCAT_ATTR_…` of `mscat.h`).
pub const TEXT: u32 = 0x1001_0001;

/// Which of the two kinds of members a catalogue has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// Hexadecimal names, SHA-1; what Windows before 8 reads.
    One,
    /// Digests as names, SHA-256.
    Two,
}

impl Version {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// A catalogue's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catalog {
    /// The kind of its members.
    pub version: Version,
    /// Tells it from others.
    pub identifier: Vec<u8>,
    /// When it was made.
    pub made: Time,
    /// The files.
    pub members: Vec<Member>,
    /// What is said of the catalogue as a whole.
    pub attributes: Vec<Attribute>,
}

/// One file, or another name of one: a member without digest has the digest as its tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// What it is looked up by: a digest in version 2, text in version 1.
    pub tag: Vec<u8>,
    /// How it was hashed; none where the catalogue does not say it in a way that is known here.
    pub kind: Option<Kind>,
    /// Its digest.
    pub digest: Option<(Digest, Vec<u8>)>,
    /// The digests of its pages.
    pub pages: Option<(Digest, Vec<u8>)>,
    /// What is said of it.
    pub attributes: Vec<Attribute>,
}

/// A name and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Such as `File` or `OSAttr`.
    pub name: String,
    /// `CRYPTCAT_ATTR_…`.
    pub flags: u32,
    /// UTF-16 and a zero where it is text.
    pub value: Vec<u8>,
}

impl Attribute {
    /// One whose value is text.
    #[must_use]
    pub fn text(name: &str, value: &str) -> Self {
        let value = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        Self { name: name.to_owned(), flags: TEXT, value }
    }

    /// The value for people: text where it is, without what would move a cursor, and hexadecimal otherwise.
    #[must_use]
    pub fn shown(&self) -> String {
        let pairs = self.value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let text = String::from_utf16(&pairs.collect::<Vec<_>>());
        match text {
            Ok(text) if self.flags & 0x0001_0000 != 0 && self.value.len().is_multiple_of(2) => {
                let text = text.strip_suffix('\0').unwrap_or(&text);
                text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
            }
            _ => self.value.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl Member {
    /// The file's name, where the catalogue says it.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        self.attributes.iter().find(|attribute| attribute.name == "File").map(Attribute::shown)
    }

    /// The digest by which it vouches for a file.
    #[must_use]
    pub fn vouches_by(&self) -> Option<(Digest, &[u8])> {
        match &self.digest {
            Some((digest, value)) => Some((*digest, value)),
            // Of version 2, without a digest: another name of a member that has one.
            None => [Digest::Sha1, Digest::Sha256]
                .into_iter()
                .find(|digest| digest.size() == self.tag.len())
                .map(|digest| (digest, self.tag.as_slice())),
        }
    }

    /// Whether this is the file: its digest, and the digests of its pages where there are any, are the member's.
    #[must_use]
    pub fn is(&self, subject: &Subject) -> bool {
        let same = self.vouches_by().is_some_and(|(digest, value)| subject.digest(digest) == Some(value));
        let pages = self.pages.as_ref();
        same && pages.is_none_or(|(digest, table)| subject.pages(*digest) == Some(table))
    }
}

/// A catalogue in which files are looked up.
#[derive(Clone, Debug)]
pub struct Lookup {
    catalog: Catalog,
    /// The members that have a digest, by that digest.
    by_digest: HashMap<Vec<u8>, Vec<usize>>,
}

impl Lookup {
    /// The same catalogue, with its members by their digests.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        let mut by_digest: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (index, member) in catalog.members.iter().enumerate() {
            if let Some((_, digest)) = member.vouches_by() {
                by_digest.entry(digest.to_vec()).or_default().push(index);
            }
        }
        Self { catalog, by_digest }
    }

    /// The catalogue.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The member that vouches for a file: by SHA-256 if one does, by SHA-1 else.
    #[must_use]
    pub fn find(&self, subject: &Subject) -> Option<&Member> {
        [Digest::Sha256, Digest::Sha1].into_iter().find_map(|digest| {
            let places = self.by_digest.get(subject.digest(digest)?)?;
            places.iter().map(|index| &self.catalog.members[*index]).find(|member| member.is(subject))
        })
    }
}
