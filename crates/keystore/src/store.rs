//! Own keys: made, used, rotated.
//!
//! Order of a rotation: the old public half is kept under its retired name, then the new private key takes the
//! place of the old one in one rename, then the public half follows. A crash between any two steps is finished by
//! the next [`Keystore::signer`]: the private key is the truth, and the stale public half is recognised by its
//! retired copy.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::{Algorithm, KeyId, PublicKey, Signer, Verifier as _, keys};

use crate::files::{self, Access, Existing};
use crate::{KeyName, KeystoreError};

/// The folder of own keys.
#[derive(Clone, Debug)]
pub struct Keystore {
    dir: PathBuf,
}

/// An own key that signs.
#[derive(Clone, Debug)]
pub struct OwnKey {
    /// Its name.
    pub name: KeyName,
    /// Its id.
    pub key_id: KeyId,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// When it was made; `None` when nothing beside the key says so.
    pub created: Option<Timestamp>,
    /// Its public half.
    pub verifier: PublicKey,
}

/// A key that was rotated away. It verifies, and cannot sign: its private half is gone.
#[derive(Clone, Debug)]
pub struct RetiredKey {
    /// The name under which it signed.
    pub name: KeyName,
    /// Its id.
    pub key_id: KeyId,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was rotated away.
    pub retired: Option<Timestamp>,
    /// Its public half.
    pub verifier: PublicKey,
}

/// What a rotation did.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The name that both keys share.
    pub name: KeyName,
    /// The key that signed until now.
    pub old: KeyId,
    /// The key that signs from now on.
    pub new: KeyId,
    /// When.
    pub at: Timestamp,
}

/// What stands beside a key.
#[derive(Serialize, Deserialize)]
struct Facts {
    key_id: KeyId,
    algorithm: Algorithm,
    created: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<Timestamp>,
}

