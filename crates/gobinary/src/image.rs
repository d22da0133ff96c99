//! An executable as the loader would see it: regions at addresses, whatever the container.
//!
//! Addresses are the linked ones (a PE's image base included). A position-independent ELF may keep the pointers of
//! its data only in relocations; [`Image::word`] looks there first.

use std::ops::Range;

use crate::bytes::Layout;

/// One stretch of memory that the loader makes.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) address: u64,
    /// What the file holds of it; always within the file.
    pub(crate) file: Range<usize>,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
}

/// A named part of the file. `address` is 0 for what is not loaded.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) address: u64,
    /// Bytes in the file.
    pub(crate) bytes: u64,
    /// Where they are; empty for what takes memory and no file.
    pub(crate) file: Range<usize>,
    /// Bytes after decompression, for a compressed section.
    pub(crate) expanded: Option<u64>,
}

/// The parts that the Go readers need.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) layout: Layout,
    pub(crate) regions: Vec<Region>,
    pub(crate) sections: Vec<Section>,
    /// (place, value) of relative relocations with an explicit addend, sorted by place.
    pub(crate) relocations: Vec<(u64, u64)>,
    /// What the loader of an ELF reads.
    pub(crate) dynamic: Option<Dynamic>,
}

/// The entries of `PT_DYNAMIC`, and what `PT_GNU_RELRO` covers.
#[derive(Debug)]
pub(crate) struct Dynamic {
    pub(crate) entries: Vec<(i64, u64)>,
    pub(crate) relro: Option<Range<u64>>,
}

impl Dynamic {
    pub(crate) fn value(&self, tag: object::elf::DynamicTag) -> Option<u64> {
        self.entries.iter().find(|e| e.0 == tag.0).map(|e| e.1)
    }
}

impl<'a> Image<'a> {
    /// The file's bytes of a section, compressed as they may be.
    pub(crate) fn held(&self, section: &Section) -> &'a [u8] {
        self.data.get(section.file.clone()).unwrap_or_default()
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    pub(crate) fn content(&self, region: &Region) -> &'a [u8] {
        self.data.get(region.file.clone()).unwrap_or_default()
    }

    /// The content in cells of `size` bytes, each with its address. A hostile region may lie across the end of the
    /// address space; its addresses wrap, and lead nowhere.
    pub(crate) fn cells(
        &self,
        region: &Region,
        size: usize,
    ) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        let start = region.address;
        let cells = self.content(region).chunks_exact(size).enumerate();
        cells.map(move |(number, cell)| (start.wrapping_add((number * size) as u64), cell))
    }

    /// Everything the file holds from `address` to the end of its region.
    pub(crate) fn from(&self, address: u64) -> Option<&'a [u8]> {
        self.regions.iter().find_map(|region| {
            let offset = usize::try_from(address.checked_sub(region.address)?).ok()?;
            self.content(region).get(offset..).filter(|rest| !rest.is_empty())
        })
    }

    /// `length` bytes at `address`.
    pub(crate) fn read(&self, address: u64, length: usize) -> Option<&'a [u8]> {
        self.from(address)?.get(..length)
    }

    /// The pointer-sized number that stands at `address` once the image is loaded where it was linked.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        if let Ok(found) = self.relocations.binary_search_by_key(&address, |r| r.0) {
            return Some(self.relocations[found].1);
        }
        self.layout.word(self.read(address, self.layout.pointer)?, 0)
    }

    /// The addresses in writable data (and in relocated data, which is writable while it is relocated) that hold
    /// `value`.
    pub(crate) fn places_of(&self, value: u64) -> impl Iterator<Item = u64> + '_ {
        let relocated = self.relocations.iter().filter(move |r| r.1 == value).map(|r| r.0);
        let pointer = self.layout.pointer;
        let stored = self.regions.iter().filter(|r| r.writable).flat_map(move |region| {
            self.cells(region, pointer).filter(move |(_, cell)| self.layout.word(cell, 0) == Some(value))
        });
        let stored = stored.map(|(address, _)| address);
        relocated.chain(stored)
    }
}
