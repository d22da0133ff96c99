//! Trust policies: how many signatures, by which keys and of which algorithms, make a signed thing count. The format
//! is `docs/formats/trust-policy.md`.
//!
//! A policy only ever asks for more: it counts signatures that were verified already, each key once, and never brings
//! back a key that was revoked. Pure: text in, facts out.

use std::collections::BTreeMap;

use serde::Deserialize;
use signing::{Algorithm, KeyId};

use crate::KeystoreError;
use crate::name::is_key_id;

/// Most bytes of a policy, and most rules, keys and algorithms in it.
pub const MAX_POLICY: usize = 64 * 1024;
const MAX_RULES: usize = 64;
const MAX_KEYS: usize = 256;
/// As many as its bytes have room for.
const MAX_REVOKED: usize = 400;
/// The version that is read.
const VERSION: u32 = 1;

/// What must be true of the signatures; every rule must hold.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    version: u32,
    /// Keys that the policy brings along, by name: files, relative to the policy's folder.
    #[serde(default)]
    keys: BTreeMap<String, String>,
    #[serde(default)]
    require: Vec<Rule>,
    /// Patches that must not be applied any more, whoever signed them.
    #[serde(default)]
    revoked: Vec<Revoked>,
}

/// A patch that was taken back.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoked {
    /// SHA-256 of its file, hexadecimal.
    patch: String,
    reason: String,
}

/// One rule: so many signatures among these.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Names or ids of the keys that count; every trusted key when left out.
    #[serde(default)]
    keys: Option<Vec<String>>,
    /// Algorithms of the signatures that count; every algorithm when left out.
    #[serde(default)]
    algorithms: Option<Vec<Algorithm>>,
    #[serde(default)]
    threshold: Threshold,
}

/// How many signatures a rule asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(untagged)]
enum Threshold {
    #[default]
    #[serde(skip)]
    One,
    Number(usize),
    Word(Word),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Any,
    All,
}

/// A key whose signature was verified, under the name by which it is known here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// Its name.
    pub name: String,
    /// Its id.
    pub key_id: KeyId,
    /// What it signed with.
    pub algorithm: Algorithm,
}

/// A rule that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmet {
    /// The rule, in words.
    pub rule: String,
    /// Signatures that it asks for.
    pub wanted: usize,
    /// Signatures that count towards it.
    pub found: usize,
}

/// How a rule was judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The rule, in words.
    pub rule: String,
    /// Signatures that it asks for.
    pub wanted: usize,
    /// Signatures that count towards it.
    pub found: usize,
}

impl std::fmt::Display for Unmet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} of {}", self.rule, self.found, self.wanted)
    }
}

impl Policy {
    /// Reads the TOML text.
    ///
    /// # Errors
    /// [`KeystoreError::Policy`] when it is none, or one that could never be met or would always be.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        if text.len() > MAX_POLICY {
            return Err(refused("it is larger than 64 KiB"));
        }
        let policy: Self = toml::from_str(text).map_err(|e| refused(e.to_string().trim_end()))?;
        if policy.version != VERSION {
            return Err(refused(format!("it is of version {}, and {VERSION} is known here", policy.version)));
        }
        if policy.require.is_empty() && policy.revoked.is_empty() {
            return Err(refused("it requires nothing"));
        }
        if policy.require.len() > MAX_RULES || policy.keys.len() > MAX_KEYS {
            return Err(refused("it has more than 64 rules or 256 keys"));
        }
        if policy.revoked.len() > MAX_REVOKED {
            return Err(refused("it revokes more than 400 patches"));
        }
        let digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(other) = policy.revoked.iter().find(|revoked| !digest(&revoked.patch)) {
            return Err(refused(format!("`{}` is not the SHA-256 of a patch", other.patch)));
        }
        policy.keys.keys().try_for_each(|name| crate::KeyName::new(name).map(|_| ()))?;
        policy.require.iter().try_for_each(Rule::check)?;
        Ok(policy)
    }

    /// The keys that it brings along: name and file, relative to the policy's folder.
    pub fn key_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(name, file)| (name.as_str(), file.as_str()))
    }

    /// The rules that these signatures do not meet; none when all hold.
    #[must_use]
    pub fn unmet(&self, signed: &[Signed]) -> Vec<Unmet> {
        self.require.iter().filter_map(|rule| rule.unmet(signed)).collect()
    }

    /// Every rule, and how many signatures count towards it.
    #[must_use]
    pub fn judged(&self, signed: &[Signed]) -> Vec<Judged> {
        let judged = |rule: &Rule| {
            let (found, wanted) = rule.count(signed);
            Judged { rule: rule.words(), wanted, found }
        };
        self.require.iter().map(judged).collect()
    }

    /// Why the patch with this SHA-256 (hexadecimal) must not be applied any more, if the policy says so.
    #[must_use]
    pub fn revoked(&self, patch: &str) -> Option<&str> {
        let found = self.revoked.iter().find(|revoked| revoked.patch.eq_ignore_ascii_case(patch));
        found.map(|revoked| revoked.reason.as_str())
    }
}

