//! The digest of a program in a release manifest, kept in step with the program.
//!
//! Only the one text changes: whatever else stands in the file, its order and its white space, stays as it is.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::state::write;
use crate::cmd::pe::credential::read_up_to;
use crate::failure::Failure;

/// A larger manifest is not read.
const MAX_MANIFEST: u64 = 16 << 20;

/// A manifest whose digest is that of another file.
pub(super) struct Stale {
    path: PathBuf,
    text: String,
    pub(super) old: String,
    pub(super) new: String,
}

/// What stands at `pointer` (RFC 6901), held against the digest of the file; none where they agree.
pub(super) fn compare(path: &Path, pointer: &str, sha256: &str) -> Result<Option<Stale>, Failure> {
    let refused = |why: String| Failure::input(anyhow::anyhow!("cannot use `{}`: {why}", path.display()));
    let bytes = read_up_to(path, MAX_MANIFEST)?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| refused("it is not UTF-8".to_owned()))?;
    let document: Value = serde_json::from_str(&text).map_err(|e| refused(e.to_string()))?;
    let old = document.pointer(pointer).and_then(Value::as_str).ok_or_else(|| {
        refused(format!("there is no text at `{pointer}`"))
            .hint("name its place with `--pointer /Identity/Hash`")
    })?;
    let new = spelt_like(old, sha256);
    if old.eq_ignore_ascii_case(&new) {
        return Ok(None);
    }
    let literal = serde_json::to_string(old).map_err(Failure::input)?;
    if text.matches(&literal).count() != 1 {
        return Err(refused(format!(
            "the text at `{pointer}` stands elsewhere in it too, or is written with escapes"
        ))
        .hint("put the digest there once by hand"));
    }
    let replaced = text.replace(&literal, &serde_json::to_string(&new).map_err(Failure::input)?);
    let again: Value = serde_json::from_str(&replaced).map_err(|e| refused(e.to_string()))?;
    if again.pointer(pointer).and_then(Value::as_str) != Some(&new) {
        return Err(refused(format!("`{pointer}` is not the place where its text stands")));
    }
    Ok(Some(Stale { path: path.to_owned(), old: old.to_owned(), new, text: replaced }))
}

impl Stale {
    /// Puts the new digest in.
    pub(super) fn rotate(&self) -> Result<(), Failure> {
        write(&self.path, self.text.as_bytes())
    }
}

/// With the prefix and in the case of what stood there.
fn spelt_like(old: &str, sha256: &str) -> String {
    let (prefix, digits) =
        old.rsplit_once([':', '-']).map_or(("", old), |(kind, digits)| (&old[..=kind.len()], digits));
    match digits.bytes().any(|b| b.is_ascii_uppercase()) && !digits.bytes().any(|b| b.is_ascii_lowercase()) {
        true => format!("{prefix}{}", sha256.to_uppercase()),
        false => format!("{prefix}{sha256}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_digest_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.json");
        let (old, new) = ("0".repeat(64), "ab".repeat(32));
        let text = |digest: &str| {
            format!("{{\n\t\"b\": [1,2],  \"Identity\": {{\"Hash\": \"{digest}\"}}, \"a\": 1}}")
        };
        std::fs::write(&path, text(&old)).unwrap();
        let stale = compare(&path, "/Identity/Hash", &new).unwrap().unwrap();
        assert_eq!((stale.old.as_str(), stale.new.as_str()), (old.as_str(), new.as_str()));
        stale.rotate().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text(&new));
        assert!(compare(&path, "/Identity/Hash", &new).unwrap().is_none());
        assert!(compare(&path, "/Identity/Other", &new).is_err());
        // The same text twice: nobody can tell which is meant.
        std::fs::write(&path, format!("[\"{old}\", \"{old}\"]")).unwrap();
        assert!(compare(&path, "/0", &new).is_err());
    }

    #[test]
    fn a_digest_is_spelt_as_the_old_one_was() {
        assert_eq!(spelt_like("ABCDEF01", "0a"), "0A");
        assert_eq!(spelt_like("sha256:abcd", "0a"), "sha256:0a");
        assert_eq!(spelt_like("SHA-256:ABCD", "0a"), "SHA-256:0A");
        assert_eq!(spelt_like("", "0a"), "0a");
    }
}
