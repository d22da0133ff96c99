//! Makes new interface tables known to the runtime, inside the stop.
//!
//! `runtime.itabTable` is a hash table with open addressing: size, count, entries; an entry is found by the exclusive or
//! of the two types' hashes and by steps that grow by one (`runtime/iface.go`, `itabTableType.add`; the same from Go 1.10
//! to 1.27). Where the process has made a table of its own for a pair, that one is the table, and new code is told so.

use goproc::Memory as _;

use super::check::Target;
use crate::error::{Error, Result};
use crate::patch::{MethodRecord, Table};

const ENTRIES: u64 = 16;
const MAX_SIZE: u64 = 1 << 24;
/// `abi.ITab`: interface, type, hash, methods.
const HASH: u64 = 16;
const METHODS: u64 = 24;
/// `abi.Type.Hash`.
const TYPE_HASH: u64 = 16;

/// May the table of tables be read and written, with all threads stopped? Not while one of them holds its lock.
pub(super) fn is_settled(target: &Target<'_>) -> Result<bool> {
    Ok(target.process.word(target.runtime.interface_tables_lock())? == 0)
}

/// Registers those that the process has none for, and leads new code to those that it has.
pub(super) fn register(target: &Target<'_>, tables: &[Table]) -> Result<()> {
    let process = target.process;
    let contradicts =
        || Error::State { what: "has a table of interface tables that contradicts itself".to_owned() };
    if tables.is_empty() {
        return Ok(());
    }
    let all = process.word(target.runtime.interface_tables())?;
    let (size, mut count) = (process.word(all)?, process.word(all + 8)?);
    if !size.is_power_of_two() || size > MAX_SIZE || count > size {
        return Err(contradicts());
    }
    let mut entries = process.words(all + ENTRIES, size)?;
    for table in tables {
        let (inter, concrete) = (process.word(table.address)?, process.word(table.address + 8)?);
        let hash = process.half(concrete + TYPE_HASH)?;
        let slot = slot(&entries, u64::from(process.half(inter + TYPE_HASH)? ^ hash), |entry| {
            Ok(process.word(entry)? == inter && process.word(entry + 8)? == concrete)
        })?;
        let slot = slot.ok_or_else(contradicts)?;
        let found = entries.get(slot).copied().ok_or_else(contradicts)?;
        if found == 0 {
            // The runtime makes a larger one at three quarters; a step must always find an empty entry.
            if count + 1 >= size - size / 16 {
                return Err(Error::State { what: "has no room for more interface tables".to_owned() });
            }
            process.write(all + ENTRIES + 8 * slot as u64, &table.address.to_le_bytes())?;
            count += 1;
            process.write(all + 8, &count.to_le_bytes())?;
            entries[slot] = table.address;
        }
        let chosen = if found == 0 { table.address } else { found };
        if process.word(chosen + METHODS)? == 0 {
            let what = format!("found out that there is no {}, which the new code needs", table.name);
            return Err(Error::State { what });
        }
        if process.half(chosen + HASH)? == 0 {
            // A table that the process made has none, because no type switch of the old build asks for it.
            process.write_forced(chosen + HASH, &hash.to_le_bytes())?;
        }
        for word in table.words.iter().chain([&table.cell]) {
            process.write_forced(*word, &chosen.to_le_bytes())?;
        }
    }
    Ok(())
}

/// Completes the records of methods that the old build had dropped.
pub(super) fn complete(target: &Target<'_>, methods: &[MethodRecord]) -> Result<()> {
    let bytes = |halves: [u32; 3]| halves.map(u32::to_le_bytes).concat();
    for method in methods {
        let found = target.process.bytes(method.at, 12)?;
        if found != bytes(method.before) && found != bytes(method.after) {
            let what = format!("its type's methods at {:#x} were changed by someone else", method.at);
            return Err(Error::OtherBuild { what });
        }
    }
    for method in methods {
        target.process.write_forced(method.at, &bytes(method.after))?;
    }
    Ok(())
}

/// The entry of a pair, or the empty one where it belongs.
fn slot(entries: &[u64], hash: u64, is_it: impl Fn(u64) -> Result<bool>) -> Result<Option<usize>> {
    let mask = entries.len().wrapping_sub(1);
    let Ok(mut at) = usize::try_from(hash) else { return Ok(None) };
    at &= mask;
    for step in 1..=entries.len() {
        match entries.get(at) {
            None => return Ok(None),
            Some(0) => return Ok(Some(at)),
            Some(entry) if is_it(*entry)? => return Ok(Some(at)),
            Some(_) => at = (at + step) & mask,
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::slot;

    #[test]
    fn entries_are_found_as_the_runtime_finds_them() {
        let none = |_| Ok(false);
        let found = |entries: &[u64], hash, is_it: fn(u64) -> crate::Result<bool>| {
            slot(entries, hash, is_it).expect("no memory is read")
        };
        assert_eq!(found(&[0; 8], 13, none), Some(5));
        assert_eq!(found(&[0, 0, 0, 0, 0, 9, 0, 0], 13, none), Some(6));
        assert_eq!(found(&[0, 0, 0, 0, 0, 9, 8, 0], 13, none), Some(0));
        assert_eq!(found(&[0, 0, 0, 0, 0, 9, 8, 0], 13, |entry| Ok(entry == 8)), Some(6));
        assert_eq!(found(&[1; 8], 13, none), None);
        assert_eq!(found(&[], 13, none), None);
    }
}
