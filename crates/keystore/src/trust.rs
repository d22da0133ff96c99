//! Whom to trust: other people's public keys, and the keys that nobody should believe any more.
//!
//! A revocation is a file of its own, named by the key's id and written once: two writers cannot lose each other's,
//! and a record that cannot be read still revokes.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::{KeyId, PublicKey, Verifier as _};

use crate::files::{self, Access, Existing};
use crate::name::is_key_id;
use crate::store::{own_name, read_public};
use crate::{KeyName, KeystoreError};

/// The folder of trusted and revoked keys.
#[derive(Clone, Debug)]
pub struct TrustStore {
    dir: PathBuf,
}

/// Somebody else's key.
#[derive(Clone, Debug)]
pub struct TrustedKey {
    /// What we call it.
    pub name: KeyName,
    /// Its id.
    pub key_id: KeyId,
    /// Since when we trust it; `None` when nothing beside the key says so.
    pub trusted: Option<Timestamp>,
    /// The key.
    pub verifier: PublicKey,
}

/// A key that is not believed any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revocation {
    /// Its id.
    pub key_id: KeyId,
    /// The name that it had here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was revoked.
    pub revoked: Timestamp,
    /// Why.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Facts {
    key_id: KeyId,
    trusted: Timestamp,
}

impl TrustStore {
    /// The store in `dir`. Nothing is touched: the folder is made with the first key.
    #[must_use]
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Trusts a public key under a name.
    ///
    /// # Errors
    /// [`KeystoreError::Exists`] when the name or the key is there already, [`KeystoreError::Revoked`] when the key
    /// was revoked.
    pub fn trust(&self, name: &str, verifier: &PublicKey) -> Result<TrustedKey, KeystoreError> {
        let name = KeyName::new(name)?;
        let key_id = verifier.key_id();
        self.refuse_revoked(&key_id)?;
        if let Some(known) = self.list()?.into_iter().find(|k| k.key_id == key_id) {
            return Err(KeystoreError::Exists {
                what: format!("key {key_id} (trusted as `{}`)", known.name),
            });
        }
        if self.key_file(&name).exists() {
            return Err(KeystoreError::Exists { what: format!("a trusted key `{name}`") });
        }
        files::make_private_dir(&self.dir)?;
        let trusted = Timestamp::now();
        let facts = Facts { key_id: key_id.clone(), trusted };
        files::write_json(&self.facts_file(&name), &facts, Existing::Replace)?;
        let pem = verifier.to_spki_pem()?;
        files::write(&self.key_file(&name), pem.as_bytes(), Access::Everyone, Existing::Refuse)?;
        Ok(TrustedKey { name, key_id, trusted: Some(trusted), verifier: verifier.clone() })
    }

    pub(crate) fn check(&self, name: &KeyName, key_id: &KeyId) -> Result<(), KeystoreError> {
        self.refuse_revoked(key_id)?;
        if let Some(known) = self.list()?.into_iter().find(|k| k.key_id == *key_id) {
            return Err(KeystoreError::Exists {
                what: format!("key {key_id} (trusted as `{}`)", known.name),
            });
        }
        if self.key_file(name).exists() {
            return Err(KeystoreError::Exists { what: format!("a trusted key `{name}`") });
        }
        Ok(())
    }

    /// Revokes a key, known or not. Its public half stays where it is, so that its name can still be shown.
    ///
    /// # Errors
    /// [`KeystoreError::Revoked`] when it is revoked already: the first reason and date stand.
    pub fn revoke(&self, key: &KeyId, name: Option<&str>, reason: &str) -> Result<Revocation, KeystoreError> {
        self.refuse_revoked(key)?;
        let dir = self.revoked_dir();
        files::make_private_dir(&dir)?;
        let record = Revocation {
            key_id: key.clone(),
            name: name.map(str::to_owned),
            revoked: Timestamp::now(),
            reason: reason.to_owned(),
        };
        files::write_json(&dir.join(format!("{key}.json")), &record, Existing::Refuse)?;
        Ok(record)
    }

    /// The revocation of a key, if there is one. A record that cannot be understood revokes all the same.
    ///
    /// # Errors
    /// When the file system does not let us look.
    pub fn revocation(&self, key: &KeyId) -> Result<Option<Revocation>, KeystoreError> {
        let path = self.revoked_dir().join(format!("{key}.json"));
        match files::read_json::<Revocation>(&path) {
            Ok(Some(found)) if found.key_id == *key => Ok(Some(found)),
            Ok(Some(_)) | Err(KeystoreError::Malformed { .. }) => Ok(Some(unreadable(key))),
            other => other,
        }
    }

    /// All revocations, by key id.
    ///
    /// # Errors
    /// When the file system does not let us look.
    pub fn revocations(&self) -> Result<Vec<Revocation>, KeystoreError> {
        let mut found = Vec::new();
        for file in files::names(&self.revoked_dir())? {
            let id = file.strip_suffix(".json").filter(|id| is_key_id(id));
            if let Some(id) = id.and_then(|id| KeyId::parse(id).ok()) {
                found.extend(self.revocation(&id)?);
            }
        }
        Ok(found)
    }

    /// The trusted keys, by name, **revoked ones included**; see [`TrustStore::verifiers`].
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn list(&self) -> Result<Vec<TrustedKey>, KeystoreError> {
        files::names(&self.dir)?.iter().filter_map(|file| own_name(file)).map(|name| self.key(name)).collect()
    }

    /// The trusted keys that are not revoked.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn verifiers(&self) -> Result<Vec<TrustedKey>, KeystoreError> {
        let mut keys = Vec::new();
        for key in self.list()? {
            if self.revocation(&key.key_id)?.is_none() {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    pub(crate) fn refuse_revoked(&self, key: &KeyId) -> Result<(), KeystoreError> {
        match self.revocation(key)? {
            Some(r) => Err(KeystoreError::Revoked { key: key.to_string(), at: r.revoked, reason: r.reason }),
            None => Ok(()),
        }
    }

    fn key(&self, name: KeyName) -> Result<TrustedKey, KeystoreError> {
        let path = self.key_file(&name);
        let verifier =
            read_public(&path)?.ok_or_else(|| KeystoreError::NotFound { key: format!("`{name}`") })?;
        let key_id = verifier.key_id();
        let trusted = self.facts(&name, &key_id)?;
        Ok(TrustedKey { name, key_id, trusted, verifier })
    }

    fn facts(&self, name: &KeyName, key: &KeyId) -> Result<Option<Timestamp>, KeystoreError> {
        let facts = files::read_json::<Facts>(&self.facts_file(name))?;
        Ok(facts.filter(|facts| facts.key_id == *key).map(|facts| facts.trusted))
    }

    fn key_file(&self, name: &KeyName) -> PathBuf {
        self.dir.join(format!("{name}.pub.pem"))
    }

    fn facts_file(&self, name: &KeyName) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn revoked_dir(&self) -> PathBuf {
        self.dir.join("revoked")
    }
}

/// Reads a public key from a file that somebody handed over.
///
/// # Errors
/// [`KeystoreError::NotFound`] and [`KeystoreError::Malformed`].
pub fn read_public_key(path: &Path) -> Result<PublicKey, KeystoreError> {
    read_public(path)?.ok_or_else(|| KeystoreError::NotFound { key: path.display().to_string() })
}

fn unreadable(key: &KeyId) -> Revocation {
    Revocation {
        key_id: key.clone(),
        name: None,
        revoked: Timestamp::UNIX_EPOCH,
        reason: "its record cannot be read".to_owned(),
    }
}
