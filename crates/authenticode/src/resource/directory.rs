//! The tree as bytes: directories, then the entries of the data, then the names, then the data.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Key, MAX_BYTES, MAX_RESOURCES, Name, Resource, Resources};
use crate::error::{AuthenticodeError, Result};

/// The highest bit of an entry: its name is a text, or it leads to another directory.
const FLAG: u32 = 0x8000_0000;
/// Bytes of a directory's header, of each of its entries, of an entry of data.
const HEADER: usize = 16;
const ENTRY: usize = 8;
const DATA_ENTRY: usize = 16;
/// Where data begins: what compilers of resources do, and what pictures like.
const ALIGN: usize = 8;

fn bad(why: impl Into<String>) -> AuthenticodeError {
    AuthenticodeError::malformed("resource directory", why)
}

/// Little-endian fields of the section.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn at(&self, at: usize, length: usize) -> Result<&'a [u8]> {
        let end = at.checked_add(length).filter(|end| *end <= self.0.len());
        end.map(|end| &self.0[at..end]).ok_or_else(|| bad("it points beyond its end"))
    }

    fn u16(&self, at: usize) -> Result<u16> {
        self.at(at, 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }

    fn u32(&self, at: usize) -> Result<u32> {
        self.at(at, 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// The entries of a directory: name, and where it leads; a flag says whether to another directory.
    fn entries(&self, at: usize, budget: &mut usize) -> Result<Vec<(Name, u32)>> {
        let count = usize::from(self.u16(at + 12)?) + usize::from(self.u16(at + 14)?);
        // Directories may be shared, so the number of steps is bounded and not the bytes.
        *budget = budget.checked_sub(count + 1).ok_or_else(|| bad("it has more than 65536 entries"))?;
        (0..count)
            .map(|index| {
                let entry = at + HEADER + index * ENTRY;
                Ok((self.name(self.u32(entry)?)?, self.u32(entry + 4)?))
            })
            .collect()
    }

    fn name(&self, field: u32) -> Result<Name> {
        if field & FLAG == 0 {
            return Ok(Name::Id(field));
        }
        let at = (field & !FLAG) as usize;
        let length = usize::from(self.u16(at)?);
        let units = self.at(at + 2, length * 2)?.chunks_exact(2);
        Ok(Name::Text(units.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()))
    }
}

fn subdirectory(field: u32) -> Result<usize> {
    if field & FLAG == 0 { Err(bad("it has less than three levels")) } else { Ok((field & !FLAG) as usize) }
}

impl<'a> Resources<'a> {
    /// Reads the tree at the start of `section`, which the loader puts at the address `rva`.
    ///
    /// # Errors
    /// When it points beyond the section, has not three levels, or more than [`MAX_RESOURCES`] entries.
    pub fn read(section: &'a [u8], rva: u32) -> Result<Self> {
        let bytes = Bytes(section);
        let mut budget = MAX_RESOURCES;
        let mut out = Self::default();
        for (kind, field) in bytes.entries(0, &mut budget)? {
            for (name, field) in bytes.entries(subdirectory(field)?, &mut budget)? {
                for (language, field) in bytes.entries(subdirectory(field)?, &mut budget)? {
                    let Name::Id(language) = language else { return Err(bad("a language is no number")) };
                    if field & FLAG != 0 {
                        return Err(bad("it has more than three levels"));
                    }
                    let at = field as usize;
                    let start = bytes.u32(at)?.checked_sub(rva).ok_or_else(|| bad("data stands outside"))?;
                    let data = bytes.at(start as usize, bytes.u32(at + 4)? as usize)?;
                    let resource = Resource { code_page: bytes.u32(at + 8)?, data: Cow::Borrowed(data) };
                    let key = Key { kind: kind.clone(), name: name.clone(), language };
                    if out.entries.insert(key, resource).is_some() {
                        return Err(bad("a resource stands in it twice"));
                    }
                }
            }
        }
        Ok(out)
    }

    /// The bytes of a section at the address `rva`.
    ///
    /// # Errors
    /// When there are too many resources, or too large ones.
    pub fn to_section(&self, rva: u32) -> Result<Vec<u8>> {
        let total: usize = self.entries.values().map(|resource| resource.data.len() + ALIGN).sum();
        if self.entries.len() > MAX_RESOURCES || total > MAX_BYTES {
            return Err(AuthenticodeError::unsuitable(
                "write the resources",
                "there are more than 65536, or 512 MiB of them",
            ));
        }
        Ok(Layout::of(self).write(self, rva))
    }
}

/// Names and languages below a type.
type Names<'r> = BTreeMap<&'r Name, Vec<u32>>;

/// Where everything will stand.
struct Layout<'r> {
    kinds: BTreeMap<&'r Name, Names<'r>>,
    data_entries_at: usize,
    names: BTreeMap<&'r [u16], usize>,
    data_at: usize,
}

impl<'r> Layout<'r> {
    fn of(resources: &'r Resources<'_>) -> Self {
        let mut kinds: BTreeMap<&Name, Names<'_>> = BTreeMap::new();
        for key in resources.entries.keys() {
            kinds.entry(&key.kind).or_default().entry(&key.name).or_default().push(key.language);
        }
        let directory = |entries: usize| HEADER + ENTRY * entries;
        let mut at = directory(kinds.len());
        for names in kinds.values() {
            at += directory(names.len());
            at += names.values().map(|languages| directory(languages.len())).sum::<usize>();
        }
        let data_entries_at = at;
        at += DATA_ENTRY * resources.entries.len();
        let mut texts = BTreeMap::new();
        for name in kinds.iter().flat_map(|(kind, names)| std::iter::once(*kind).chain(names.keys().copied()))
        {
            if let Name::Text(units) = name
                && !texts.contains_key(units.as_slice())
            {
                texts.insert(units.as_slice(), at);
                at += 2 + 2 * units.len();
            }
        }
        Self { kinds, data_entries_at, names: texts, data_at: at.next_multiple_of(ALIGN) }
    }

    fn write(&self, resources: &Resources<'_>, rva: u32) -> Vec<u8> {
        let mut out = vec![0; self.data_at];
        let (mut next_directory, mut next_entry) = (HEADER + ENTRY * self.kinds.len(), self.data_entries_at);
        self.header(&mut out, 0, self.kinds.keys().copied());
        let mut type_fields = Vec::new();
        // First the directories of types, each followed by those of its names: what leads to what is known as it goes.
        for names in self.kinds.values() {
            type_fields.push(flagged(next_directory));
            let own = next_directory;
            self.header(&mut out, own, names.keys().copied());
            next_directory += HEADER + ENTRY * names.len();
            for (index, languages) in names.values().enumerate() {
                put(&mut out, own + HEADER + index * ENTRY + 4, flagged(next_directory));
                let ids: Vec<Name> = languages.iter().map(|language| Name::Id(*language)).collect();
                self.header(&mut out, next_directory, ids.iter());
                for slot in 0..languages.len() {
                    put(&mut out, next_directory + HEADER + slot * ENTRY + 4, offset(next_entry));
                    next_entry += DATA_ENTRY;
                }
                next_directory += HEADER + ENTRY * languages.len();
            }
        }
        for (index, field) in type_fields.into_iter().enumerate() {
            put(&mut out, HEADER + index * ENTRY + 4, field);
        }
        for (units, at) in &self.names {
            out[*at..at + 2].copy_from_slice(&u16::try_from(units.len()).unwrap_or(u16::MAX).to_le_bytes());
            for (unit, place) in units.iter().zip(out[at + 2..].chunks_exact_mut(2)) {
                place.copy_from_slice(&unit.to_le_bytes());
            }
        }
        for (index, resource) in resources.entries.values().enumerate() {
            let entry = self.data_entries_at + index * DATA_ENTRY;
            let at = out.len();
            put(&mut out, entry, rva.wrapping_add(offset(at)));
            put(&mut out, entry + 4, offset(resource.data.len()));
            put(&mut out, entry + 8, resource.code_page);
            out.extend_from_slice(&resource.data);
            out.resize(out.len().next_multiple_of(ALIGN), 0);
        }
        out
    }

    /// A directory's header and the names of its entries; where they lead is put in later.
    fn header<'n>(&self, out: &mut [u8], at: usize, names: impl Iterator<Item = &'n Name>) {
        let (mut texts, mut numbers) = (0u16, 0u16);
        for (index, name) in names.enumerate() {
            let field = match name {
                Name::Id(number) => {
                    numbers += 1;
                    *number
                }
                Name::Text(units) => {
                    texts += 1;
                    flagged(self.names.get(units.as_slice()).copied().unwrap_or(0))
                }
            };
            put(out, at + HEADER + index * ENTRY, field);
        }
        out[at + 12..at + 14].copy_from_slice(&texts.to_le_bytes());
        out[at + 14..at + 16].copy_from_slice(&numbers.to_le_bytes());
    }
}

/// Offsets are below [`MAX_BYTES`] and what stands before the data.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn flagged(at: usize) -> u32 {
    offset(at) | FLAG
}

fn put(out: &mut [u8], at: usize, field: u32) {
    out[at..at + 4].copy_from_slice(&field.to_le_bytes());
}
