//! Type descriptors: `internal/abi/type.go` of Go 1.21 to 1.27. Two builds agree on a type when hash, kind and written
//! form agree; the hash covers the full path of the package, the written form does not.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::program::Program;
use crate::error::{Error, Result};

/// What names a type in both builds.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct TypeKey {
    pub hash: u32,
    pub kind: u8,
    pub text: String,
}

/// The descriptors of one build.
#[derive(Default, Debug)]
pub(crate) struct Types {
    /// `moduledata.types` to `etypes`.
    pub region: (u64, u64),
    /// Where descriptors, and the names and tables that belong to them, stand.
    pub descriptors: (u64, u64),
    by_key: HashMap<TypeKey, u64>,
    by_address: BTreeSet<u64>,
}

const KIND_MASK: u8 = 0x1f;
const HEADER: u64 = 48;
const HAS_UNCOMMON: u8 = 1;
const EXTRA_STAR: u8 = 2;
const INTERFACE: u8 = 20;
const MAP: u8 = 21;

impl Types {
    /// Every descriptor that code, data or another descriptor names.
    pub(crate) fn of(program: &Program<'_>, start: u64, strings: u64) -> Result<Self> {
        let region = (program.module_word("types")?, program.module_word("etypes")?);
        let end = if (start..region.1).contains(&strings) { strings } else { region.1 };
        let mut types =
            Self { region, descriptors: (start, end), by_key: HashMap::new(), by_address: BTreeSet::new() };
        let named = program.functions.iter().flat_map(|f| f.references.iter().map(|r| r.target));
        let words = program.segments.iter().filter(|s| !s.executable);
        let words = words
            .flat_map(|s| program.pointers(s.address, s.address + s.bytes.len() as u64))
            .map(|(_, word)| word);
        let mut open: Vec<u64> = named.chain(words).filter(|t| (start..end).contains(t)).collect();
        open.sort_unstable();
        open.dedup();
        let mut seen: HashSet<u64> = open.iter().copied().collect();
        while let Some(address) = open.pop() {
            let Some(key) = types.key(program, address) else { continue };
            types.by_key.entry(key).or_insert(address);
            types.by_address.insert(address);
            for offset in types.type_offsets(program, address) {
                let target = region.0.wrapping_add(offset.1);
                if seen.insert(target) {
                    open.push(target);
                }
            }
        }
        Ok(types)
    }