impl Rule {
    fn check(&self) -> Result<(), KeystoreError> {
        let empty = |list: usize| list == 0 || list > MAX_KEYS;
        if self.keys.as_ref().is_some_and(|keys| empty(keys.len())) {
            return Err(refused("a rule names no keys, or more than 256"));
        }
        if self.algorithms.as_ref().is_some_and(|algorithms| empty(algorithms.len())) {
            return Err(refused("a rule names no algorithms"));
        }
        for (at, key) in self.keys.iter().flatten().enumerate() {
            if !is_key_id(key) {
                crate::KeyName::new(key)?;
            }
            if self.keys.iter().flatten().skip(at + 1).any(|other| other == key) {
                return Err(refused(format!("a rule names `{key}` twice")));
            }
        }
        match (self.threshold, &self.keys) {
            (Threshold::Number(0), _) => Err(refused("a rule asks for no signatures")),
            (Threshold::Word(Word::All), None) => {
                Err(refused("a rule asks for all of keys that it does not name"))
            }
            (Threshold::Number(wanted), Some(keys)) if wanted > keys.len() => {
                Err(refused(format!("a rule asks for {wanted} of {} keys", keys.len())))
            }
            _ => Ok(()),
        }
    }

    fn unmet(&self, signed: &[Signed]) -> Option<Unmet> {
        let (found, wanted) = self.count(signed);
        (found < wanted).then(|| Unmet { rule: self.words(), wanted, found })
    }

    /// Signatures that count, and how many are asked for. A name may stand for several keys (a rotated one and its
    /// successor), which count once together; and so does a key that is listed by its name and by its id.
    fn count(&self, signed: &[Signed]) -> (usize, usize) {
        let counts = |s: &&Signed| self.algorithms.as_ref().is_none_or(|all| all.contains(&s.algorithm));
        let signed: Vec<_> = signed.iter().filter(counts).collect();
        match &self.keys {
            Some(keys) => {
                let names = |s: &Signed, key: &str| s.name == key || s.key_id.as_str() == key;
                let entries = keys.iter().filter(|key| signed.iter().any(|s| names(s, key))).count();
                let by = distinct(signed.iter().copied().filter(|s| keys.iter().any(|key| names(s, key))));
                (entries.min(by), self.wanted(keys.len()))
            }
            None => (distinct(signed.iter().copied()), self.wanted(usize::MAX)),
        }
    }

    fn wanted(&self, all: usize) -> usize {
        match self.threshold {
            Threshold::One | Threshold::Word(Word::Any) => 1,
            Threshold::Number(wanted) => wanted,
            Threshold::Word(Word::All) => all,
        }
    }

    fn words(&self) -> String {
        let keys = self.keys.as_ref().map_or_else(|| "any trusted key".to_owned(), |keys| keys.join(", "));
        match &self.algorithms {
            None => format!("signatures by {keys}"),
            Some(all) => {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                format!("signatures with {} by {keys}", all.join(" or "))
            }
        }
    }
}

