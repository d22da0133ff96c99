//! Which actions and subject kinds an event may name.

mod standard;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Codes beyond this many are refused: a catalogue is read by people.
const MAX_CODES: usize = 10_000;

/// A code and its meaning.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Entry<'a> {
    /// The action code or the subject kind.
    pub code: &'a str,
    /// One line, for people.
    pub meaning: &'a str,
}

/// An extension that cannot be taken into a catalogue.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The action code does not have the form of one.
    #[error("`{code}` is not an action code: dotted, upper case, as AUTH.LOGIN.FAIL")]
    Action {
        /// As given.
        code: String,
    },
    /// The subject kind does not have the form of one.
    #[error(
        "`{kind}` is not a subject kind: letters, digits, `_`, `.`, `-`, a letter or `_` first, at most 64"
    )]
    Subject {
        /// As given.
        kind: String,
    },
    /// There are too many codes.
    #[error("a catalogue holds at most {MAX_CODES} codes")]
    Full,
}

/// Codes with their meanings. What is in it the operator chose, so that nobody can make its entries meet: the hash may be
/// as plain as it is quick.
type Codes = HashMap<String, String, BuildHasherDefault<Folded>>;

/// Eight bytes at a time, each multiplied into what came before.
#[derive(Clone, Copy, Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte); // the end of a text
    }

    fn write_u64(&mut self, word: u64) {
        /// 2^64 divided by the golden ratio, odd: what a multiplicative hash takes.
        const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ word) * GOLDEN;
        let (low, high) = (product & u128::from(u64::MAX), product >> 64);
        self.0 = u64::try_from(low ^ high).unwrap_or_default(); // both halves have 64 bits
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Actions and subject kinds with their meanings: the standard ones, and what an operator added.
#[derive(Clone, Debug)]
pub struct Catalogue {
    actions: Codes,
    subjects: Codes,
}

impl Catalogue {
    /// What every installation knows.
    #[must_use]
    pub fn standard() -> Self {
        let map = |table: &[(&str, &str)]| {
            table.iter().map(|(code, meaning)| ((*code).to_owned(), (*meaning).to_owned())).collect()
        };
        Self { actions: map(standard::ACTIONS), subjects: map(standard::SUBJECTS) }
    }

    /// Adds an action, or gives one that is there another meaning.
    ///
    /// # Errors
    /// When the code has not the form of one, or the catalogue is full.
    pub fn add_action(&mut self, code: &str, meaning: &str) -> Result<(), CatalogueError> {
        if !crate::admit::is_action_code(code) {
            return Err(CatalogueError::Action { code: code.chars().take(80).collect() });
        }
        add(&mut self.actions, code, meaning)
    }

    /// Adds a subject kind, or gives one that is there another meaning.
    ///
    /// # Errors
    /// When the kind has not the form of one, or the catalogue is full.
    pub fn add_subject(&mut self, kind: &str, meaning: &str) -> Result<(), CatalogueError> {
        if !crate::admit::is_name(kind) {
            return Err(CatalogueError::Subject { kind: kind.chars().take(80).collect() });
        }
        add(&mut self.subjects, kind, meaning)
    }

    /// Whether the action is known.
    #[must_use]
    pub fn knows_action(&self, code: &str) -> bool {
        self.actions.contains_key(code)
    }

    /// Whether the subject kind is known.
    #[must_use]
    pub fn knows_subject(&self, kind: &str) -> bool {
        self.subjects.contains_key(kind)
    }

    /// All actions, ordered by code.
    pub fn actions(&self) -> impl Iterator<Item = Entry<'_>> {
        ordered(&self.actions)
    }

    /// All subject kinds, ordered.
    pub fn subjects(&self) -> impl Iterator<Item = Entry<'_>> {
        ordered(&self.subjects)
    }

    pub(crate) fn nearest_action(&self, code: &str) -> Option<&str> {
        nearest(code, self.actions.keys().map(String::as_str))
    }

    pub(crate) fn nearest_subject(&self, kind: &str) -> Option<&str> {
        nearest(kind, self.subjects.keys().map(String::as_str))
    }
}

fn add(map: &mut Codes, code: &str, meaning: &str) -> Result<(), CatalogueError> {
    if map.len() >= MAX_CODES && !map.contains_key(code) {
        return Err(CatalogueError::Full);
    }
    map.insert(code.to_owned(), meaning.to_owned());
    Ok(())
}

fn ordered(map: &Codes) -> impl Iterator<Item = Entry<'_>> {
    let sorted: BTreeMap<&str, &str> = map.iter().map(|(c, m)| (c.as_str(), m.as_str())).collect();
    sorted.into_iter().map(|(code, meaning)| Entry { code, meaning })
}

/// The known word that a mistyped one most likely stands for: at most one edit in three characters away; among
/// equals the first in order.
pub(crate) fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    const LONGEST: usize = 96; // the distance costs the product of the lengths
    let length = given.chars().count();
    if length > LONGEST {
        return None;
    }
    let bound = length.div_ceil(3).max(1);
    known.map(|word| (distance(given, word), word)).filter(|(d, _)| *d <= bound).min().map(|(_, word)| word)
}

/// Optimal string alignment distance: insertions, deletions, substitutions, and swaps of neighbours, without
/// regard to case.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| text.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    let (a, b) = (fold(a), fold(b));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_catalogue_is_well_formed() {
        let mut again = Catalogue { actions: Codes::default(), subjects: Codes::default() };
        for (code, meaning) in standard::ACTIONS {
            again.add_action(code, meaning).unwrap();
        }
        for (kind, meaning) in standard::SUBJECTS {
            again.add_subject(kind, meaning).unwrap();
        }
        assert_eq!(again.actions().count(), standard::ACTIONS.len(), "a code is there twice");
        assert_eq!(again.subjects().count(), standard::SUBJECTS.len(), "a kind is there twice");
        assert!(again.actions().chain(again.subjects()).all(|e| !e.meaning.is_empty()));
    }

    #[test]
    fn an_operator_can_add_but_not_break_the_form() {
        let mut catalogue = Catalogue::standard();
        catalogue.add_action("LOAN.APPROVED", "a loan was approved").unwrap();
        assert!(catalogue.knows_action("LOAN.APPROVED"));
        for code in ["LOAN", "loan.approved", "LOAN.", "LOAN..X", "", "A.B.C.D.E.F.G"] {
            assert!(catalogue.add_action(code, "").is_err(), "{code}");
        }
        assert!(catalogue.add_subject("bran ch", "").is_err());
    }

    #[test]
    fn a_slip_is_recognised() {
        let catalogue = Catalogue::standard();
        assert_eq!(catalogue.nearest_action("AUTH.LOGIN.FIAL"), Some("AUTH.LOGIN.FAIL"));
        assert_eq!(catalogue.nearest_action("auth.login.ok"), Some("AUTH.LOGIN.OK"));
        assert_eq!(catalogue.nearest_subject("usr"), Some("user"));
        assert_eq!(catalogue.nearest_action("ZZZZZZ.QQQQQQQ"), None);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
