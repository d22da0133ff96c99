//! The function tables of a running process: one a module, in the order in which the runtime walks them.
//!
//! Form: `runtime/symtab.go` (`moduledata`, `_func`) of Go 1.20 and later; where the fields of `moduledata` lie is taken
//! from the debugging data of the executable. Tables are read whole, once, while the process runs: they do not change.

use crate::elf::Layouts;
use crate::error::{Error, Result};
use crate::memory::Memory;

/// A chain of modules longer than this is no chain: a Go program has one, and one more for each plugin and patch.
pub const MAX_MODULES: usize = 256;
/// The largest function table that is read.
const MAX_TABLE: u64 = 512 << 20;

/// One module's functions.
#[derive(Clone, Debug)]
pub struct Module {
    /// Where its `moduledata` lies.
    pub address: u64,
    /// What entry offsets count from.
    pub text: u64,
    /// The first address that belongs to it.
    pub min_pc: u64,
    /// The address behind its last.
    pub max_pc: u64,
    /// Entry offsets and offsets of `_func` records, ascending; the last one closes the table.
    functions: Vec<(u32, u32)>,
    records: Vec<u8>,
    names: Vec<u8>,
    values: Vec<u8>,
}

/// One function of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function<'m> {
    /// Its first instruction.
    pub entry: u64,
    /// The address behind it, padding included.
    pub end: u64,
    /// With its package.
    pub name: &'m str,
    /// Is it the outermost function of every stack that it stands on?
    pub is_top: bool,
    steps: u32,
}

impl Module {
    /// Reads the module whose `moduledata` is at `address`; also where the next one lies, or 0.
    ///
    /// # Errors
    /// When the tables are not there or contradict themselves.
    pub fn read(memory: &impl Memory, layouts: &Layouts, address: u64) -> Result<(Self, u64)> {
        let field =
            |name: &'static str| layouts.offset("runtime.moduledata", name).map(|offset| address + offset);
        let word = |name| memory.word(field(name)?);
        let slice = |name: &'static str, size: u64| {
            let (start, length) = (memory.word(field(name)?)?, memory.word(field(name)? + 8)?);
            let length = length.checked_mul(size).filter(|l| *l <= MAX_TABLE);
            let length =
                length.ok_or(Error::Limit { what: "the size of a function table", limit: MAX_TABLE })?;
            memory.bytes(start, length)
        };
        let (sections, text) = (memory.word(field("textsectmap")? + 8)?, word("text")?);
        if sections > 1 {
            return Err(Error::damaged("code in several sections is not supported"));
        }
        let pair = |c: &[u8]| {
            (u32::from_le_bytes([c[0], c[1], c[2], c[3]]), u32::from_le_bytes([c[4], c[5], c[6], c[7]]))
        };
        let functions: Vec<_> = slice("ftab", 8)?.chunks_exact(8).map(pair).collect();
        if !functions.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(Error::damaged("the function table is not in order"));
        }
        let module = Self {
            address,
            text,
            min_pc: word("minpc")?,
            max_pc: word("maxpc")?,
            functions,
            records: slice("pclntable", 1)?,
            names: slice("funcnametab", 1)?,
            values: slice("pctab", 1)?,
        };
        Ok((module, word("next")?))
    }

    /// The function that `pc` lies in.
    #[must_use]
    pub fn function(&self, pc: u64) -> Option<Function<'_>> {
        if !(self.min_pc..self.max_pc).contains(&pc) {
            return None;
        }
        let offset = u32::try_from(pc.checked_sub(self.text)?).ok()?;
        let at = self.functions.partition_point(|(entry, _)| *entry <= offset).checked_sub(1)?;
        let (&(entry, record), &(end, _)) = (self.functions.get(at)?, self.functions.get(at + 1)?);
        let record = self.records.get(record as usize..)?;
        let half = |at: usize| Some(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?));
        // `_func`: entryOff, nameOff, args, deferreturn, pcsp, pcfile, pcln, npcdata, cuOffset, startLine, funcID, flag.
        let name = self.names.get(half(4)? as usize..)?;
        let name = std::str::from_utf8(name.split(|b| *b == 0).next()?).ok()?;
        let is_top = record.get(41)? & 1 != 0;
        Some(Function {
            entry: self.text + u64::from(entry),
            end: self.text + u64::from(end),
            name,
            is_top,
            steps: half(16)?,
        })
    }

    /// How far the stack pointer lies below the return address at `pc`, in bytes.
    #[must_use]
    pub fn frame_size(&self, function: &Function<'_>, pc: u64) -> Option<u64> {
        let table = self.values.get(function.steps as usize..)?;
        u64::try_from(step_value(table, pc.checked_sub(function.entry)?)?).ok()
    }
}

/// The value that a table of (zigzag value step, address step) pairs has at `offset`: `runtime.pcvalue`.
#[must_use]
pub fn step_value(table: &[u8], offset: u64) -> Option<i64> {
    let (mut rest, mut value, mut reached) = (table, -1_i64, 0_u64);
    loop {
        let step = variable(&mut rest)?;
        if step == 0 && reached > 0 {
            return None;
        }
        let magnitude = i64::from(step >> 1);
        value += if step & 1 == 1 { -magnitude - 1 } else { magnitude };
        reached = reached.checked_add(u64::from(variable(&mut rest)?))?;
        if offset < reached {
            return Some(value);
        }
        if reached == 0 {
            return None;
        }
    }
}

fn variable(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// All modules of a process.
#[derive(Clone, Default, Debug)]
pub struct Modules(pub Vec<Module>);

impl Modules {
    /// Reads the chain that begins at `first`.
    ///
    /// # Errors
    /// As [`Module::read`], and when the chain does not end.
    pub fn read(memory: &impl Memory, layouts: &Layouts, first: u64) -> Result<Self> {
        let (mut found, mut address) = (Vec::new(), first);
        while address != 0 {
            if found.len() >= MAX_MODULES {
                return Err(Error::Limit { what: "the number of modules", limit: MAX_MODULES as u64 });
            }
            let (module, next) = Module::read(memory, layouts, address)?;
            found.push(module);
            address = next;
        }
        Ok(Self(found))
    }

    /// The module and the function that `pc` lies in.
    #[must_use]
    pub fn find(&self, pc: u64) -> Option<(&Module, Function<'_>)> {
        self.0.iter().find_map(|module| module.function(pc).map(|function| (module, function)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_summed() {
        // 8 for 4 bytes, then 8 + 16 for 300 bytes, then the end: values start at -1.
        let table = [18, 4, 32, 0xac, 0x02, 0];
        assert_eq!(step_value(&table, 0), Some(8));
        assert_eq!(step_value(&table, 3), Some(8));
        assert_eq!(step_value(&table, 4), Some(24));
        assert_eq!(step_value(&table, 303), Some(24));
        assert_eq!(step_value(&table, 304), None);
    }

    #[test]
    fn a_table_that_does_not_end_well_has_no_value() {
        for table in
            [&[][..], &[0], &[0, 0], &[1, 0, 1, 0], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80], &[2, 0x80]]
        {
            assert_eq!(step_value(table, 1), None, "{table:?}");
        }
    }
}
