//! Entry paths: UTF-8, `/` between components, relative, and one spelling for each path.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest path in bytes: `PATH_MAX` of Linux, which counts the final NUL that a seal does not carry.
pub const MAX_PATH: usize = 4096;
/// Most components of a path. Real trees stay below 40; the bound keeps walkers from holding too many descriptors.
pub const MAX_DEPTH: usize = 256;

/// A path inside an artefact; copies share the text. There is no way to hold one that breaks the rules of `docs/formats/seal.md`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryPath(Arc<str>);

/// Why a text is not an entry path.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("path `{path}` is refused: {rule}")]
pub struct PathError {
    /// The path, escaped so that it can be printed, and shortened.
    pub path: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl EntryPath {
    /// Checks the rules; nothing is repaired.
    ///
    /// # Errors
    /// [`PathError`] with the rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, PathError> {
        match broken_rule(text) {
            None => Ok(Self(text.into())),
            Some(rule) => Err(PathError { path: escape(text.as_bytes()), rule }),
        }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The paths of the folders above, the nearest last: `a/b/c` gives `a`, `a/b`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MAX_PATH {
        return Some("it is longer than 4096 bytes");
    }
    if text.starts_with('/') {
        return Some("it is absolute");
    }
    if text.contains('\0') {
        return Some("it holds a NUL");
    }
    // On Windows a backslash separates components and `..\` climbs; on Unix it is a letter. A seal must name the
    // same file on both.
    if text.contains('\\') {
        return Some("it holds a backslash");
    }
    if has_drive(text) {
        return Some("it starts with a drive letter");
    }
    if text.split('/').count() > MAX_DEPTH {
        return Some("it has more than 256 components");
    }
    text.split('/').find_map(|component| match component {
        "" => Some("it has an empty component"),
        "." | ".." => Some("it has a `.` or `..` component"),
        _ => None,
    })
}

/// `C:…` is absolute (or relative to a drive) on Windows.
fn has_drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
}

/// A name from outside as it can be shown: control characters, quotes and bytes that are not UTF-8 as escapes,
/// at most 8192 characters.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    const SHOWN: usize = 2 * MAX_PATH;
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || is_bidi_control(c) { out.extend(c.escape_default()) } else { out.push(c) }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if out.chars().count() > SHOWN {
        out = out.chars().take(SHOWN).chain(['…']).collect();
    }
    out
}

/// Characters that make a terminal show a name in another order than its bytes (Unicode UAX #9, §2).
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl TryFrom<String> for EntryPath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::new(&text)
    }
}

impl From<EntryPath> for String {
    fn from(path: EntryPath) -> Self {
        path.0.as_ref().to_owned()
    }
}

impl std::fmt::Display for EntryPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&escape(self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_has_two_spellings_or_leaves_the_tree() {
        for bad in [
            "", "/a", "a/", "a//b", "./a", "a/./b", "..", "a/../b", "a\\b", "..\\a", "a\0b", "C:/x", "c:x",
            "/",
        ] {
            assert!(EntryPath::new(bad).is_err(), "{bad:?} was taken");
        }
        assert!(EntryPath::new(&"a".repeat(MAX_PATH)).is_ok());
        assert!(EntryPath::new(&"a".repeat(MAX_PATH + 1)).is_err());
        assert!(EntryPath::new(&vec!["a"; MAX_DEPTH].join("/")).is_ok());
        assert!(EntryPath::new(&vec!["a"; MAX_DEPTH + 1].join("/")).is_err());
    }

    #[test]
    fn takes_every_other_name() {
        for good in ["a", "a/b", "...", "..a", "a..", " ", "ünï/码", "ab:c/d", "-rf", "a\nb"] {
            assert_eq!(EntryPath::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn names_are_shown_escaped() {
        assert_eq!(escape(b"a\x1b[2Jb\xff"), "a\\u{1b}[2Jb\\xff");
        assert_eq!(escape("gpj.\u{202e}exe".as_bytes()), "gpj.\\u{202e}exe");
    }

    #[test]
    fn ancestors_come_from_the_root_down() {
        let path = EntryPath::new("a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["a", "a/b"]);
    }
}
