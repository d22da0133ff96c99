//! Which words of an image are addresses.
//!
//! A position-independent image says it itself: the loader has to adjust each of them. That makes its list the truth
//! for whoever moves code or data. An image at a fixed address has no such list, and its addresses cannot be told from
//! numbers.

use object::elf;
use object::pe::{self, ImageNtHeaders32, ImageNtHeaders64};
use object::read::pe::ImageNtHeaders;

use crate::Binary;
use crate::bytes::index;
use crate::facts::Kind;
use crate::image::Image;

/// More addresses than any image has.
const PLACES: usize = 64 << 20;

/// The addresses in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The list has every address that points into the image: the loader moves the whole of it, and uses this list.
    pub complete: bool,
    /// (place, what it points to), as linked, by place. Slots for other files are among [`Binary::imports`].
    pub places: Vec<(u64, u64)>,
}

impl Binary<'_> {
    /// Every word that the loader adjusts when it moves the image: relative relocations of an ELF (RELA, REL, RELR),
    /// base relocations of a PE. A Mach-O's are not read.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let kind = self.container.linkage.kind;
        let moves = matches!(kind, Kind::PositionIndependent | Kind::SharedLibrary);
        let (complete, mut places) = match self.container.format {
            "elf" => (moves, self.image.relocations.clone()),
            "pe" => (moves, base_relocations(&self.image).unwrap_or_default()),
            _ => (false, Vec::new()),
        };
        if self.container.format == "elf" {
            places.extend(in_place(&self.image, &self.container.architecture));
        }
        places.sort_unstable();
        places.dedup();
        Addresses { complete: complete && !places.is_empty(), places }
    }
}

/// Places whose value stands there: REL and RELR (System V ABI, "Relative Relocation Table").
fn in_place(image: &Image<'_>, architecture: &str) -> Vec<(u64, u64)> {
    let Some(dynamic) = &image.dynamic else { return Vec::new() };
    let table = |start, bytes| {
        let held = image.from(dynamic.value(start)?)?;
        held.get(..index(dynamic.value(bytes)?)?)
    };
    let mut places = Vec::new();
    if let (Some(entries), Some(relative)) = (table(elf::DT_REL, elf::DT_RELSZ), relative(architecture)) {
        for entry in entries.chunks_exact(2 * image.layout.pointer).take(PLACES) {
            let (place, info) = (image.layout.word(entry, 0), image.layout.word(entry, image.layout.pointer));
            places.extend(place.zip(info).filter(|(_, info)| *info == relative).map(|(place, _)| place));
        }
    }
    if let Some(entries) = table(elf::DT_RELR, elf::DT_RELRSZ) {
        packed(image, entries, &mut places);
    }
    places.iter().filter_map(|&place| Some((place, image.word(place)?))).collect()
}

/// An even entry is a place; an odd one a bit for each of the words that follow the last place.
fn packed(image: &Image<'_>, entries: &[u8], places: &mut Vec<u64>) {
    let pointer = image.layout.pointer as u64;
    let mut next = 0u64;
    for entry in entries.chunks_exact(image.layout.pointer) {
        let entry = image.layout.word(entry, 0).unwrap_or(0);
        if places.len() >= PLACES {
            return;
        }
        if entry & 1 == 0 {
            places.push(entry);
            next = entry.wrapping_add(pointer);
        } else {
            let bits = 8 * pointer - 1;
            let set = (0..bits).filter(|bit| entry >> (bit + 1) & 1 != 0);
            places.extend(set.map(|bit| next.wrapping_add(bit * pointer)));
            next = next.wrapping_add(bits * pointer);
        }
    }
}

/// `R_*_RELATIVE` of the machines that use REL; the symbol is 0.
fn relative(architecture: &str) -> Option<u64> {
    match architecture {
        "386" => Some(elf::R_386_RELATIVE.0.into()),
        "arm" => Some(elf::R_ARM_RELATIVE.0.into()),
        _ => None,
    }
}

/// PE/COFF specification, "The .reloc Section".
fn base_relocations(image: &Image<'_>) -> Option<Vec<(u64, u64)>> {
    match image.layout.pointer {
        8 => blocks::<ImageNtHeaders64>(image),
        _ => blocks::<ImageNtHeaders32>(image),
    }
}

fn blocks<P: ImageNtHeaders>(image: &Image<'_>) -> Option<Vec<(u64, u64)>> {
    use object::read::pe::ImageOptionalHeader as _;
    let data = image.data;
    let mut offset = pe::ImageDosHeader::parse(data).ok()?.nt_headers_offset().into();
    let (headers, directories) = P::parse(data, &mut offset).ok()?;
    let sections = headers.sections(data, offset).ok()?;
    let base = headers.optional_header().image_base();
    let mut blocks = directories.relocation_blocks(data, &sections).ok()??;
    let mut places = Vec::new();
    while let Ok(Some(block)) = blocks.next() {
        for relocation in block {
            let whole = matches!(relocation.typ, pe::IMAGE_REL_BASED_DIR64 | pe::IMAGE_REL_BASED_HIGHLOW);
            if whole && places.len() < PLACES {
                let place = base.wrapping_add(relocation.virtual_address.into());
                places.extend(image.word(place).map(|target| (place, target)));
            }
        }
    }
    Some(places)
}
