//! Own keys and trusted keys taken together: the one question a verifier has is whether a key counts.

use std::path::PathBuf;

use jiff::Timestamp;
use signing::{Algorithm, KeyId, PublicKey, Signer, Verifier};

use crate::name::is_key_id;
use crate::{KeyName, Keystore, KeystoreError, LOG_KEY, Revocation, Rotation, TrustStore, TrustedKey};

/// The keys of one home.
#[derive(Clone, Debug)]
pub struct Keyring {
    own: Keystore,
    trust: TrustStore,
}

/// Whose key it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Its private half is, or was, in this home.
    Own,
    /// It was imported.
    Trusted,
}

/// Whether a key counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Status {
    /// It counts.
    Active,
    /// It counts for what it signed; its private half was destroyed here at that time. That is no proof of when a
    /// signature was made: see the crate's head.
    Retired {
        /// When it was rotated away; `None` when the record beside it is missing.
        at: Option<Timestamp>,
    },
    /// It does not count, whenever it signed.
    Revoked(Revocation),
    /// Nobody here knows it.
    Unknown,
}

/// One key of the ring.
#[derive(Clone, Debug)]
pub struct RingKey {
    /// Its name.
    pub name: KeyName,
    /// Its id.
    pub key_id: KeyId,
    /// Whose it is.
    pub origin: Origin,
    /// Whether it counts.
    pub status: Status,
    /// When it was made (own) or trusted (imported).
    pub since: Option<Timestamp>,
    /// The key.
    pub verifier: PublicKey,
}

impl RingKey {
    fn is_log(&self) -> bool {
        self.origin == Origin::Own && self.name.as_str() == LOG_KEY
    }

    /// Whether its signatures are to be believed.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(self.status, Status::Active | Status::Retired { .. })
    }
}

impl Keyring {
    /// The keys in these two folders.
    #[must_use]
    pub fn open(keys: impl Into<PathBuf>, trust: impl Into<PathBuf>) -> Self {
        Self { own: Keystore::open(keys), trust: TrustStore::open(trust) }
    }

    /// Own keys alone.
    #[must_use]
    pub fn own(&self) -> &Keystore {
        &self.own
    }

    /// Trusted and revoked keys alone.
    #[must_use]
    pub fn trust_store(&self) -> &TrustStore {
        &self.trust
    }

    /// Whether [`Keyring::create`] would go through; nothing is touched.
    ///
    /// # Errors
    /// As [`Keyring::create`].
    pub fn check_new(&self, name: &str) -> Result<(), KeystoreError> {
        self.own.check_new(&KeyName::new(name)?)?;
        self.refuse_name(name, Origin::Trusted)
    }

    /// Makes an own key, under a name that nobody else has.
    ///
    /// # Errors
    /// As [`Keystore::create`].
    pub fn create(&self, name: &str, algorithm: Algorithm) -> Result<RingKey, KeystoreError> {
        self.check_new(name)?;
        let signer = self.own.create(name, algorithm)?;
        self.named(name, Origin::Own, &signer.key_id())
    }

    /// Trusts somebody else's key, under a name that no own key has.
    ///
    /// # Errors
    /// As [`TrustStore::trust`].
    pub fn trust(&self, name: &str, verifier: &PublicKey) -> Result<TrustedKey, KeystoreError> {
        self.check_trust(name, verifier)?;
        self.trust.trust(name, verifier)
    }

    /// Whether [`Keyring::trust`] would go through; nothing is touched.
    ///
    /// # Errors
    /// As [`Keyring::trust`].
    pub fn check_trust(&self, name: &str, verifier: &PublicKey) -> Result<(), KeystoreError> {
        self.refuse_name(name, Origin::Own)?;
        let id = verifier.key_id();
        if let Some(own) = self.keys()?.into_iter().find(|k| k.origin == Origin::Own && k.key_id == id) {
            return Err(KeystoreError::Exists { what: format!("key {id} (own key `{}`)", own.name) });
        }
        self.trust.check(&KeyName::new(name)?, &id)
    }

    /// The key that signs as `name`.
    ///
    /// # Errors
    /// As [`Keystore::signer`], and [`KeystoreError::Revoked`].
    pub fn signer(&self, name: &str) -> Result<Box<dyn Signer>, KeystoreError> {
        let signer = self.own.signer(name)?;
        self.trust.refuse_revoked(&signer.key_id())?;
        Ok(signer)
    }