/// How many keys signed, each counted once.
fn distinct<'a>(signed: impl Iterator<Item = &'a Signed>) -> usize {
    let mut ids: Vec<_> = signed.map(|s| s.key_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

fn refused(why: impl Into<String>) -> KeystoreError {
    KeystoreError::Policy { why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(name: &str, algorithm: Algorithm) -> Signed {
        Signed { name: name.into(), key_id: KeyId::of_spki(name.as_bytes()), algorithm }
    }

    fn policy(rules: &str) -> Policy {
        Policy::parse(&format!("version = 1\n{rules}")).unwrap()
    }

    fn holds(rules: &str, by: &[Signed]) -> bool {
        policy(rules).unmet(by).is_empty()
    }

    #[test]
    fn a_revoked_patch_is_found_whatever_its_case() {
        let digest = "9F".repeat(32);
        let policy = policy(&format!("[[revoked]]\npatch = '{digest}'\nreason = 'leaks'"));
        assert_eq!(policy.revoked(&digest.to_lowercase()), Some("leaks"));
        assert_eq!(policy.revoked(&"00".repeat(32)), None);
        assert!(policy.unmet(&[]).is_empty(), "it asks for nothing else");
        for wrong in ["patch = '9f'\nreason = 'short'", "patch = ''\nreason = ''", "reason = 'which?'"] {
            assert!(Policy::parse(&format!("version = 1\n[[revoked]]\n{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rules_say_how_they_were_judged() {
        let policy = policy("[[require]]\nkeys = ['a', 'b']\nthreshold = 2");
        let judged = policy.judged(&[signed("a", Algorithm::Sm2)]);
        assert_eq!((judged.len(), judged[0].found, judged[0].wanted), (1, 1, 2));
    }

    #[test]
    fn any_all_and_so_many_of() {
        let (a, b, c) =
            (signed("a", Algorithm::Ed25519), signed("b", Algorithm::Sm2), signed("c", Algorithm::EcdsaP256));
        let any = "[[require]]\nkeys = ['a', 'b']";
        assert!(holds(any, std::slice::from_ref(&a)) && holds(any, std::slice::from_ref(&b)));
        assert!(!holds(any, std::slice::from_ref(&c)) && !holds(any, &[]));
        let all = "[[require]]\nkeys = ['a', 'b']\nthreshold = 'all'";
        assert!(holds(all, &[a.clone(), b.clone()]) && !holds(all, &[a.clone(), c.clone()]));
        let two = "[[require]]\nkeys = ['a', 'b', 'c']\nthreshold = 2";
        assert!(holds(two, &[c.clone(), b.clone()]) && !holds(two, &[c.clone(), c.clone()]));
        let anyone = "[[require]]\nthreshold = 2";
        assert!(holds(anyone, &[a.clone(), b.clone()]) && !holds(anyone, &[a.clone(), a]));
    }

    #[test]
    fn algorithms_and_ids_and_several_rules() {
        let (a, b) = (signed("a", Algorithm::Ed25519), signed("b", Algorithm::Sm2));
        let national = "[[require]]\nalgorithms = ['sm2-sm3']\n[[require]]\nkeys = ['a']";
        assert!(holds(national, &[a.clone(), b.clone()]));
        assert_eq!(policy(national).unmet(std::slice::from_ref(&a)).len(), 1);
        assert_eq!(policy(national).unmet(&[]).len(), 2);
        let by_id = format!("[[require]]\nkeys = ['{}']", a.key_id);
        assert!(holds(&by_id, std::slice::from_ref(&a)) && !holds(&by_id, &[b]));
    }

    #[test]
    fn a_rotated_key_and_its_successor_count_once() {
        let old = signed("a", Algorithm::Ed25519);
        let new = Signed { key_id: KeyId::of_spki(b"new"), ..old.clone() };
        assert!(!holds("[[require]]\nkeys = ['a', 'b']\nthreshold = 2", &[old.clone(), new]));
        let twice = format!("[[require]]\nkeys = ['a', '{}']\nthreshold = 2", old.key_id);
        assert!(!holds(&twice, &[old]));
    }

    #[test]
    fn policies_that_ask_for_nothing_or_for_the_impossible_are_refused() {
        for bad in [
            "",
            "version = 1",
            "version = 2\n[[require]]",
            "version = 1\n[[require]]\nthreshold = 0",
            "version = 1\n[[require]]\nthreshold = -1",
            "version = 1\n[[require]]\nthreshold = 'most'",
            "version = 1\n[[require]]\nthreshold = 'all'",
            "version = 1\n[[require]]\nkeys = []",
            "version = 1\n[[require]]\nkeys = ['a']\nthreshold = 2",
            "version = 1\n[[require]]\nkeys = ['a', 'a']\nthreshold = 2",
            "version = 1\n[[require]]\nkeys = ['A']",
            "version = 1\n[[require]]\nalgorithms = []",
            "version = 1\n[[require]]\nalgorithms = ['md5']",
            "version = 1\n[[require]]\nunknown = 1",
            "version = 1\n[keys]\n'../x' = 'x.pem'\n[[require]]",
        ] {
            assert!(
                matches!(Policy::parse(bad), Err(KeystoreError::Policy { .. } | KeystoreError::Name { .. })),
                "{bad}"
            );
        }
    }
}
