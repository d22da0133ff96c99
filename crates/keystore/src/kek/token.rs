//! A key-encryption key in a PKCS #11 token: made there, never given away, and destroyed there.
//!
//! Each epoch is a secret key of its own (AES-256, not extractable) under the label `<object>-<epoch>`. AES closes the
//! key of the vault, and that key is SM4's: the hybrid that the policy's table speaks of.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use zeroize::Zeroizing;

use super::{KeyEncryptionKey, WRAPPED_KEY};
use crate::KeystoreError;
use crate::files::{self, Access};
use crate::pkcs11::{Token, Uri, WrappingKey, failed};

/// What is wrapped is bound to its use and its epoch.
const CONTEXT: &str = "custody-kek-v1";

/// The keys under a label on a token. The token is opened when it is first needed.
pub struct KekToken {
    uri: Uri,
    label: String,
    module: Option<PathBuf>,
    token: Mutex<Option<Arc<Token>>>,
}

impl KekToken {
    /// The keys that `uri` names by token and object; the PIN is read from the file of its `pin-source`.
    ///
    /// # Errors
    /// [`KeystoreError::Uri`] when it names no object.
    pub fn new(uri: &str, module: Option<&Path>) -> Result<Self, KeystoreError> {
        let uri = Uri::parse(uri)?;
        let label = uri.object.clone();
        let label = label.ok_or_else(|| KeystoreError::Uri { why: "it names no `object`".into() })?;
        Ok(Self { uri, label, module: module.map(Path::to_owned), token: Mutex::default() })
    }

    fn token(&self) -> Result<Arc<Token>, KeystoreError> {
        let mut open = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*open {
            return Ok(Arc::clone(token));
        }
        let pin = match &self.uri.pin_source {
            None => None,
            Some(path) => files::read(path, Access::Owner)?,
        };
        let pin = pin.as_ref().map(|pin| pin.trim_end_matches(['\r', '\n']));
        let token = Arc::new(Token::open(&self.uri, self.module.as_deref(), pin)?);
        *open = Some(Arc::clone(&token));
        Ok(token)
    }

    fn of(&self, epoch: u64) -> Uri {
        Uri { object: Some(format!("{}-{epoch}", self.label)), id: None, ..self.uri.clone() }
    }

    fn key(&self, epoch: u64) -> Result<WrappingKey, KeystoreError> {
        WrappingKey::open(self.token()?, &self.of(epoch))
    }

    /// Every secret key of this label, by epoch.
    fn found(&self, token: &Token) -> Result<Vec<(u64, ObjectHandle)>, KeystoreError> {
        let session = token.session();
        let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)];
        let mut found = Vec::new();
        for handle in session.find_objects(&template).map_err(failed("look for the key"))? {
            let attributes =
                session.get_attributes(handle, &[AttributeType::Label]).map_err(failed("read a label"))?;
            for attribute in attributes {
                let Attribute::Label(label) = attribute else { continue };
                let label = String::from_utf8(label).unwrap_or_default();
                let epoch = label.strip_prefix(&self.label).and_then(|rest| rest.strip_prefix('-'));
                found.extend(epoch.and_then(|epoch| epoch.parse().ok()).map(|epoch| (epoch, handle)));
            }
        }
        found.sort_by_key(|(epoch, _)| *epoch);
        Ok(found)
    }
}

fn bound(epoch: u64) -> Vec<u8> {
    [CONTEXT.as_bytes(), &epoch.to_be_bytes()].concat()
}

impl KeyEncryptionKey for KekToken {
    fn place(&self) -> String {
        format!("token key {}", self.uri.describe())
    }

    fn in_token(&self) -> bool {
        true
    }

    fn epochs(&self) -> Result<Vec<u64>, KeystoreError> {
        Ok(self.found(&*self.token()?)?.into_iter().map(|(epoch, _)| epoch).collect())
    }

    fn add(&self, epoch: u64) -> Result<(), KeystoreError> {
        if self.epochs()?.last().is_some_and(|last| *last >= epoch) {
            return Err(KeystoreError::Exists { what: format!("epoch {epoch} of {}", self.place()) });
        }
        WrappingKey::generate(self.token()?, &self.of(epoch)).map(drop)
    }

    fn wrap(&self, epoch: u64, key: &[u8; WRAPPED_KEY]) -> Result<Vec<u8>, KeystoreError> {
        self.key(epoch)?.wrap(key, &bound(epoch))
    }

    fn unwrap(&self, epoch: u64, wrapped: &[u8]) -> Result<Zeroizing<[u8; WRAPPED_KEY]>, KeystoreError> {
        let refused = || KeystoreError::Wrapped { place: self.place(), epoch };
        let opened = self.key(epoch)?.unwrap(wrapped, &bound(epoch)).map_err(|_| refused())?;
        opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| refused())
    }

    fn keep_only(&self, epoch: u64) -> Result<(), KeystoreError> {
        let token = self.token()?;
        let found = self.found(&token)?;
        if !found.iter().any(|(known, _)| *known == epoch) {
            return Err(KeystoreError::NotFound { key: format!("of epoch {epoch} in {}", self.place()) });
        }
        let session = token.session();
        let others = found.into_iter().filter(|(known, _)| *known != epoch);
        others.map(|(_, handle)| handle).try_for_each(|handle| {
            session.destroy_object(handle).map_err(failed("destroy an old key-encryption key"))
        })
    }
}