    /// Replaces an own key. A revoked one too: that is how its name gets back to work.
    ///
    /// # Errors
    /// As [`Keystore::rotate`].
    pub fn rotate(&self, name: &str) -> Result<Rotation, KeystoreError> {
        self.own.rotate(name)
    }

    /// Revokes a key by its name (own or trusted, the one in use) or its id (any key in the world).
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`] for a name that no key has, [`KeystoreError::Revoked`] for one revoked before.
    pub fn revoke(&self, key: &str, reason: &str) -> Result<Revocation, KeystoreError> {
        let (id, name) = self.resolve(key)?;
        self.trust.revoke(&id, name.as_ref().map(KeyName::as_str), reason)
    }

    /// Whether [`Keyring::revoke`] would go through; nothing is touched.
    ///
    /// # Errors
    /// [`KeystoreError::Revoked`] for a key revoked before.
    pub fn check_revoke(&self, key: &KeyId) -> Result<(), KeystoreError> {
        self.trust.refuse_revoked(key)
    }

    /// The id that a name or an id stands for, and its name if it has one here.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`] for a name that no key has.
    pub fn resolve(&self, key: &str) -> Result<(KeyId, Option<KeyName>), KeystoreError> {
        let keys = self.keys()?;
        if is_key_id(key) {
            let id = KeyId::parse(key)?;
            let name = keys.into_iter().find(|k| k.key_id == id).map(|k| k.name);
            return Ok((id, name));
        }
        let current = |k: &&RingKey| k.name.as_str() == key && !matches!(k.status, Status::Retired { .. });
        let found = keys.iter().find(current).or_else(|| keys.iter().find(|k| k.name.as_str() == key));
        let found = found.ok_or_else(|| KeystoreError::NotFound { key: format!("`{key}`") })?;
        Ok((found.key_id.clone(), Some(found.name.clone())))
    }

    /// Every key, whatever its status: own, retired, trusted.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn keys(&self) -> Result<Vec<RingKey>, KeystoreError> {
        let own = self.own.list()?.into_iter().map(|k| RingKey {
            name: k.name,
            key_id: k.key_id,
            origin: Origin::Own,
            status: Status::Active,
            since: k.created,
            verifier: k.verifier,
        });
        let retired = self.own.retired()?.into_iter().map(|k| RingKey {
            name: k.name,
            key_id: k.key_id,
            origin: Origin::Own,
            status: Status::Retired { at: k.retired },
            since: k.created,
            verifier: k.verifier,
        });
        let trusted = self.trust.list()?.into_iter().map(|k| RingKey {
            name: k.name,
            key_id: k.key_id,
            origin: Origin::Trusted,
            status: Status::Active,
            since: k.trusted,
            verifier: k.verifier,
        });
        own.chain(retired).chain(trusted).map(|key| self.with_revocation(key)).collect()
    }

    /// The keys whose signatures count: own, retired and trusted, without the revoked, and without the ledger's own
    /// ([`LOG_KEY`]), which vouches for checkpoints and for nothing else.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn verifiers(&self) -> Result<Vec<RingKey>, KeystoreError> {
        Ok(self.keys()?.into_iter().filter(|key| key.counts() && !key.is_log()).collect())
    }

    /// Whether a key counts.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key.
    pub fn status(&self, key: &KeyId) -> Result<Status, KeystoreError> {
        if let Some(revocation) = self.trust.revocation(key)? {
            return Ok(Status::Revoked(revocation));
        }
        Ok(self.keys()?.into_iter().find(|k| k.key_id == *key).map_or(Status::Unknown, |k| k.status))
    }

    fn with_revocation(&self, mut key: RingKey) -> Result<RingKey, KeystoreError> {
        if let Some(revocation) = self.trust.revocation(&key.key_id)? {
            key.status = Status::Revoked(revocation);
        }
        Ok(key)
    }

    fn named(&self, name: &str, origin: Origin, id: &KeyId) -> Result<RingKey, KeystoreError> {
        let found = self.keys()?.into_iter().find(|k| k.origin == origin && k.key_id == *id);
        found.ok_or_else(|| KeystoreError::NotFound { key: format!("`{name}`") })
    }

    fn refuse_name(&self, name: &str, taken_by: Origin) -> Result<(), KeystoreError> {
        let taken = self.keys()?.into_iter().any(|k| k.origin == taken_by && k.name.as_str() == name);
        let whose = if taken_by == Origin::Own { "an own" } else { "a trusted" };
        if taken {
            return Err(KeystoreError::Exists { what: format!("{whose} key `{name}`") });
        }
        Ok(())
    }
}