    /// The descriptor of a type, if this build has it.
    pub(crate) fn find(&self, key: &TypeKey) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TypeKey, u64)> {
        self.by_key.iter().map(|(key, address)| (key, *address))
    }

    /// What names the type whose descriptor is at `address`, if there is one.
    pub(crate) fn key(&self, program: &Program<'_>, address: u64) -> Option<TypeKey> {
        if !address.is_multiple_of(8) || !(self.descriptors.0..self.descriptors.1).contains(&address) {
            return None;
        }
        let header = program.bytes(address, HEADER)?;
        let half = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let (hash, flags, kind) = (half(16)?, header[20], header[23] & KIND_MASK);
        // What is no descriptor is most often told by its size, the size of its pointers, and its alignments.
        let word = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let sound = word(8)? <= word(0)?
            && word(0)? < 1 << 40
            && header[21].is_power_of_two()
            && header[22].is_power_of_two();
        if !(1..=26).contains(&kind) || flags & 0x80 != 0 || !sound {
            return None;
        }
        let name = self.name(program, half(40)?)?;
        let text = if flags & EXTRA_STAR != 0 { name.strip_prefix('*')? } else { name };
        Some(TypeKey { hash, kind, text: text.to_owned() })
    }

    /// The type whose descriptor an address lies in, and how far: the compiler reads fields of descriptors directly.
    pub(crate) fn locate(&self, program: &Program<'_>, address: u64) -> Option<(TypeKey, u64)> {
        if let Some(key) = self.key(program, address) {
            return Some((key, 0));
        }
        let base = *self.by_address.range(..address).next_back()?;
        let offset = address - base;
        self.key(program, base).filter(|_| offset < HEADER).map(|key| (key, offset))
    }

    /// In bytes.
    pub(crate) fn size(program: &Program<'_>, address: u64) -> Option<u64> {
        program.word(address)
    }

    /// The places (address, value) of a descriptor that hold a `typeOff`: an offset from the region's start.
    pub(crate) fn type_offsets(&self, program: &Program<'_>, address: u64) -> Vec<(u64, u64)> {
        let mut places = vec![address + 44];
        places.extend(self.methods(program, address).map(|method| method + 4));
        if program.bytes(address + 23, 1).is_some_and(|k| k[0] & KIND_MASK == INTERFACE) {
            let (start, count) = (program.word(address + 56), program.word(address + 64));
            if let (Some(start), Some(count @ ..=0xffff)) = (start, count) {
                places.extend((0..count).map(|at| start + at * 8 + 4));
            }
        }
        let value = |place: u64| {
            let bytes = program.bytes(place, 4)?;
            let offset = i32::from_le_bytes(bytes.try_into().ok()?);
            // 0 and -1 name nothing: not there, and dropped by the linker.
            (!matches!(offset, 0 | -1)).then_some((place, i64::from(offset).cast_unsigned()))
        };
        places.into_iter().filter_map(value).collect()
    }

    /// The code that the method table of a descriptor names, as offsets from `moduledata.text`: for interfaces, and for
    /// direct calls. 0 and -1 are methods that the linker dropped.
    pub(crate) fn method_code(&self, program: &Program<'_>, address: u64) -> Vec<[Option<u32>; 2]> {
        let half = |at| {
            let value = u32::from_le_bytes(program.bytes(at, 4)?.try_into().ok()?);
            (!Self::is_dropped(value)).then_some(value)
        };
        self.methods(program, address).map(|method| [half(method + 8), half(method + 12)]).collect()
    }

    /// Every record of the method table: its name, where its type stands, and the offsets of the type, of the code for interfaces, and
    /// of the code for direct calls.
    pub(crate) fn method_records<'a>(
        &self,
        program: &Program<'a>,
        address: u64,
    ) -> Vec<(&'a str, u64, [u32; 3])> {
        let half = |at| Some(u32::from_le_bytes(program.bytes(at, 4)?.try_into().ok()?));
        let record = |method: u64| {
            let at = method + 4;
            Some((self.name(program, half(method)?)?, at, [half(at)?, half(at + 4)?, half(at + 8)?]))
        };
        self.methods(program, address).filter_map(record).collect()
    }

    /// Name and type of every method of every interface.
    pub(crate) fn interface_methods<'a>(&self, program: &Program<'a>) -> HashSet<(&'a str, TypeKey)> {
        let half = |at| Some(u32::from_le_bytes(program.bytes(at, 4)?.try_into().ok()?));
        let mut found = HashSet::new();
        for (_, address) in self.iter().filter(|(key, _)| key.kind == INTERFACE) {
            let start = program.word(address + 56).unwrap_or(0);
            for at in (0..self.methods_of_interface(program, address)).map(|at| start + at * 8) {
                let (Some(name), Some(of)) = (half(at).and_then(|n| self.name(program, n)), half(at + 4))
                else {
                    continue;
                };
                found.extend(self.key(program, self.region.0 + u64::from(of)).map(|key| (name, key)));
            }
        }
        found
    }

    /// Is this the offset of what the linker dropped?
    pub(crate) fn is_dropped(offset: u32) -> bool {
        matches!(offset, 0 | u32::MAX)
    }

    pub(crate) fn methods_of_interface(&self, program: &Program<'_>, address: u64) -> u64 {
        program.word(address + 64).unwrap_or(0).min(0xffff)
    }

    /// `abi.Method` records: name, type, code for interfaces, code for direct calls; four bytes each.
    fn methods(&self, program: &Program<'_>, address: u64) -> impl Iterator<Item = u64> + use<> {
        let found = || {
            let header = program.bytes(address, HEADER)?;
            if header[20] & HAS_UNCOMMON == 0 {
                return None;
            }
            let uncommon = address + HEADER + extra(header[23] & KIND_MASK, program)?;
            let record = program.bytes(uncommon, 16)?;
            let count = u64::from(u16::from_le_bytes([record[4], record[5]]));
            let start =
                uncommon + u64::from(u32::from_le_bytes([record[8], record[9], record[10], record[11]]));
            Some((start, count))
        };
        let (start, count) = found().unwrap_or((0, 0));
        (0..count).map(move |at| start + at * 16)
    }

    /// `abi.Name`: flags, a length in sevens of bits, the bytes.
    fn name<'a>(&self, program: &Program<'a>, offset: u32) -> Option<&'a str> {
        let at = self.region.0 + u64::from(offset);
        // Exported, with a tag, with a package, embedded: four flags.
        if program.bytes(at, 1)?[0] > 0xf {
            return None;
        }
        let (mut length, mut shift, mut next) = (0_u64, 0_u32, at + 1);
        loop {
            let byte = program.bytes(next, 1)?[0];
            length |= u64::from(byte & 0x7f) << shift;
            (next, shift) = (next + 1, shift + 7);
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 21 {
                return None;
            }
        }
        std::str::from_utf8(program.bytes(next, length)?).ok()
    }
}

/// What stands between the header and the uncommon part, by kind.
fn extra(kind: u8, program: &Program<'_>) -> Option<u64> {
    Some(match kind {
        17 => 24,
        18 => 16,
        19 | 22 | 23 => 8,
        INTERFACE | 25 => 32,
        // Maps were rebuilt in Go 1.24: a descriptor of each release has its own size.
        MAP => match minor(&program.release)? {
            ..=23 => 40,
            24..=26 => 64,
            27.. => 88,
        },
        _ => 0,
    })
}

/// `21` of `go1.21.13`.
pub(crate) fn minor(release: &str) -> Option<u32> {
    let rest = release.strip_prefix("go1.")?;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// A type that both builds have under one name must have one size: its values are shared.
pub(crate) fn check_sizes(old: &Program<'_>, new: &Program<'_>) -> Result<()> {
    for (key, address) in new.types.iter() {
        let Some(other) = old.types.find(key) else { continue };
        if Types::size(old, other) != Types::size(new, address) {
            return Err(Error::refused(format!("type `{}`", key.text), "its size changed"));
        }
    }
    Ok(())
}
