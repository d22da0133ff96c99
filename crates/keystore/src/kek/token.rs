//! A key-encryption key in a PKCS #11 token: made there, never given away, and destroyed there.
//!
//! Each epoch is a secret key of its own (AES-256, sensitive, not extractable) under the label `<object>-<epoch>`. It
//! closes the key of the vault, which is SM4's, in AES-GCM: initial vector (12) ‖ ciphertext ‖ tag (16). PKCS #11 v2.40.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::{KeyEncryptionKey, WRAPPED_KEY};
use crate::KeystoreError;
use crate::files::{self, Access};

/// What is wrapped is bound to its use and its epoch.
const CONTEXT: &[u8] = b"custody-kek-v1";
const IV: u32 = 12;
const TAG_BITS: u64 = 128;

/// Where on which token the keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenPlace {
    /// The library of the token.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// Labels of the keys begin with this.
    pub object: String,
    /// The file that holds the PIN, owner-only.
    pub pin_file: PathBuf,
}

/// The keys under a label on a token. The token is opened when it is first needed, and stays open.
pub struct KekToken {
    at: TokenPlace,
    open: Mutex<Option<Open>>,
}

struct Open {
    session: Session,
    // The library must outlive the session: fields are dropped in order.
    _library: Pkcs11,
}

fn failed(action: &'static str) -> impl FnOnce(Error) -> KeystoreError {
    move |source| KeystoreError::Token { action, source: Box::new(source) }
}

impl KekToken {
    /// The keys at a place. Nothing is touched.
    #[must_use]
    pub fn new(at: TokenPlace) -> Self {
        Self { at, open: Mutex::default() }
    }

    fn connect(&self) -> Result<Open, KeystoreError> {
        let library = Pkcs11::new(&self.at.module).map_err(failed("load the library of"))?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another part of this process uses the same library.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed("start the library of")(error)),
        }
        let slots = library.get_slots_with_initialized_token().map_err(failed("list"))?;
        let is = |slot: &cryptoki::slot::Slot| {
            library.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == self.at.token)
        };
        let mut found = slots.into_iter().filter(is);
        let (Some(slot), None) = (found.next(), found.next()) else {
            return Err(KeystoreError::NotFound { key: format!("on one token `{}`", self.at.token) });
        };
        let session = library.open_rw_session(slot).map_err(failed("open a session with"))?;
        let pin = files::read(&self.at.pin_file, Access::Owner)?;
        let pin = pin.ok_or_else(|| KeystoreError::NotFound {
            key: format!("without its PIN at {}", self.at.pin_file.display()),
        })?;
        let pin = AuthPin::new(pin.trim_end_matches(['\r', '\n']).into());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(failed("log in to")(error)),
        }
        Ok(Open { session, _library: library })
    }

    /// Does something in the session.
    fn with<T>(&self, act: impl FnOnce(&Session) -> Result<T, KeystoreError>) -> Result<T, KeystoreError> {
        let mut open: MutexGuard<'_, Option<Open>> = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match open.take() {
            Some(now) => now,
            None => self.connect()?,
        };
        let done = act(&now.session);
        *open = Some(now);
        done
    }

    /// Every secret key of this label, by epoch.
    fn found(&self, session: &Session) -> Result<Vec<(u64, ObjectHandle)>, KeystoreError> {
        let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)];
        let mut found = Vec::new();
        for handle in session.find_objects(&template).map_err(failed("look for keys on"))? {
            let wanted = [AttributeType::Label];
            let attributes = session.get_attributes(handle, &wanted).map_err(failed("read a label on"))?;
            for attribute in attributes {
                let Attribute::Label(label) = attribute else { continue };
                let label = String::from_utf8(label).unwrap_or_default(); // another tool's label is none of ours
                let epoch = label.strip_prefix(&self.at.object).and_then(|rest| rest.strip_prefix('-'));
                found.extend(epoch.and_then(|epoch| epoch.parse().ok()).map(|epoch| (epoch, handle)));
            }
        }
        found.sort_by_key(|(epoch, _)| *epoch);
        Ok(found)
    }

    fn key(&self, session: &Session, epoch: u64) -> Result<ObjectHandle, KeystoreError> {
        let found = self.found(session)?.into_iter().find(|(known, _)| *known == epoch);
        found.map(|(_, handle)| handle).ok_or_else(|| self.missing(epoch))
    }

    fn missing(&self, epoch: u64) -> KeystoreError {
        KeystoreError::NotFound { key: format!("of epoch {epoch}, {}", self.place()) }
    }
}

