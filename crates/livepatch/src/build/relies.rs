//! The variables of the old build that new code names: what a reviewer, and a snapshot, should look at.

use std::collections::BTreeMap;

use super::compare::Comparison;
use super::lead::Lead;
use super::program::Place;
use crate::patch::Relied;

/// Larger variables are tables and pools; their digest would say nothing.
const MOST: u64 = 1 << 20;

pub(super) fn variables(lead: &Lead<'_>, comparison: &Comparison<'_>) -> Vec<Relied> {
    let changed = comparison.changed.iter().map(|change| change.new);
    let mut found = BTreeMap::new();
    for at in changed.chain(comparison.added.iter().copied()) {
        for reference in &lead.new.functions[at].references {
            let Place::Variable(variable, _) = lead.new.place(reference.target) else { continue };
            let variable = lead.new.variables[variable];
            if lead.fresh.contains(variable.name) || !(1..=MOST).contains(&variable.size) {
                continue;
            }
            if let Some(address) = lead.lead(variable.address) {
                found.insert(address, (variable.name.to_owned(), variable.size));
            }
        }
    }
    found.into_iter().map(|(address, (name, size))| Relied { name, address, size }).collect()
}
