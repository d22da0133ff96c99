//! Code that the Go linker did not make: C functions, and what the system's linker adds. It is never replaced; new Go code
//! calls what the process has. So the C code of both builds must be the same.

use std::collections::HashMap;

use goproc::elf::Symbol;

use super::code;
use super::program::{Code, Key, rank};
use crate::error::{Error, Result};

/// Sections that the system's linker fills with one entry for each imported function or variable, in one order.
const TABLES: [&str; 7] = [".plt", ".plt.got", ".plt.sec", ".got", ".got.plt", ".init", ".fini"];

/// First address, and the one behind the last.
type Range = (u64, u64);

/// Of one build.
#[derive(Default, Debug)]
pub(crate) struct Foreign<'a> {
    functions: Vec<Code<'a>>,
    by_name: HashMap<Key<'a>, usize>,
    tables: Vec<(&'static str, (u64, u64))>,
}

/// Where in foreign code something is: a function or a section, and how far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ForeignPlace {
    Function(usize, u64),
    Table(&'static str, u64),
}

impl<'a> Foreign<'a> {
    pub(crate) fn of(
        symbols: impl Iterator<Item = (Symbol<'a>, &'a [u8])>,
        section: impl Fn(&str) -> Option<(u64, u64)>,
    ) -> Self {
        let function = |(symbol, bytes): (Symbol<'a>, &'a [u8])| {
            let references = code::references(bytes, symbol.address);
            Code { name: symbol.name, rank: 0, entry: symbol.address, bytes, references }
        };
        let mut functions: Vec<_> = symbols.map(function).collect();
        functions.sort_by_key(|f| f.entry);
        rank(functions.iter_mut().map(|f| (f.name, &mut f.rank)));
        let by_name = functions.iter().enumerate().map(|(at, f)| (f.key(), at)).collect();
        let tables = TABLES.iter().filter_map(|name| Some((*name, section(name)?))).collect();
        Self { functions, by_name, tables }
    }

    pub(crate) fn place(&self, address: u64) -> Option<ForeignPlace> {
        let at = self.functions.partition_point(|f| f.entry <= address);
        if let Some(at) = at.checked_sub(1)
            && let Some(code) = self.functions.get(at)
            && address < code.end()
        {
            return Some(ForeignPlace::Function(at, address - code.entry));
        }
        let table = self.tables.iter().find(|(_, (start, end))| (*start..*end).contains(&address));
        table.map(|(name, (start, _))| ForeignPlace::Table(name, address - start))
    }

    /// Where the same place of `other` is here.
    pub(crate) fn lead(&self, other: &Self, place: ForeignPlace) -> Option<u64> {
        match place {
            ForeignPlace::Function(at, offset) => {
                let own = self.by_name.get(&other.functions.get(at)?.key())?;
                Some(self.functions.get(*own)?.entry + offset)
            }
            ForeignPlace::Table(name, offset) => {
                let range = |of: &Self| of.tables.iter().find(|(n, _)| *n == name).map(|(_, range)| *range);
                let ((start, end), (from, to)) = (range(self)?, range(other)?);
                (end - start == to - from).then_some(start + offset)
            }
        }
    }

    /// Refuses C code that changed. Operands that name addresses are not compared: what they name is the other build's.
    pub(crate) fn check(old: (&Self, Range), new: (&Self, Range)) -> Result<()> {
        let ((old, old_image), (new, new_image)) = (old, new);
        for code in &new.functions {
            let Some(before) = old.by_name.get(&code.key()).and_then(|at| old.functions.get(*at)) else {
                continue;
            };
            if masked(before, old_image) != masked(code, new_image) {
                return Err(Error::refused(
                    format!("C function `{}`", code.name),
                    "it changed, and only Go code is replaced",
                ));
            }
        }
        Ok(())
    }
}

fn masked(code: &Code<'_>, image: Range) -> Vec<u8> {
    let mut bytes = code.bytes.to_vec();
    for (at, width) in code::absolute_operands(code.bytes, code.entry, image) {
        if let Some(operand) = bytes.get_mut(at..at.saturating_add(width)) {
            operand.fill(0);
        }
    }
    for reference in &code.references {
        if !(code.entry..code.end()).contains(&reference.target)
            && let Some(operand) = bytes.get_mut(reference.at..reference.at + usize::from(reference.width))
        {
            operand.fill(0);
        }
    }
    bytes
}
