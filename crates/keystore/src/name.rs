//! Names of keys: they become file names, on every file system alike.

use crate::KeystoreError;

/// The name of a key: 1 to 64 of `a-z 0-9 - _ . @`, a letter or digit at both ends.
///
/// Lower case only, because two names that differ in case are one file on Windows and macOS.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(transparent)]
pub struct KeyName(String);

/// Longest name: with the suffix of a retired key it stays far below the 255 bytes of a file name.
const MAX_NAME: usize = 64;

impl KeyName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`KeystoreError::Name`] with the rule that it breaks.
    pub fn new(name: &str) -> Result<Self, KeystoreError> {
        match fault(name) {
            Some(why) => Err(KeystoreError::Name { name: name.chars().take(80).collect(), why }),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for KeyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.@".contains(c);
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > MAX_NAME {
        return Some("it is longer than 64 bytes");
    }
    if !name.chars().all(allowed) {
        return Some("it may hold lower-case letters, digits, `-`, `_`, `.` and `@` only");
    }
    if !edge(name.chars().next()) || !edge(name.chars().last()) {
        return Some("it must begin and end with a letter or a digit");
    }
    // These segments carry meaning in the file names beside it.
    if name.split('.').any(|segment| segment.is_empty() || matches!(segment, "pub" | "retired")) {
        return Some("`..`, `.pub` and `.retired` have a meaning of their own in file names");
    }
    if is_key_id(name) {
        return Some("it looks like a key id");
    }
    is_device(name).then_some("Windows reserves it for a device")
}

/// 64 hexadecimal digits: a command that takes a name or an id must never be in doubt.
pub(crate) fn is_key_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The device names of "Naming Files, Paths, and Namespaces" (Win32), reserved with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_pass() {
        for name in ["a", "log", "default", "release-2026", "build@ci.example", "x_1", &"z".repeat(64)] {
            assert_eq!(KeyName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_would_leave_or_confuse_the_folder_are_refused() {
        let id = "0123456789abcdef".repeat(4);
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "../a",
            "a\\b",
            "A",
            "a b",
            "-a",
            "a-",
            ".a",
            "a.",
            "a..b",
            "a\0",
            "a\n",
            "ä",
            "a.pub",
            "a.retired",
            "a.pub.b",
            "nul",
            "con.x",
            "com1",
            "lpt9.key",
            "a:b",
            &"a".repeat(65),
            &id,
        ] {
            assert!(KeyName::new(name).is_err(), "{name:?} passed");
        }
    }
}
