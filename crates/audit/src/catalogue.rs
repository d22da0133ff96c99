//! The operator's extension of the catalogue: `<home>/catalogue.toml`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use event::Catalogue;

use crate::AuditError;

/// Name of the file in the home.
pub const CATALOGUE: &str = "catalogue.toml";

/// A file larger than this is refused.
const MAX_FILE: u64 = 4 << 20;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Extension {
    #[serde(default)]
    actions: BTreeMap<String, String>,
    #[serde(default)]
    subjects: BTreeMap<String, String>,
}

/// The standard catalogue with what the home's `catalogue.toml` adds, if there is one.
///
/// # Errors
/// [`AuditError::Catalogue`] when the file is not one.
pub fn load_catalogue(home: &Path) -> Result<Catalogue, AuditError> {
    let path = home.join(CATALOGUE);
    let bad = |why: String| AuditError::Catalogue { path: path.clone(), why };
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Catalogue::standard()),
        Err(e) => return Err(AuditError::io("read", &path, e)),
        Ok(data) if data.len() > MAX_FILE => return Err(bad("it is larger than 4 MiB".into())),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(|e| AuditError::io("read", &path, e))?;
    extended(&text).map_err(bad)
}

/// The standard catalogue with what `text` adds, or why that is no extension.
pub(crate) fn extended(text: &str) -> Result<Catalogue, String> {
    let mut catalogue = Catalogue::standard();
    let extension: Extension = toml::from_str(text).map_err(|e| e.message().to_owned())?;
    for (code, meaning) in &extension.actions {
        catalogue.add_action(code, meaning).map_err(|e| e.to_string())?;
    }
    for (kind, meaning) in &extension.subjects {
        catalogue.add_subject(kind, meaning).map_err(|e| e.to_string())?;
    }
    Ok(catalogue)
}
