//! Where something of a build is in the process that carries it.
//!
//! A process that carries patches is a pile: the build it was started with, and upon it the image of each patch. What a
//! build has for itself (changed and added functions, new variables, types, constants) is in its own image; everything
//! else is where the build below has it, and so on down. Images do not overlap, and each lies above all below it.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use super::compare::Comparison;
use super::program::{Place, Program};
use crate::patch::Patch;

/// One build upon another.
#[derive(Debug)]
pub(crate) struct Lead<'p> {
    pub old: &'p Program<'p>,
    pub new: &'p Program<'p>,
    /// Variables that the new build has for itself.
    pub fresh: HashSet<String>,
    /// Functions that run from the new image.
    pub injected: BTreeSet<usize>,
    pub below: Option<Rc<Lead<'p>>>,
}

impl<'p> Lead<'p> {
    /// What a patch will be.
    pub(crate) fn of(
        old: &'p Program<'p>,
        new: &'p Program<'p>,
        comparison: &Comparison<'_>,
        below: Option<Rc<Self>>,
    ) -> Self {
        let fresh = comparison.fresh.iter().map(|name| (*name).to_owned()).collect();
        Self { old, new, fresh, injected: injected(old, new, comparison), below }
    }

    /// What a patch is: its own words say what it brought.
    pub(crate) fn carried(
        old: &'p Program<'p>,
        new: &'p Program<'p>,
        patch: &Patch,
        below: Option<Rc<Self>>,
    ) -> Self {
        let placed: HashSet<u64> = patch.head.pieces.iter().map(|piece| piece.address).collect();
        let injected =
            (0..new.functions.len()).filter(|at| placed.contains(&new.functions[*at].entry)).collect();
        Self { old, new, fresh: patch.head.fresh.iter().cloned().collect(), injected, below }
    }

    /// Where something of the new build is in the process.
    pub(crate) fn lead(&self, address: u64) -> Option<u64> {
        let here = self.here(address)?;
        match &self.below {
            Some(below) if !self.new.holds(here) => below.lead(here),
            _ => Some(here),
        }
    }

    /// Where it is in the new image, or else in the build below.
    fn here(&self, address: u64) -> Option<u64> {
        match self.new.place(address) {
            Place::Code(at, _) if self.injected.contains(&at) => Some(address),
            Place::Code(at, offset) => {
                let before = self.old.by_name.get(&self.new.functions[at].key())?;
                Some(self.old.functions[*before].entry + offset)
            }
            Place::Variable(at, offset) => {
                let variable = &self.new.variables[at];
                if self.fresh.contains(variable.name) {
                    return Some(address);
                }
                let before = self.old.variable_by_name.get(&variable.key())?;
                Some(self.old.variables[*before].address + offset)
            }
            Place::Type => {
                let known = self.new.types.locate(self.new, address);
                let led = known.and_then(|(key, offset)| Some(self.old.types.find(&key)? + offset));
                Some(led.unwrap_or(address))
            }
            Place::InterfaceTable(table, offset) => {
                let pair = &self.new.interface_tables().get(&table)?.pair;
                Some(self.old.interface_table(pair).unwrap_or(table) + offset)
            }
            Place::Foreign(place) => self.old.foreign.lead(&self.new.foreign, place),
            Place::Constant | Place::Unnamed => Some(address),
            Place::Nowhere => None,
        }
    }

    /// Where something of the old build is in the process.
    pub(crate) fn lead_old(&self, address: u64) -> Option<u64> {
        match &self.below {
            Some(below) => below.lead(address),
            None => Some(address),
        }
    }

    /// The builds below, the one that the process was started with first.
    pub(crate) fn chain(&self) -> Vec<&'p Program<'p>> {
        let mut chain = self.below.as_ref().map_or_else(Vec::new, |below| below.chain());
        chain.push(self.old);
        chain
    }
}

/// Functions that run from the new image: what differs, what is added, and the methods of new types, which their
/// descriptors name by offsets that cannot reach an image below.
fn injected(old: &Program<'_>, new: &Program<'_>, comparison: &Comparison<'_>) -> BTreeSet<usize> {
    let mut found: BTreeSet<usize> =
        comparison.changed.iter().map(|c| c.new).chain(comparison.added.iter().copied()).collect();
    for (key, address) in new.types.iter() {
        if old.types.find(key).is_some() {
            continue;
        }
        for offset in new.types.method_code(new, address).into_iter().flatten().flatten() {
            if let Place::Code(at, 0) = new.place(new.text.0 + u64::from(offset)) {
                found.insert(at);
            }
        }
    }
    found
}
