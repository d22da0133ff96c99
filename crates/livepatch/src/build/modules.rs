//! Are both builds made of the same modules? Another version of a dependency is more than a fix: whoever wants it says so.

use std::collections::BTreeMap;

use gobinary::{Binary, GoInfo};

use crate::error::{Error, Result};

/// Refuses other versions, added and removed modules. The main module is what changes.
pub(crate) fn check(old: &[u8], new: &[u8]) -> Result<()> {
    let (before, after) = (modules("old", old)?, modules("new", new)?);
    let all = before.keys().chain(after.keys());
    let differs = all.into_iter().find(|path| before.get(*path) != after.get(*path));
    let Some(path) = differs else { return Ok(()) };
    let told = |of: &BTreeMap<String, String>| of.get(path).cloned().unwrap_or_else(|| "none".to_owned());
    Err(Error::refused(
        format!("module `{path}`"),
        format!("its version changed from {} to {}", told(&before), told(&after)),
    ))
}

/// Path, and version with the sum or what it is replaced by.
fn modules(which: &'static str, bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let binary = Binary::parse(bytes).map_err(|source| Error::NotGo { which, source })?;
    let listed = binary.build_info().map_or_else(Vec::new, |go: &GoInfo| go.modules.clone());
    let told = listed.into_iter().map(|module| {
        let replaced =
            module.replace.map_or_else(String::new, |by| format!(" => {} {}", by.path, by.version));
        (module.path, format!("{}{replaced}", module.version))
    });
    Ok(told.collect())
}
