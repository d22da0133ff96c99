//! PE: the import address table (PE/COFF specification, "The .idata Section").

use object::LittleEndian as LE;
use object::pe::{self, ImageNtHeaders32, ImageNtHeaders64};
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader as _, ImageThunkData as _, Import};

use super::{Binding, IMPORTS, NAME, Slot, is_writable, section_of};
use crate::image::Image;

pub(super) fn slots(image: &Image<'_>) -> object::Result<Vec<Slot>> {
    match image.layout.pointer {
        8 => of_class::<ImageNtHeaders64>(image),
        _ => of_class::<ImageNtHeaders32>(image),
    }
}

fn of_class<P: ImageNtHeaders>(image: &Image<'_>) -> object::Result<Vec<Slot>> {
    let data = image.data;
    let mut offset = pe::ImageDosHeader::parse(data)?.nt_headers_offset().into();
    let (headers, directories) = P::parse(data, &mut offset)?;
    let sections = headers.sections(data, offset)?;
    let base = headers.optional_header().image_base();
    let mut found = Vec::new();
    let Some(imports) = directories.import_table(data, &sections)? else { return Ok(found) };
    let mut descriptors = imports.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let library = text(imports.name(descriptor.name.get(LE))?);
        let first = descriptor.first_thunk.get(LE);
        // Without a table of names the addresses' own table holds them until the loader fills it.
        let names = match descriptor.original_first_thunk.get(LE) {
            0 => first,
            names => names,
        };
        let mut thunks = imports.thunks(names)?;
        let mut slot = base.wrapping_add(first.into());
        while let Some(thunk) = thunks.next::<P>()? {
            if found.len() == IMPORTS {
                return Ok(found);
            }
            let name = match imports.import::<P>(thunk) {
                Ok(Import::Name(_, name)) => text(name),
                Ok(Import::Ordinal(_)) => format!("#{}", thunk.ordinal()),
                Err(_) => break,
            };
            found.push(Slot {
                name,
                library: Some(library.clone()),
                slot,
                section: section_of(image, slot),
                relocation: "import-address",
                binding: Binding::Start,
                writable: is_writable(image, slot),
                stub: None,
            });
            slot = slot.wrapping_add(image.layout.pointer as u64);
        }
    }
    Ok(found)
}

fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(&raw[..raw.len().min(NAME)]).into_owned()
}