fn bound(epoch: u64) -> Vec<u8> {
    [CONTEXT, &epoch.to_be_bytes()].concat()
}

impl KeyEncryptionKey for KekToken {
    fn place(&self) -> String {
        format!("`{}` on token `{}`", self.at.object, self.at.token)
    }

    fn in_token(&self) -> bool {
        true
    }

    fn epochs(&self) -> Result<Vec<u64>, KeystoreError> {
        self.with(|session| Ok(self.found(session)?.into_iter().map(|(epoch, _)| epoch).collect()))
    }

    fn add(&self, epoch: u64) -> Result<(), KeystoreError> {
        self.with(|session| {
            if self.found(session)?.last().is_some_and(|(last, _)| *last >= epoch) {
                return Err(KeystoreError::Exists { what: format!("epoch {epoch}, {}", self.place()) });
            }
            let template = [
                Attribute::Label(format!("{}-{epoch}", self.at.object).into_bytes()),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
                Attribute::ValueLen(32.into()),
            ];
            session.generate_key(&Mechanism::AesKeyGen, &template).map_err(failed("make a key on"))?;
            Ok(())
        })
    }

    fn wrap(&self, epoch: u64, key: &[u8; WRAPPED_KEY]) -> Result<Vec<u8>, KeystoreError> {
        self.with(|session| {
            let handle = self.key(session, epoch)?;
            let iv = session.generate_random_vec(IV).map_err(failed("draw an initial vector on"))?;
            let (mut vector, context) = (iv.clone(), bound(epoch));
            let parameters = GcmParams::new(&mut vector, &context, TAG_BITS.into());
            let mechanism = Mechanism::AesGcm(parameters.map_err(failed("wrap a key on"))?);
            let sealed = session.encrypt(&mechanism, handle, key).map_err(failed("wrap a key on"))?;
            Ok([iv, sealed].concat())
        })
    }

    fn unwrap(&self, epoch: u64, wrapped: &[u8]) -> Result<Zeroizing<[u8; WRAPPED_KEY]>, KeystoreError> {
        let refused = || KeystoreError::Wrapped { place: self.place(), epoch };
        self.with(|session| {
            let handle = self.key(session, epoch)?;
            let (iv, sealed) = wrapped.split_at_checked(IV as usize).ok_or_else(refused)?;
            let (mut vector, context) = (iv.to_vec(), bound(epoch));
            let parameters = GcmParams::new(&mut vector, &context, TAG_BITS.into());
            let mechanism = Mechanism::AesGcm(parameters.map_err(failed("unwrap a key on"))?);
            let opened = Zeroizing::new(session.decrypt(&mechanism, handle, sealed).map_err(|_| refused())?);
            opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| refused())
        })
    }

    fn keep_only(&self, epoch: u64) -> Result<(), KeystoreError> {
        self.with(|session| {
            let found = self.found(session)?;
            if !found.iter().any(|(known, _)| *known == epoch) {
                return Err(self.missing(epoch));
            }
            let others = found.into_iter().filter(|(known, _)| *known != epoch);
            others.map(|(_, handle)| handle).try_for_each(|handle| {
                session.destroy_object(handle).map_err(failed("destroy an old key on"))
            })
        })
    }
}
