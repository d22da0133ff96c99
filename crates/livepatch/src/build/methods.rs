//! Methods of old types that the linker dropped from the old build and kept in the new one.
//!
//! A method that nothing can look up has no type or no code in its type's descriptor: each of the three offsets there is
//! -1 (or 0) if nothing else needs what it names (`cmd/link/internal/ld/deadcode.go`, `R_METHODOFF`). Once new code can look
//! it up, through an interface or by reflection, the runtime does so in the old descriptor, for that is the type's. So
//! the record is completed, in the stop. It stays so after a rollback: the code stays placed, and old code cannot tell.

use std::collections::HashSet;

use super::lead::Lead;
use super::program::Program;
use super::types::{TypeKey, Types};
use crate::error::{Error, Result};
use crate::patch::MethodRecord;

/// Functions that look a method up by a name or a number that is not known when the program is linked.
const REFLECTION: [&str; 4] = [
    "reflect.(*rtype).Method",
    "reflect.(*rtype).MethodByName",
    "reflect.Value.Method",
    "reflect.Value.MethodByName",
];

/// What looks methods up in one build.
struct Seekers<'p> {
    program: &'p Program<'p>,
    asked: HashSet<(&'p str, TypeKey)>,
    reflects: bool,
}

pub(crate) fn revived(lead: &Lead<'_>) -> Result<Vec<MethodRecord>> {
    let (new, chain) = (lead.new, lead.chain());
    let seekers = Seekers::of(new);
    // What a build further up could look up was completed by its patch.
    let completed: Vec<Seekers<'_>> = chain.iter().skip(1).map(|program| Seekers::of(program)).collect();
    let mut found = Vec::new();
    for (key, address) in new.types.iter() {
        // The descriptor in force is that of the first build that has the type.
        let Some((at, home)) =
            chain.iter().enumerate().find_map(|(at, p)| p.types.find(key).map(|_| (at, *p)))
        else {
            continue;
        };
        let Some(descriptor) = home.types.find(key) else { continue };
        let before = home.types.method_records(home, descriptor);
        for (name, _, has) in new.types.method_records(new, address) {
            let Some(wanted) = seekers.looks_up(name, has) else { continue };
            let refused = |reason: String| Error::refused(format!("type `{}`", key.text), reason);
            let Some((_, place, had)) = before.iter().find(|(other, _, _)| *other == name) else {
                return Err(refused(format!("new code can look up its new method `{name}`")));
            };
            let by_another = completed.iter().skip(at).any(|s| s.has(key, name));
            if by_another || !had.iter().any(|offset| Types::is_dropped(*offset)) {
                continue;
            }
            let after = complete(home, lead, *had, has, &wanted).map_err(refused)?;
            // A descriptor of a build that is patched upon lies in that patch's image, where it was linked.
            found.push(MethodRecord { at: *place, before: *had, after });
        }
    }
    found.retain(|record| record.before != record.after);
    Ok(found)
}

impl<'p> Seekers<'p> {
    fn of(program: &'p Program<'p>) -> Self {
        let asked = program.types.interface_methods(program);
        let reflects = REFLECTION.iter().any(|name| program.by_name.contains_key(&(*name, 0)));
        Self { program, asked, reflects }
    }

    /// Can this build look up the method of a type?
    fn has(&self, key: &TypeKey, name: &str) -> bool {
        let records =
            self.program.types.find(key).map(|at| self.program.types.method_records(self.program, at));
        let record =
            records.and_then(|all| all.iter().find(|(other, _, _)| *other == name).map(|(_, _, r)| *r));
        record.is_some_and(|record| self.looks_up(name, record).is_some())
    }

    /// The method's type, if something in the new build may look the method up.
    fn looks_up(&self, name: &str, record: [u32; 3]) -> Option<TypeKey> {
        if Types::is_dropped(record[0]) || Types::is_dropped(record[1]) {
            return None;
        }
        let of = self.program.types.key(self.program, self.program.types.region.0 + u64::from(record[0]))?;
        let exported = name.starts_with(|c: char| c.is_uppercase());
        let asked = self.asked.iter().any(|(other, key)| *other == name && *key == of);
        (asked || (exported && self.reflects)).then_some(of)
    }
}

/// The record as it has to be: offsets of type and code from the regions of the build whose descriptor it is in.
fn complete(
    home: &Program<'_>,
    lead: &Lead<'_>,
    had: [u32; 3],
    has: [u32; 3],
    wanted: &TypeKey,
) -> std::result::Result<[u32; 3], String> {
    let mut after = had;
    if Types::is_dropped(had[0]) {
        let known = home.types.find(wanted).map(|known| known - home.types.region.0);
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
            let led = lead.lead(lead.new.text.0 + u64::from(has[which]));
            let offset = led.and_then(|led| u32::try_from(led.checked_sub(home.text.0)?).ok());
            after[which] = offset.ok_or("a method of it is out of its reach")?;
        }
    }
    Ok(after)
}
