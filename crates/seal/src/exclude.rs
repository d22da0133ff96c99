//! Patterns of paths that a seal of a directory leaves out. They stand in the signed statement, so that whoever
//! verifies knows what was not looked at.

use serde::{Deserialize, Serialize};

use crate::error::SealError;

/// Most patterns of one seal.
const MAX_PATTERNS: usize = 256;
/// Longest pattern in bytes.
const MAX_PATTERN: usize = 1024;

/// Patterns over whole paths: `?` is one character and `*` any number, both within a component; `**` crosses
/// components. A pattern without `/` is tried on the last component alone. What matches is left out with
/// everything below it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Exclude(Vec<String>);

impl Exclude {
    /// Takes the patterns as they are.
    ///
    /// # Errors
    /// When one is empty or too long, or there are too many.
    pub fn new(patterns: Vec<String>) -> Result<Self, SealError> {
        let exclude = Self(patterns);
        exclude.check()?;
        Ok(exclude)
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.0
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `path` is left out.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let last = path.rsplit('/').next().unwrap_or(path);
        self.0.iter().any(|pattern| {
            let text = if pattern.contains('/') { path } else { last };
            glob(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
        })
    }

    pub(crate) fn check(&self) -> Result<(), SealError> {
        if self.0.len() > MAX_PATTERNS {
            return Err(SealError::Limit { what: "exclusion patterns", limit: MAX_PATTERNS });
        }
        match self.0.iter().any(|p| p.is_empty() || p.len() > MAX_PATTERN) {
            true => Err(SealError::Malformed("an exclusion pattern is empty or longer than 1024 bytes")),
            false => Ok(()),
        }
    }
}

/// Row by row over the pattern: `states[i]` says whether what was read of the pattern matches `text[..i]`. Linear
/// in pattern × text, whatever the pattern: a backtracking matcher can be made to hang.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let mut states = vec![false; text.len() + 1];
    states[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let crossing = pattern[at..].starts_with(&['*', '*']);
        match pattern[at] {
            '*' => spread(&mut states, text, crossing),
            wanted => step(&mut states, text, wanted),
        }
        at += if crossing { 2 } else { 1 };
    }
    states[text.len()]
}

fn spread(states: &mut [bool], text: &[char], crossing: bool) {
    for i in 0..text.len() {
        states[i + 1] |= states[i] && (crossing || text[i] != '/');
    }
}

fn step(states: &mut [bool], text: &[char], wanted: char) {
    for i in (0..text.len()).rev() {
        let fits = text[i] == wanted || (wanted == '?' && text[i] != '/');
        states[i + 1] = states[i] && fits;
    }
    states[0] = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_in_their_component() {
        let cases = [
            ("*.log", "a.log", true),
            ("*.log", "x/y/a.log", true),
            ("x/*.log", "x/a.log", true),
            ("x/*.log", "x/y/a.log", false),
            ("x/**.log", "x/y/a.log", true),
            ("**/tmp", "a/b/tmp", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("x/?", "x//", false),
            (".git", "sub/.git", true),
            (".git", "sub/.gitignore", false),
        ];
        for (pattern, path, expected) in cases {
            let exclude = Exclude::new(vec![pattern.into()]).unwrap();
            assert_eq!(exclude.matches(path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let exclude = Exclude::new(vec!["*a".repeat(500)]).unwrap();
        assert!(!exclude.matches(&"a".repeat(4000).replace("aaaa", "aab/")));
    }
}
