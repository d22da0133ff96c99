//! What is placed: the new build's constants and function table whole, its injected functions, its fresh variables and
//! its `moduledata`, with every operand and word that names the old image led there.

use std::collections::{BTreeMap, BTreeSet};

use super::code;
use super::compare::name;
use super::lead::Lead;
use super::mask;
use super::methods;
use super::program::{Place, Program};
use super::tables::Tables;
use super::types::Types;
use crate::control;
use crate::error::{Error, Result};
use crate::patch::{Access, Head, MethodRecord, Patch, Piece, Region};

/// Where the record stands behind the image.
const GAP: u64 = 0x1_0000;

/// The image, ready to be placed.
#[derive(Debug)]
pub(crate) struct Image {
    regions: Vec<Region>,
    pieces: BTreeMap<u64, Vec<u8>>,
    tables: Tables,
    methods: Vec<MethodRecord>,
    /// Words of the new module that name the record.
    masks: Vec<u64>,
    pub control: u64,
}

struct Maker<'p> {
    lead: &'p Lead<'p>,
    old: &'p Program<'p>,
    new: &'p Program<'p>,
}

impl Image {
    pub(crate) fn of(lead: &Lead<'_>) -> Result<Self> {
        let (old, new) = (lead.old, lead.new);
        let chain = lead.chain();
        let maker = Maker { lead, old, new };
        let control = new.image().1.next_multiple_of(GAP) + GAP;
        let tables = Tables::of(chain.first().copied().unwrap_or(old), new, control + control::CELLS);
        let mut image = Self {
            regions: Vec::new(),
            pieces: BTreeMap::new(),
            tables,
            methods: Vec::new(),
            masks: Vec::new(),
            control,
        };
        for segment in &new.segments {
            let access = match (segment.executable, segment.writable) {
                (true, _) => Access::Execute,
                (_, true) => Access::Write,
                _ => Access::Read,
            };
            let address = segment.address & !(control::PAGE - 1);
            // The system's linker may begin a segment on the page that the one before ends on: as the loader does, the
            // later one takes it.
            let size = (segment.address + segment.size - address).next_multiple_of(control::PAGE);
            image.regions.push(Region { address, size, access });
            if access == Access::Read {
                image.pieces.insert(segment.address, segment.bytes.to_vec());
            }
        }
        for (start, end) in new.constants() {
            maker.lead_words(&mut image, *start, *end)?;
        }
        maker.lead_type_offsets(&mut image)?;
        image.methods = methods::revived(lead)?;
        for at in &lead.injected {
            let bytes = maker.function(*at, &image.tables)?;
            image.pieces.insert(new.functions[*at].entry, bytes);
        }
        maker.place_data(&mut image)?;
        maker.module(&mut image)?;
        image.put(control, control::MAGIC)?;
        for (cell, table) in image.tables.cells().collect::<Vec<_>>() {
            image.put(cell, &table.to_le_bytes())?;
        }
        Ok(image)
    }