impl Keystore {
    /// The store in `dir`. Nothing is touched: the folder is made with the first key.
    #[must_use]
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeystoreError::Exists`] when there is a key of that name, [`KeystoreError::Signing`] for an algorithm whose
    /// keys are not made here, and what the file system says.
    pub fn create(&self, name: &str, algorithm: Algorithm) -> Result<Box<dyn Signer>, KeystoreError> {
        let name = KeyName::new(name)?;
        self.check_new(&name)?;
        let (signer, pem) = keys::generate(algorithm)?;
        files::make_private_dir(&self.dir)?;
        files::write(&self.private_file(&name), pem.as_bytes(), Access::Owner, Existing::Refuse)?;
        self.write_public(&name, &PublicKey::of(signer.as_ref())?, Timestamp::now())?;
        Ok(signer)
    }

    /// The key that signs as `name`.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`], [`KeystoreError::ReadableByOthers`], [`KeystoreError::Malformed`], and
    /// [`KeystoreError::HalvesDiffer`] when the public file beside it belongs to another key.
    pub fn signer(&self, name: &str) -> Result<Box<dyn Signer>, KeystoreError> {
        let name = KeyName::new(name)?;
        let path = self.private_file(&name);
        let pem = files::read(&path, Access::Owner)?.ok_or_else(|| not_found(&name))?;
        let signer = keys::signer_from_pem(&pem).map_err(|e| KeystoreError::malformed(&path, e))?;
        self.reconcile(&name, signer.as_ref())?;
        Ok(signer)
    }

    /// The public half of the key that signs as `name`.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`] and [`KeystoreError::Malformed`].
    pub fn verifier(&self, name: &str) -> Result<PublicKey, KeystoreError> {
        let name = KeyName::new(name)?;
        read_public(&self.public_file(&name))?.ok_or_else(|| not_found(&name))
    }

    /// The keys that sign, by name.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn list(&self) -> Result<Vec<OwnKey>, KeystoreError> {
        files::names(&self.dir)?.iter().filter_map(|file| own_name(file)).map(|name| self.own(name)).collect()
    }

    /// The keys that were rotated away, by name and date.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn retired(&self) -> Result<Vec<RetiredKey>, KeystoreError> {
        let mut keys = Vec::new();
        for file in files::names(&self.dir)? {
            if let Some((name, stem)) = retired_name(&file) {
                keys.extend(self.retired_key(name, stem)?);
            }
        }
        Ok(keys)
    }

    /// Replaces the key by a new one of the same algorithm. The old public half stays; the old private half is destroyed.
    ///
    /// # Errors
    /// As [`Keystore::signer`], and what the file system says.
    pub fn rotate(&self, name: &str) -> Result<Rotation, KeystoreError> {
        let old = self.signer(name)?;
        let name = KeyName::new(name)?;
        let at = Timestamp::now();
        self.keep_retired(&name, old.as_ref(), at)?;
        let (new, pem) = keys::generate(old.algorithm())?;
        files::write(&self.private_file(&name), pem.as_bytes(), Access::Owner, Existing::Replace)?;
        self.write_public(&name, &PublicKey::of(new.as_ref())?, at)?;
        Ok(Rotation { name, old: old.key_id(), new: new.key_id(), at })
    }

    pub(crate) fn check_new(&self, name: &KeyName) -> Result<(), KeystoreError> {
        if self.private_file(name).exists() || self.public_file(name).exists() {
            return Err(KeystoreError::Exists { what: format!("key `{name}`") });
        }
        Ok(())
    }

    /// Where the public half of a key stands.
    #[must_use]
    pub fn public_file(&self, name: &KeyName) -> PathBuf {
        self.dir.join(format!("{name}.pub.pem"))
    }

    fn private_file(&self, name: &KeyName) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    fn facts_file(&self, name: &KeyName) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn write_public(&self, name: &KeyName, key: &PublicKey, created: Timestamp) -> Result<(), KeystoreError> {
        let pem = key.to_spki_pem()?;
        files::write(&self.public_file(name), pem.as_bytes(), Access::Everyone, Existing::Replace)?;
        let facts =
            Facts { key_id: key.key_id(), algorithm: key.algorithm(), created: Some(created), retired: None };
        files::write_json(&self.facts_file(name), &facts, Existing::Replace)
    }

    fn keep_retired(&self, name: &KeyName, old: &dyn Signer, at: Timestamp) -> Result<(), KeystoreError> {
        let key_id = old.key_id();
        let created = facts_of(&self.facts_file(name), &key_id)?.and_then(|f| f.created);
        let stem = format!("{name}.{}.{}.retired", at.strftime("%Y%m%dT%H%M%SZ"), &key_id.as_str()[..8]);
        let facts = Facts { key_id, algorithm: old.algorithm(), created, retired: Some(at) };
        files::write_json(&self.dir.join(format!("{stem}.json")), &facts, Existing::Replace)?;
        let pem = PublicKey::of(old)?.to_spki_pem()?;
        let path = self.dir.join(format!("{stem}.pub.pem"));
        files::write(&path, pem.as_bytes(), Access::Everyone, Existing::Replace)
    }

    /// Finishes what a crash interrupted: a missing public half (creation), or that of a key whose retired copy
    /// is there (rotation). Any other difference is somebody's doing, and is refused.
    fn reconcile(&self, name: &KeyName, signer: &dyn Signer) -> Result<(), KeystoreError> {
        let path = self.public_file(name);
        let wanted = PublicKey::of(signer)?;
        match read_public(&path)? {
            Some(found) if found == wanted => Ok(()),
            Some(found) if !self.is_retired(name, &found)? => {
                Err(KeystoreError::HalvesDiffer { private: self.private_file(name), public: path })
            }
            _ => self.write_public(name, &wanted, Timestamp::now()),
        }
    }

    fn is_retired(&self, name: &KeyName, key: &PublicKey) -> Result<bool, KeystoreError> {
        for file in files::names(&self.dir)? {
            let copy = retired_name(&file).filter(|(owner, _)| owner == name);
            if copy.is_some() && read_public(&self.dir.join(&file))?.as_ref() == Some(key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn own(&self, name: KeyName) -> Result<OwnKey, KeystoreError> {
        let verifier = self.verifier(name.as_str())?;
        let key_id = verifier.key_id();
        let created = facts_of(&self.facts_file(&name), &key_id)?.and_then(|f| f.created);
        Ok(OwnKey { name, key_id, algorithm: verifier.algorithm(), created, verifier })
    }

    /// `None` for the copy that an interrupted rotation left of a key that still signs.
    fn retired_key(&self, name: KeyName, stem: &str) -> Result<Option<RetiredKey>, KeystoreError> {
        let Some(verifier) = read_public(&self.dir.join(format!("{stem}.pub.pem")))? else { return Ok(None) };
        if read_public(&self.public_file(&name))?.as_ref() == Some(&verifier) {
            return Ok(None);
        }
        let key_id = verifier.key_id();
        let facts = facts_of(&self.dir.join(format!("{stem}.json")), &key_id)?;
        let (created, retired) = facts.map_or((None, None), |f| (f.created, f.retired));
        Ok(Some(RetiredKey { name, key_id, created, retired, verifier }))
    }
}

/// The facts in a file, if they are about this key.
fn facts_of(path: &Path, key: &KeyId) -> Result<Option<Facts>, KeystoreError> {
    Ok(files::read_json::<Facts>(path)?.filter(|facts| facts.key_id == *key))
}

fn not_found(name: &KeyName) -> KeystoreError {
    KeystoreError::NotFound { key: format!("`{name}`") }
}

/// Reads a public key; `None` when there is no such file.
pub(crate) fn read_public(path: &Path) -> Result<Option<PublicKey>, KeystoreError> {
    let Some(pem) = files::read(path, Access::Everyone)? else { return Ok(None) };
    PublicKey::from_spki_pem(&pem).map(Some).map_err(|e| KeystoreError::malformed(path, e))
}

/// `release` of `release.pub.pem`.
pub(crate) fn own_name(file: &str) -> Option<KeyName> {
    KeyName::new(file.strip_suffix(".pub.pem")?).ok()
}

/// `release` and the whole stem of `release.20261121T044500Z.9f2c71ab.retired.pub.pem`.
pub(crate) fn retired_name(file: &str) -> Option<(KeyName, &str)> {
    let stem = file.strip_suffix(".pub.pem")?;
    let mut parts = stem.strip_suffix(".retired")?.rsplitn(3, '.');
    let (id, date, name) = (parts.next()?, parts.next()?, parts.next()?);
    let dated = date.len() == 16 && id.len() == 8;
    KeyName::new(name).ok().filter(|_| dated).map(|name| (name, stem))
}
