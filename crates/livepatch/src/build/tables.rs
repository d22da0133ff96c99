//! Interface tables that the old build does not have.
//!
//! The runtime knows one table for each pair of interface and type (`runtime.itabTable`), and compares interfaces by the
//! addresses of their tables. A process may have made a table of its own for a pair that the new build has one for, so
//! which one is *the* table is known only in the stop. New code therefore reads the address from a cell; the cell, and
//! the words of new data that hold the address, are set in the stop (`live/tables.rs`).

use std::collections::BTreeMap;

use super::program::Program;
use crate::patch::Table;

/// By the address of the new build's own table.
#[derive(Default, Debug)]
pub(crate) struct Tables(BTreeMap<u64, Table>);

impl Tables {
    /// Those of the pairs that `old` has no table for, with cells from `cells` on.
    pub(crate) fn of(old: &Program<'_>, new: &Program<'_>, cells: u64) -> Self {
        let known: std::collections::BTreeSet<_> =
            old.interface_tables().values().map(|table| &table.pair).collect();
        let fresh = new.interface_tables().iter().filter(|(_, table)| !known.contains(&table.pair));
        let found = (0..).zip(fresh).map(|(number, (address, table))| {
            let name = format!("`{}` as `{}`", table.pair.1.text, table.pair.0.text);
            (*address, Table { name, address: *address, cell: cells + 8 * number, words: Vec::new() })
        });
        Self(found.collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The cell of the table that begins at `address`, if it is one of these.
    pub(crate) fn cell(&self, address: u64) -> Option<u64> {
        self.0.get(&address).map(|table| table.cell)
    }

    /// Cell and table of each.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.values().map(|table| (table.cell, table.address))
    }

    /// The word at `at` holds `value`.
    pub(crate) fn note(&mut self, value: u64, at: u64) {
        if let Some(table) = self.0.get_mut(&value) {
            table.words.push(at);
        }
    }

    pub(crate) fn into_head(self) -> Vec<Table> {
        self.0.into_values().collect()
    }
}
