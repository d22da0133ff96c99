//! The file of a build, brought to the addresses at which it is looked at.
//!
//! A build at fixed addresses is taken as it is linked. A position-independent one is moved by a *bias*: the loader's own
//! list (`R_X86_64_RELATIVE`) names every word that is an address, so all of them are written out as the loader would.
//! The old build's bias is 0; the new build's puts it beside the old one.

use std::borrow::Cow;

use goproc::elf::{Executable, Segment, Symbol};

use crate::error::{Error, Result};

/// How far above the first address of the old image a position-independent new one is placed. The heap of C code begins
/// up to 1 GiB above the image (`arch_randomize_brk`, x86), calls reach 2 GiB.
pub(crate) const DISTANCE: u64 = 0x6800_0000;
const PAGE: u64 = 4096;

/// A build's file, addresses written out.
#[derive(Debug)]
pub(crate) struct File<'a> {
    pub which: &'static str,
    pub bytes: Cow<'a, [u8]>,
    bias: u64,
    /// Where words are addresses, ascending; `None` in a build at fixed addresses, where nothing says.
    addresses: Option<Vec<u64>>,
}

/// A file that was parsed.
#[derive(Debug)]
pub(crate) struct Source<'f> {
    pub executable: Executable<'f>,
    bias: u64,
    pub addresses: Option<&'f [u64]>,
}

impl<'a> File<'a> {
    /// `first` is where the image is to begin if it can be moved; `None` leaves it where it was linked.
    pub(crate) fn of(which: &'static str, bytes: &'a [u8], first: Option<u64>) -> Result<Self> {
        let unreadable = |source| Error::Unreadable { which, source };
        let facts = gobinary::Binary::parse(bytes).map_err(|source| Error::NotGo { which, source })?;
        let executable = Executable::parse(bytes).map_err(unreadable)?;
        if !executable.is_position_independent() {
            return Ok(Self { which, bytes: Cow::Borrowed(bytes), bias: 0, addresses: None });
        }
        let segments = executable.segments().map_err(unreadable)?;
        let start = segments.iter().map(|s| s.address).min().unwrap_or(0) & !(PAGE - 1);
        let bias = first.map_or(0, |first| first.wrapping_sub(start));
        let relative = facts.addresses();
        let contradicts = || Error::Contradicts {
            what: format!("the {which} build's list of addresses does not fit its image"),
        };
        if !relative.complete {
            return Err(contradicts());
        }
        let (mut moved, mut addresses) = (bytes.to_vec(), Vec::new());
        for (place, target) in relative.places {
            let holds = |s: &&Segment<'_>| (s.address..s.address + s.bytes.len() as u64).contains(&place);
            let segment = segments.iter().find(holds).ok_or_else(contradicts)?;
            let at =
                usize::try_from(segment.offset + (place - segment.address)).map_err(|_| contradicts())?;
            let word = moved.get_mut(at..at + 8).ok_or_else(contradicts)?;
            word.copy_from_slice(&target.wrapping_add(bias).to_le_bytes());
            addresses.push(place.wrapping_add(bias));
        }
        addresses.sort_unstable();
        Ok(Self { which, bytes: Cow::Owned(moved), bias, addresses: Some(addresses) })
    }

    pub(crate) fn source(&self) -> Result<Source<'_>> {
        let executable = Executable::parse(&self.bytes);
        let executable = executable.map_err(|source| Error::Unreadable { which: self.which, source })?;
        Ok(Source { executable, bias: self.bias, addresses: self.addresses.as_deref() })
    }
}

impl<'f> Source<'f> {
    /// The segments that are loaded; what the loader makes read-only is a segment that may not be written.
    pub(crate) fn segments(&self) -> goproc::Result<Vec<Segment<'f>>> {
        let sealed = self.executable.relro().unwrap_or((0, 0));
        let mut found = Vec::new();
        for mut segment in self.executable.segments()? {
            let (start, end) = (segment.address, segment.address + segment.size);
            segment.address += self.bias;
            if !segment.writable || sealed.0 >= end || sealed.1 <= start {
                found.push(segment);
                continue;
            }
            // Of a page that holds both, the loader leaves all writable.
            let cut = if sealed.1 >= end { end } else { (sealed.1 & !(PAGE - 1)).max(start) } - start;
            let at = usize::try_from(cut).unwrap_or(usize::MAX).min(segment.bytes.len());
            let (before, behind) = segment.bytes.split_at(at);
            if cut > 0 {
                found.push(Segment { size: cut, bytes: before, writable: false, ..segment });
            }
            if cut < end - start {
                found.push(Segment {
                    address: segment.address + cut,
                    offset: segment.offset + cut,
                    size: segment.size - cut,
                    bytes: behind,
                    ..segment
                });
            }
        }
        Ok(found)
    }

    pub(crate) fn symbols(&self) -> impl Iterator<Item = Symbol<'f>> + '_ {
        self.executable.symbols().map(|mut symbol| {
            symbol.address = symbol.address.wrapping_add(self.bias);
            symbol
        })
    }

    pub(crate) fn section_range(&self, name: &str) -> Option<(u64, u64)> {
        let (start, end) = self.executable.section_range(name).filter(|(start, _)| *start > 0)?;
        Some((start.wrapping_add(self.bias), end.wrapping_add(self.bias)))
    }
}
