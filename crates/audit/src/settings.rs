//! `[ledger]` of custody.toml: the trees of a ledger, and who signs its checkpoints beside its own key.
//!
//! Of that file this is the one part that is read here and not by whoever speaks to people: every process that opens the
//! home may become its owner, and all must sign alike.

use std::io;
use std::path::Path;

use keystore::{Keystore, KeystoreError};
use ledger::Trees;
use serde::Deserialize;
use signing::note::{Sm2NoteSigner, Sm2NoteVerifier};
use signing::{PublicKey, SigningError, Sm2Verifier};

use crate::AuditError;

/// Name of the file in the home.
const CONFIG: &str = "custody.toml";
/// A larger file is refused.
const MAX_FILE: u64 = 1 << 20;
/// Signers beyond this many are refused: each signs every checkpoint.
const MAX_SIGNERS: usize = 8;

/// `[ledger]` as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerSettings {
    /// `sha256`, or `sha256` and `sm3`. A ledger keeps for its life the trees it was created with.
    trees: Option<Vec<String>>,
    /// Names of SM2 keys of the keystore.
    signers: Vec<String>,
}

/// The file, of which the other parts are not looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    ledger: LedgerSettings,
}

impl LedgerSettings {
    /// Those of a home; the usual ones when it has no file.
    ///
    /// # Errors
    /// [`AuditError::Settings`].
    pub fn of(home: &Path) -> Result<Self, AuditError> {
        let path = home.join(CONFIG);
        let bad = |why: String| AuditError::Settings { path: path.clone(), why };
        let file = match std::fs::File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file.map_err(|e| AuditError::io("read", &path, e))?,
        };
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, MAX_FILE), &mut text)
            .map_err(|e| AuditError::io("read", &path, e))?;
        let file: File = toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))?;
        file.ledger.check().map_err(bad)?;
        Ok(file.ledger)
    }

    /// That every value has its form.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&self) -> Result<(), String> {
        if self.signers.len() > MAX_SIGNERS {
            return Err(format!("[ledger] names more than {MAX_SIGNERS} signers"));
        }
        self.trees().map(|_| ())
    }

    /// The trees that it asks for; nothing when it asks for none.
    pub(crate) fn trees(&self) -> Result<Option<Trees>, String> {
        let Some(names) = &self.trees else { return Ok(None) };
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["sha256"] => Ok(Some(Trees::Sha256)),
            ["sha256", "sm3"] => Ok(Some(Trees::Both)),
            _ => Err("[ledger] `trees` is [\"sha256\"] or [\"sha256\", \"sm3\"]".into()),
        }
    }

    /// That the ledger has the trees that the file asks for. One that was put back from a backup may have one more.
    pub(crate) fn check_trees(&self, home: &Path, has_sm3: bool) -> Result<(), AuditError> {
        let asked = self.trees().ok().flatten();
        if has_sm3 || asked != Some(Trees::Both) {
            return Ok(());
        }
        let why = "this ledger was created with SHA-256 alone, and keeps its trees for its life".to_owned();
        Err(AuditError::Settings { path: home.join(CONFIG), why })
    }

    /// The keys that sign beside the log's own, under its name.
    pub(crate) fn signers(&self, home: &Path, origin: &str) -> Result<Vec<Sm2NoteSigner>, AuditError> {
        let keys = Keystore::open(home.join("keys"));
        let signer = |name: &String| {
            let key = keys.signer(name).map_err(|e| unusable(home, name, e))?;
            Sm2NoteSigner::new(origin, key).map_err(|source| not_sm2(home, name, source))
        };
        self.signers.iter().map(signer).collect()
    }

    /// Their public halves, by the names of the keys.
    ///
    /// # Errors
    /// [`AuditError::Key`] when one is not there, or not of SM2.
    pub fn verifiers(&self, home: &Path, origin: &str) -> Result<Vec<(String, Sm2NoteVerifier)>, AuditError> {
        let keys = Keystore::open(home.join("keys"));
        let verifier = |name: &String| {
            let key = keys.verifier(name).map_err(|e| unusable(home, name, e))?;
            let found = sm2(&key).and_then(|key| Sm2NoteVerifier::new(origin, key));
            Ok((name.clone(), found.map_err(|source| not_sm2(home, name, source))?))
        };
        self.signers.iter().map(verifier).collect()
    }
}

fn sm2(key: &PublicKey) -> Result<Sm2Verifier, SigningError> {
    Sm2Verifier::from_spki_der(key.to_spki_der())
}

fn unusable(home: &Path, name: &str, error: KeystoreError) -> AuditError {
    let why = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let why = why.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let source = SigningError::KeyUnavailable { key: name.to_owned(), why };
    AuditError::Key { path: home.join("keys"), source }
}

fn not_sm2(home: &Path, name: &str, source: SigningError) -> AuditError {
    let why = format!("checkpoints are signed beside the log's key with SM2 only: {source}");
    AuditError::Key {
        path: home.join("keys"),
        source: SigningError::KeyUnavailable { key: name.to_owned(), why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<LedgerSettings, AuditError> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(CONFIG), text).unwrap();
        LedgerSettings::of(home.path())
    }

    #[test]
    fn the_other_parts_of_the_file_are_not_looked_at() {
        assert_eq!(of("version = 1\n[seal]\nkey = \"x\"").unwrap(), LedgerSettings::default());
        let both = of("[ledger]\ntrees = [\"sha256\", \"sm3\"]\nsigners = [\"national\"]").unwrap();
        both.check_trees(Path::new("/h"), true).unwrap();
        assert!(matches!(both.check_trees(Path::new("/h"), false), Err(AuditError::Settings { .. })));
        for bad in ["[ledger]\ntrees = [\"sm3\"]", "[ledger]\nother = 1", "[ledger]\nsigners = \"x\"", "["] {
            assert!(matches!(of(bad), Err(AuditError::Settings { .. })), "{bad}");
        }
    }
}
