//! SM2 with a key that never leaves the device (GM/T 0018 §6.4: internal signature, export of the public half).

use std::path::Path;
use std::sync::Mutex;

use gm::sm2::{DEFAULT_ID, PublicKey, Signature};
use signing::{Algorithm, KeyId, Signer, SigningError, Sm2Verifier, Verifier as _};

use super::{Library, Session, lock};
use crate::DeviceError;

/// A signing key of the device.
pub struct SdfSigner {
    session: Mutex<Session>,
    index: u32,
    key: PublicKey,
    public: Sm2Verifier,
}

impl SdfSigner {
    /// The key `index` of the device behind the library; `password` opens it where the device wants one.
    ///
    /// # Errors
    /// When the library or the key cannot be used, or the password is another.
    pub fn open(library: &Path, index: u32, password: Option<&[u8]>) -> Result<Self, DeviceError> {
        let library = Library::load(library)?;
        let session = Session::open(&library)?;
        if let Some(password) = password {
            session.functions().unlock(session.handle, index, password)?;
        }
        let point = session.functions().public_key(session.handle, index)?;
        let wrong = |_| DeviceError::Malformed("its public key is no point of the curve");
        let key = PublicKey::from_sec1(&point).map_err(wrong)?;
        let public = Sm2Verifier::from_spki_der(&key.to_spki_der())
            .map_err(|_| DeviceError::Malformed("its public key is not usable"))?;
        Ok(Self { session: Mutex::new(session), index, key, public })
    }

    /// The verifier of this key's signatures.
    #[must_use]
    pub fn verifier(&self) -> Sm2Verifier {
        self.public.clone()
    }

    fn sign_digest(&self, digest: &[u8; 32]) -> Result<Signature, DeviceError> {
        let session = lock(&self.session);
        let [r, s] = session.functions().sign(session.handle, self.index, digest)?;
        Signature::from_bytes(&[r, s].concat().try_into().unwrap_or([0; 64]))
            .map_err(|_| DeviceError::Malformed("its signature is out of range"))
    }
}

impl Signer for SdfSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Sm2
    }

    fn key_id(&self) -> KeyId {
        self.public.key_id()
    }

    fn public_key_der(&self) -> Vec<u8> {
        self.key.to_spki_der()
    }

    /// The digest with the signer's Z (GB/T 32918.2 §5.5) is made here, as the standard's interface wants it, and the
    /// signature is checked before anyone gets it: a device that errs must not be believed.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let failed = |e: DeviceError| SigningError::KeyUnavailable {
            key: self.key_id().to_string(),
            why: e.to_string(),
        };
        let mut hasher =
            self.key.hasher(DEFAULT_ID).map_err(|_| failed(DeviceError::Malformed("its public key")))?;
        hasher.update(message);
        let signature = self.sign_digest(&hasher.finalize()).map_err(failed)?.to_der();
        match self.public.verify(message, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => {
                Err(failed(DeviceError::Malformed("its signature does not verify under its public key")))
            }
        }
    }
}
