//! Methods of old types that the linker dropped from the old build and kept in the new one.
//!
//! A method that nothing can reach has no code, and its record in the type's descriptor says so: type and code are 0 or
//! -1 (`cmd/link/internal/ld/deadcode.go`). Once new code can reach it, through an interface or by reflection, the runtime
//! looks it up in the old descriptor, for that is the type's. So the record is completed, in the stop. It stays so after a
//! rollback: the code stays placed, and old code cannot tell.

use super::program::Program;
use super::types::Types;
use crate::error::{Error, Result};
use crate::patch::MethodRecord;

/// `lead` says where an address of the new build is in the patched process.
pub(crate) fn revived(
    old: &Program<'_>,
    new: &Program<'_>,
    lead: impl Fn(u64) -> Option<u64>,
) -> Result<Vec<MethodRecord>> {
    let mut found = Vec::new();
    for (key, address) in new.types.iter() {
        let Some(other) = old.types.find(key) else { continue };
        let (before, after) = (old.types.method_records(old, other), new.types.method_records(new, address));
        let refused = |reason: &str| Error::refused(format!("type `{}`", key.text), reason);
        for (name, _, has) in &after {
            let Some((_, at, had)) = before.iter().find(|(other, _, _)| other == name) else {
                // Calls by name need no descriptor; an interface or reflection that can reach it would need one.
                match Types::is_dropped(has[1]) {
                    true => continue,
                    false => return Err(refused(&format!("new code can look up its new method `{name}`"))),
                }
            };
            // Type, code for interfaces, code for direct calls.
            if (1..3).all(|which| Types::is_dropped(has[which]) || !Types::is_dropped(had[which])) {
                continue;
            }
            let code = |which: usize| -> Result<u32> {
                if Types::is_dropped(has[which]) {
                    return Ok(had[which]);
                }
                let led = lead(new.text.0 + u64::from(has[which]));
                let offset = led.and_then(|led| u32::try_from(led.checked_sub(old.text.0)?).ok());
                offset.ok_or_else(|| refused("a method of it is out of its reach"))
            };
            let of_method = if Types::is_dropped(had[0]) {
                let wanted = new.types.key(new, new.types.region.0 + u64::from(has[0]));
                let known = wanted.as_ref().and_then(|wanted| old.types.find(wanted));
                let offset = known.and_then(|known| u32::try_from(known - old.types.region.0).ok());
                offset.ok_or_else(|| {
                    let text = wanted.map_or_else(String::new, |wanted| wanted.text);
                    refused(&format!(
                        "new code can call a method of it that the linker dropped from the old build, together with \
                         the method's type `{text}`"
                    ))
                })?
            } else {
                had[0]
            };
            found.push(MethodRecord { at: *at, before: *had, after: [of_method, code(1)?, code(2)?] });
        }
    }
    Ok(found)
}
