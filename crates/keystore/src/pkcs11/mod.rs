//! Keys that never leave a token: PKCS #11 (OASIS, version 2.40 and later).
//!
//! A [`Token`] is one logged-in session behind a lock, for signing keys and for keys that wrap others. Its PIN comes
//! from the caller, who read it from a file, a descriptor or a person; it is not kept.

mod generate;
mod signer;
mod uri;
mod wrap;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use pkix::{Certificate, Digest};

use crate::KeystoreError;

pub use generate::NewKey;
pub use signer::{KeyFacts, TokenSigner};
pub use uri::Uri;
pub use wrap::WrappingKey;

/// The environment variable that p11-kit's and OpenSC's own tools read for the library.
pub const MODULE_VARIABLE: &str = "PKCS11_MODULE";

/// A token with a session.
pub struct Token {
    session: Mutex<Session>,
    label: String,
    // The library must outlive the session.
    _library: Pkcs11,
}

/// An error of the token about what was attempted.
pub(crate) fn failed(action: &'static str) -> impl FnOnce(Error) -> KeystoreError {
    move |source| match source {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _) => {
            KeystoreError::Password { what: "token" }
        }
        source => KeystoreError::Token { action, source: Box::new(source) },
    }
}

impl Token {
    /// Opens the token that `uri` names and logs in. `module` comes before the URI's own `module-path`, that before
    /// [`MODULE_VARIABLE`].
    ///
    /// # Errors
    /// When there is no library, no such token or more than one, or the PIN is another.
    pub fn open(uri: &Uri, module: Option<&Path>, pin: Option<&str>) -> Result<Self, KeystoreError> {
        let library = load(&module_path(uri, module)?)?;
        let (slot, label) = find_slot(&library, uri)?;
        // A key can only be made in a session that may write.
        let session = library.open_rw_session(slot).map_err(failed("open a session"))?;
        if let Some(pin) = pin {
            match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
                Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) | Ok(()) => {}
                Err(error) => return Err(failed("log in")(error)),
            }
        }
        Ok(Self { session: Mutex::new(session), label, _library: library })
    }

    /// The token's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// A thread that panicked in the middle left no state here: the session is the token's.
    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every certificate on the token, with its `CKA_ID`. Objects that hold none are passed over.
    ///
    /// # Errors
    /// When the token does not let us look.
    pub fn certificates(&self) -> Result<Vec<(Vec<u8>, Certificate)>, KeystoreError> {
        let session = self.session();
        let found = session.find_objects(&[Attribute::Class(ObjectClass::CERTIFICATE)]);
        let mut out = Vec::new();
        for handle in found.map_err(failed("list certificates"))? {
            let wanted = [AttributeType::Id, AttributeType::Value];
            let attributes = session.get_attributes(handle, &wanted).map_err(failed("read a certificate"))?;
            let (mut id, mut value) = (Vec::new(), Vec::new());
            for attribute in attributes {
                match attribute {
                    Attribute::Id(bytes) => id = bytes,
                    Attribute::Value(bytes) => value = bytes,
                    _ => {}
                }
            }
            out.extend(Certificate::from_der(&value).ok().map(|certificate| (id, certificate)));
        }
        Ok(out)
    }

    /// The `CKA_ID` of the certificate with this SHA-1 or SHA-256 thumbprint, as Windows' tools name keys.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`] when there is none.
    pub fn id_of_thumbprint(&self, thumbprint: &str) -> Result<Vec<u8>, KeystoreError> {
        let wanted: String =
            thumbprint.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
        let is =
            |c: &Certificate| c.thumbprint(Digest::Sha1) == wanted || c.thumbprint(Digest::Sha256) == wanted;
        let found = self.certificates()?.into_iter().find(|(_, certificate)| is(certificate));
        found.map(|(id, _)| id).ok_or_else(|| KeystoreError::NotFound {
            key: format!("with a certificate {thumbprint} on token `{}`", self.label),
        })
    }

    /// The one object of a class that `uri` names by label or id.
    fn object(
        &self,
        session: &Session,
        class: ObjectClass,
        uri: &Uri,
    ) -> Result<ObjectHandle, KeystoreError> {
        let mut template = vec![Attribute::Class(class)];
        template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        template.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
        match session.find_objects(&template).map_err(failed("look for the key"))?.as_slice() {
            [one] => Ok(*one),
            [] => Err(KeystoreError::NotFound { key: uri.describe() }),
            many => {
                Err(KeystoreError::Uri { why: format!("it names {} keys; add `id` or `object`", many.len()) })
            }
        }
    }
}

fn module_path(uri: &Uri, module: Option<&Path>) -> Result<PathBuf, KeystoreError> {
    let variable = || std::env::var_os(MODULE_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
    module.map(Path::to_owned).or_else(|| uri.module.clone()).or_else(variable).ok_or_else(|| {
        KeystoreError::Uri {
            why: format!("no library: neither `module-path` nor {MODULE_VARIABLE} names one"),
        }
    })
}

fn load(path: &Path) -> Result<Pkcs11, KeystoreError> {
    let library = Pkcs11::new(path).map_err(failed("load the library"))?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Another part of this process uses the same library.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(library),
        Err(error) => Err(failed("start the library")(error)),
    }
}

fn find_slot(library: &Pkcs11, uri: &Uri) -> Result<(Slot, String), KeystoreError> {
    let mut found = Vec::new();
    for slot in library.get_slots_with_initialized_token().map_err(failed("list tokens"))? {
        let info = library.get_token_info(slot).map_err(failed("read a token"))?;
        let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has.trim_end());
        let fits = is(&uri.token, info.label())
            && is(&uri.serial, info.serial_number())
            && is(&uri.manufacturer, info.manufacturer_id())
            && is(&uri.model, info.model())
            && uri.slot.is_none_or(|wanted| wanted == slot.id());
        if fits {
            found.push((slot, info.label().trim_end().to_owned()));
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            Err(KeystoreError::NotFound { key: format!("on a token: there is no token {}", uri.describe()) })
        }
        n => Err(KeystoreError::Uri { why: format!("{n} tokens fit; add `token` or `serial`") }),
    }
}
