//! The variables of the old build that new code names: what a reviewer, and a snapshot, should look at.

use std::collections::BTreeMap;

use super::compare::Comparison;
use super::program::{Place, Program};
use crate::patch::Relied;

/// Larger variables are tables and pools; their digest would say nothing.
const MOST: u64 = 1 << 20;

pub(super) fn variables(old: &Program<'_>, new: &Program<'_>, comparison: &Comparison<'_>) -> Vec<Relied> {
    let changed = comparison.changed.iter().map(|change| change.new);
    let mut found = BTreeMap::new();
    for at in changed.chain(comparison.added.iter().copied()) {
        for reference in &new.functions[at].references {
            let Place::Variable(variable, _) = new.place(reference.target) else { continue };
            let variable = &new.variables[variable];
            if comparison.fresh.contains(variable.name) {
                continue;
            }
            let Some(before) = old.variable_by_name.get(&variable.key()) else { continue };
            let before = old.variables[*before];
            if (1..=MOST).contains(&before.size) {
                found.insert(before.address, (before.name.to_owned(), before.size));
            }
        }
    }
    found.into_iter().map(|(address, (name, size))| Relied { name, address, size }).collect()
}