    /// Adds the list of switches to the record and the stubs behind it, and names everything in the head.
    pub(crate) fn into_patch(mut self, mut head: Head, stubs: Vec<u8>, new: &Program<'_>) -> Result<Patch> {
        let mut record = self.pieces.remove(&self.control).unwrap_or_default();
        let list = (record.len() as u64).next_multiple_of(8);
        let position = |at: u64| {
            usize::try_from(at)
                .map_err(|_| Error::Contradicts { what: "an address is out of range".to_owned() })
        };
        record.resize(position(list)?, 0);
        let words = head.switches.iter().flat_map(|s| [s.entry, s.before, s.after]);
        record.extend(words.flat_map(u64::to_le_bytes));
        let at = position(control::SWITCHES)?;
        record[at..at + 8].copy_from_slice(&(self.control + list).to_le_bytes());
        record[at + 8..at + 16].copy_from_slice(&(head.switches.len() as u64).to_le_bytes());
        record[position(control::MODULE)?..][..8].copy_from_slice(&head.module.to_le_bytes());
        let facts = control::Facts {
            old_build: head.old_build.clone(),
            new_build: head.new_build.clone(),
            methods: self.methods.clone(),
            runtime: head.runtime.clone(),
        };
        let facts = serde_json::to_vec(&facts)
            .map_err(|e| Error::Contradicts { what: format!("the record cannot be written: {e}") })?;
        let words = [self.control + record.len() as u64, facts.len() as u64];
        record[position(control::FACTS)?..][..16].copy_from_slice(&words.map(u64::to_le_bytes).concat());
        record.extend_from_slice(&facts);
        let addresses = match head.slides {
            true => self.addresses(new, list, head.switches.len() as u64),
            false => Vec::new(),
        };
        let size = (record.len() as u64).next_multiple_of(control::PAGE);
        if size >= stubs_offset() {
            return Err(Error::refused("the new build's data", "it is too large for the record of a patch"));
        }
        // The record first: whatever follows belongs to a patch that names itself.
        self.regions.insert(0, Region { address: self.control, size, access: Access::Read });
        self.pieces.insert(self.control, record);
        let at = self.control + stubs_offset();
        let size = (stubs.len() as u64).next_multiple_of(control::PAGE).max(control::PAGE);
        self.regions.push(Region { address: at, size, access: Access::Execute });
        self.pieces.insert(at, stubs);
        head.regions = self.regions;
        head.tables = self.tables.into_head();
        head.methods = self.methods;
        head.pieces = self
            .pieces
            .iter()
            .map(|(address, bytes)| Piece { address: *address, length: bytes.len() as u64 })
            .collect();
        head.addresses = addresses.len() as u64;
        Ok(Patch { head, bytes: self.pieces.into_values().flatten().collect(), addresses })
    }

    /// The placed words that are addresses: those that the loader's list names, and those of the record.
    fn addresses(&self, new: &Program<'_>, list: u64, switches: u64) -> Vec<u64> {
        let placed = self.pieces.iter().flat_map(|(start, bytes)| {
            let placed = new.places(*start, start + bytes.len() as u64);
            placed.filter(move |at| {
                // What was set to 0 names nothing.
                let from = usize::try_from(at - start).unwrap_or(usize::MAX);
                bytes.get(from..from + 8).is_some_and(|word| word != [0; 8])
            })
        });
        let record = self.masks.iter().copied();
        let record = record.chain(self.tables.cells().map(|(cell, _)| cell));
        let record =
            record.chain([control::SWITCHES, control::MODULE, control::FACTS].map(|at| self.control + at));
        let record = record.chain((0..switches).map(|at| self.control + list + at * 24));
        let mut found: Vec<u64> = placed.chain(record).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn put(&mut self, address: u64, value: &[u8]) -> Result<()> {
        let outside = || Error::Contradicts { what: format!("{address:#x} is not a part of the image") };
        let (start, piece) = self.pieces.range_mut(..=address).next_back().ok_or_else(outside)?;
        let at = usize::try_from(address - start).map_err(|_| outside())?;
        piece.get_mut(at..at + value.len()).ok_or_else(outside)?.copy_from_slice(value);
        Ok(())
    }
}

/// Where the stubs stand, counted from the record: behind room for the largest masks there are.
pub(crate) const fn stubs_offset() -> u64 {
    0x40_0000
}

impl Maker<'_> {
    /// Fresh variables, and the data without symbols that they, constants, and such data point to.
    fn place_data(&self, image: &mut Image) -> Result<()> {
        let mut open: Vec<(u64, u64)> = Vec::new();
        for name in &self.lead.fresh {
            let Some(at) = self.new.variable_by_name.get(&(name.as_str(), 0)) else { continue };
            let variable = self.new.variables[*at];
            open.push((variable.address, variable.size));
        }
        for (start, end) in self.new.constants() {
            open.extend(self.unnamed(*start, *end));
        }
        let mut placed = BTreeSet::new();
        while let Some((address, size)) = open.pop() {
            // What has no bytes in the file is zero, as the mapping is.
            let Some(bytes) = self.new.bytes(address, size).filter(|_| placed.insert(address)) else {
                continue;
            };
            image.pieces.insert(address, bytes.to_vec());
            self.check_foreign(address, size)?;
            self.lead_words(image, address, address + size)?;
            open.extend(self.unnamed(address, address + size));
        }
        Ok(())
    }

