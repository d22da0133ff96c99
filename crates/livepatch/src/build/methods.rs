//! Methods of old types that the linker dropped from the old build and kept in the new one.
//!
//! A method that nothing can look up has no type or no code in its type's descriptor: each of the three offsets there is
//! -1 (or 0) if nothing else needs what it names (`cmd/link/internal/ld/deadcode.go`, `R_METHODOFF`). Once new code can look
//! it up, through an interface or by reflection, the runtime does so in the old descriptor, for that is the type's. So
//! the record is completed, in the stop. It stays so after a rollback: the code stays placed, and old code cannot tell.

use std::collections::HashSet;

use super::program::Program;
use super::types::{TypeKey, Types};
use crate::error::{Error, Result};
use crate::patch::MethodRecord;

/// Functions that look a method up by a name or a number that is not known when the program is linked.
const REFLECTION: [&str; 4] =
    ["reflect.(*rtype).Method", "reflect.(*rtype).MethodByName", "reflect.Value.Method", "reflect.Value.MethodByName"];

struct Builds<'p, 'a, L> {
    old: &'p Program<'a>,
    new: &'p Program<'a>,
    /// Where an address of the new build is in the patched process.
    lead: L,
    asked: HashSet<(&'a str, TypeKey)>,
    reflects: bool,
}

pub(crate) fn revived<'a>(
    old: &Program<'a>,
    new: &Program<'a>,
    lead: impl Fn(u64) -> Option<u64>,
) -> Result<Vec<MethodRecord>> {
    let asked = new.types.interface_methods(new);
    let reflects = REFLECTION.iter().any(|name| new.by_name.contains_key(&(*name, 0)));
    let builds = Builds { old, new, lead, asked, reflects };
    let mut found = Vec::new();
    for (key, address) in new.types.iter() {
        let Some(other) = old.types.find(key) else { continue };
        let before = old.types.method_records(old, other);
        for (name, _, has) in new.types.method_records(new, address) {
            let had = before.iter().find(|(other, _, _)| *other == name);
            let refused = |reason: String| Error::refused(format!("type `{}`", key.text), reason);
            match (had, builds.looked_up(name, has)) {
                (Some((_, at, had)), Some(wanted)) if had.iter().any(|offset| Types::is_dropped(*offset)) => {
                    let after = builds.completed(*had, has, &wanted).map_err(refused)?;
                    found.push(MethodRecord { at: *at, before: *had, after });
                }
                (None, Some(_)) => return Err(refused(format!("new code can look up its new method `{name}`"))),
                _ => {}
            }
        }
    }
    found.retain(|record| record.before != record.after);
    Ok(found)
}

impl<L: Fn(u64) -> Option<u64>> Builds<'_, '_, L> {
    /// The method's type, if something in the new build may look the method up.
    fn looked_up(&self, name: &str, record: [u32; 3]) -> Option<TypeKey> {
        if Types::is_dropped(record[0]) || Types::is_dropped(record[1]) {
            return None;
        }
        let of = self.new.types.key(self.new, self.new.types.region.0 + u64::from(record[0]))?;
        let exported = name.starts_with(|c: char| c.is_uppercase());
        let asked = self.asked.iter().any(|(other, key)| *other == name && *key == of);
        (asked || (exported && self.reflects)).then_some(of)
    }

    /// The record as it has to be: offsets of type and code from the old build's regions.
    fn completed(
        &self,
        had: [u32; 3],
        has: [u32; 3],
        wanted: &TypeKey,
    ) -> std::result::Result<[u32; 3], String> {
        let mut after = had;
        if Types::is_dropped(had[0]) {
            let known = self.old.types.find(wanted).map(|known| known - self.old.types.region.0);
            after[0] = known.and_then(|offset| u32::try_from(offset).ok()).ok_or_else(|| {
                format!(
                    "new code can look up a method of it that the linker dropped from the old build, together with the \
                     method's type `{}`",
                    wanted.text
                )
            })?;
        }
        for which in 1..3 {
            if Types::is_dropped(had[which]) && !Types::is_dropped(has[which]) {
                let led = (self.lead)(self.new.text.0 + u64::from(has[which]));
                let offset = led.and_then(|led| u32::try_from(led.checked_sub(self.old.text.0)?).ok());
                after[which] = offset.ok_or("a method of it is out of its reach")?;
            }
        }
        Ok(after)
    }
}
