//! ZIP, by PKWARE's APPNOTE.TXT 6.3.10 (section numbers are its own).
//!
//! The central directory says what the archive holds; every local header must say the same (readers differ in
//! which they believe). Entries are read in the order in which they stand, and none may overlap another.

mod central;
mod end;
mod local;
mod recovery;
mod supply;
mod task;
mod walk;

pub(crate) use end::ends_as_zip;
pub(crate) use walk::{walk, walk_in_order};

use std::ops::Range;

use gm::DualDigest;
use seal::{Entry, EntryKind, EntryPath, Format};

use crate::error::EvidenceError;

/// Method 0, §4.4.5.
pub(crate) const STORED: u16 = 0;
/// Method 8, §4.4.5.
pub(crate) const DEFLATED: u16 = 8;

/// One entry as the central directory describes it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) path: EntryPath,
    pub(crate) kind: EntryKind,
    pub(crate) mode: u32,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) compressed: u64,
    pub(crate) size: u64,
    /// Where the local header stands in the source.
    pub(crate) offset: u64,
    /// Where this record stands in the source.
    pub(crate) central: Range<u64>,
}

impl Record {
    /// Whether this is its name as it stands: a directory's ends in `/`, and no other does.
    fn is_named(&self, name: &[u8]) -> bool {
        let path = match self.kind {
            EntryKind::Directory => name.strip_suffix(b"/"),
            _ => Some(name),
        };
        path == Some(self.path.as_str().as_bytes())
    }

    fn name_length(&self) -> usize {
        self.path.as_str().len() + usize::from(self.kind == EntryKind::Directory)
    }

    /// What the record describes, once its content is hashed; `target` is that of a symbolic link.
    fn entry(&self, digest: DualDigest, target: &[u8]) -> Result<Entry, EvidenceError> {
        let path = self.path.clone();
        Ok(match self.kind {
            EntryKind::File => Entry::file(path, self.mode, self.size, digest),
            EntryKind::Directory => Entry::directory(path, self.mode),
            EntryKind::Symlink => {
                let target = std::str::from_utf8(target)
                    .map_err(|_| EvidenceError::entry(path.as_str(), "its target is not UTF-8"))?;
                Entry::symlink(path, target)
            }
        })
    }
}

fn refused(why: &'static str) -> EvidenceError {
    EvidenceError::Archive { format: Format::Zip, why }
}

/// Little-endian integers, one after the other (§4.4.1.1).
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (now, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(now)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take(2).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take(8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
    }
}

/// The extra field with this id (§4.5): `Some(None)` when it is not there, `None` when the fields are malformed.
pub(crate) fn extra_field(extra: &[u8], wanted: u16) -> Option<Option<&[u8]>> {
    let mut fields = Fields(extra);
    let mut found = None;
    // Some writers pad the end with less than a header: no field, so nothing to misread.
    while fields.0.len() >= 4 {
        let id = fields.u16()?;
        let length = fields.u16()?;
        let body = fields.take(length.into())?;
        if id == wanted && found.replace(body).is_some() {
            return None;
        }
    }
    Some(found)
}