    /// New C code is not placed, so new data may not name it.
    fn check_foreign(&self, address: u64, size: u64) -> Result<()> {
        for (at, word) in self.new.pointers(address, address + size) {
            if matches!(self.new.place(word), Place::Foreign(_)) && self.lead.lead(word).is_none() {
                return Err(Error::refused(
                    name(self.new, at),
                    "it names C code that the old build does not have",
                ));
            }
        }
        Ok(())
    }

    /// The data without symbols that words of a range point to.
    fn unnamed(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let words = self.new.pointers(start, end).map(|(_, word)| word);
        words
            .filter(|word| self.new.place(*word) == Place::Unnamed)
            .filter_map(|word| self.new.unnamed_run(word))
            .map(|(start, end)| (start, end - start))
            .collect()
    }

    fn function(&self, at: usize, tables: &Tables) -> Result<Vec<u8>> {
        let code = &self.new.functions[at];
        let refused = |reason: String| Error::refused(format!("function `{}`", code.name), reason);
        if let Some(at) = code::absolute_operand(code.bytes, code.entry, self.new.image()) {
            return Err(refused(format!("the instruction at {at:#x} holds an absolute address")));
        }
        let mut bytes = code.bytes.to_vec();
        for reference in &code.references {
            if (code.entry..code.end()).contains(&reference.target) {
                continue;
            }
            let known = self.new.place(reference.target) != Place::Unnamed;
            let target = match tables.cell(reference.target) {
                Some(cell) => {
                    code::load_instead(&mut bytes, reference)
                        .ok_or_else(|| refused("it names an interface table in an unknown way".to_owned()))?;
                    Some(cell)
                }
                None => self.lead.lead(reference.target).filter(|_| known),
            };
            let target = target.ok_or_else(|| {
                refused(format!(
                    "it needs {}, which the old build does not have",
                    name(self.new, reference.target)
                ))
            })?;
            let next = code.entry + reference.next as u64;
            let distance = i32::try_from(target.wrapping_sub(next).cast_signed());
            let (Ok(distance), 4) = (distance, reference.width) else {
                return Err(refused(format!("{} is out of its reach", name(self.new, reference.target))));
            };
            bytes[reference.at..reference.at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Words that hold addresses of this image. Its link addresses are odd ones for numbers; see docs/design/0026.
    fn lead_words(&self, image: &mut Image, start: u64, end: u64) -> Result<()> {
        for (address, word) in self.new.pointers(start, end) {
            image.tables.note(word, address);
            if let Some(target) = self.lead.lead(word).filter(|target| *target != word) {
                image.put(address, &target.to_le_bytes())?;
            }
        }
        Ok(())
    }

    /// Descriptors of new types name other types by offsets from the start of their region; those of types that the old
    /// build has too become negative ones, which the runtime adds as it does the others (`runtime.resolveTypeOff`).
    fn lead_type_offsets(&self, image: &mut Image) -> Result<()> {
        let base = self.new.types.region.0;
        for (key, address) in self.new.types.iter() {
            if self.old.types.find(key).is_some() {
                continue;
            }
            for (place, offset) in self.new.types.type_offsets(self.new, address) {
                let known = self
                    .new
                    .types
                    .key(self.new, base.wrapping_add(offset))
                    .and_then(|k| self.old.types.find(&k));
                let Some(target) = known.and_then(|known| self.lead.lead_old(known)) else { continue };
                let distance = i32::try_from(target.wrapping_sub(base).cast_signed()).map_err(|_| {
                    Error::refused(format!("type `{}`", key.text), "it is out of reach of the old types")
                })?;
                image.put(place, &distance.to_le_bytes())?;
            }
            debug_assert!(Types::size(self.new, address).is_some());
        }
        Ok(())
    }

    /// The new module: as linked, but last of its chain, without anything to be initialised, and with data only if
    /// there are fresh variables.
    fn module(&self, image: &mut Image) -> Result<()> {
        let offset = |field| {
            self.new.layouts.offset("runtime.moduledata", field).map_err(|source| Error::Layout { source })
        };
        let size = self.new.layouts.size("runtime.moduledata").map_err(|source| Error::Layout { source })?;
        let missing =
            || Error::Contradicts { what: "the new build's `moduledata` is not in its file".to_owned() };
        let mut module = self.new.bytes(self.new.module, size).ok_or_else(missing)?.to_vec();
        let mut set = |field: &'static str, at: u64, value: u64, required: bool| -> Result<()> {
            let Some(start) = self.new.layouts.optional("runtime.moduledata", field) else {
                return if required { offset(field).map(drop) } else { Ok(()) };
            };
            let start = usize::try_from(start + at).map_err(|_| missing())?;
            module.get_mut(start..start + 8).ok_or_else(missing)?.copy_from_slice(&value.to_le_bytes());
            Ok(())
        };
        set("next", 0, 0, true)?;
        set("typemap", 0, 0, true)?;
        set("typedesclen", 0, 0, false)?;
        for slice in ["typelinks", "itablinks", "inittasks"] {
            set(slice, 8, 0, false)?;
        }
        let (from, to) = (self.new.module_word("noptrdata")?, self.new.module_word("enoptrbss")?);
        let has_data = image.pieces.range(from..to).next().is_some();
        let cells = control::CELLS + 8 * image.tables.len() as u64;
        let mut record = vec![0; usize::try_from(cells).map_err(|_| missing())?];
        if !has_data && self.lead.fresh.is_empty() {
            for field in ["noptrdata", "enoptrdata", "data", "edata", "bss", "ebss", "noptrbss", "enoptrbss"]
            {
                set(field, 0, 0, true)?;
            }
            set("gcdatamask", 0, 0, true)?;
            set("gcbssmask", 0, 0, true)?;
        } else {
            for (start, end, program, mask_field) in
                [("data", "edata", "gcdata", "gcdatamask"), ("bss", "ebss", "gcbss", "gcbssmask")]
            {
                let length = self.new.module_word(end)?.saturating_sub(self.new.module_word(start)?);
                let words = usize::try_from(length.div_ceil(8)).map_err(|_| missing())?;
                let program = self.new.module_word(program)?;
                let bytes = self.program_bytes(program).ok_or_else(missing)?;
                let mask = mask::run(bytes, words).ok_or_else(|| Error::Contradicts {
                    what: "the collector's program of the new data cannot be run".to_owned(),
                })?;
                let at = (record.len() as u64).next_multiple_of(8);
                record.resize(usize::try_from(at).map_err(|_| missing())?, 0);
                record.extend_from_slice(&mask);
                set(mask_field, 0, words as u64, true)?;
                set(mask_field, 8, image.control + at, true)?;
                image.masks.push(self.new.module + offset(mask_field)? + 8);
            }
        }
        image.pieces.insert(image.control, record);
        // `hasmain` is a byte; only one module may say that it holds `main`.
        let main = usize::try_from(offset("hasmain")?).map_err(|_| missing())?;
        *module.get_mut(main).ok_or_else(missing)? = 0;
        image.pieces.insert(self.new.module, module);
        Ok(())
    }

    /// From an address to the end of its segment: a program says itself where it ends.
    fn program_bytes(&self, address: u64) -> Option<&[u8]> {
        let segment = self
            .new
            .segments
            .iter()
            .find(|s| (s.address..s.address + s.bytes.len() as u64).contains(&address))?;
        segment.bytes.get(usize::try_from(address - segment.address).ok()?..)
    }
}
