//! SM2 with SM3 (GB/T 32918.2): signatures in DER (GB/T 35276 §7.3), under the default user id, keys as PKCS #8 and
//! `SubjectPublicKeyInfo` that `openssl` reads.

use gm::Sm3;
use gm::sm2::{DEFAULT_ID, PrivateKey, PublicKey, Signature};
use pkcs8::der::pem::LineEnding;
use pkcs8::der::{Document, SecretDocument};
use zeroize::Zeroizing;

use crate::{Algorithm, KeyId, Signer, SigningError, Verifier};

/// A private key. Its bytes are wiped when it is dropped, and it has no `Debug` that shows them.
pub struct Sm2Signer {
    key: PrivateKey,
    public: Sm2Verifier,
}

impl Sm2Signer {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has none to give.
    pub fn generate() -> Result<Self, SigningError> {
        loop {
            // All but one in 2^32 of the draws are a key.
            if let Ok(key) = PrivateKey::from_bytes(&*random()?) {
                return Self::of(key);
            }
        }
    }

    /// The key of 32 big-endian bytes.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when they are not between 1 and n - 2.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SigningError> {
        PrivateKey::from_bytes(bytes).map_err(private).and_then(Self::of)
    }

    fn of(key: PrivateKey) -> Result<Self, SigningError> {
        let public = Sm2Verifier::of(*key.public_key())?;
        Ok(Self { key, public })
    }

    /// Reads `-----BEGIN PRIVATE KEY-----` (PKCS #8).
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an SM2 key in PKCS #8 PEM.
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, SigningError> {
        let (label, document) = SecretDocument::from_pem(text).map_err(private)?;
        if label != "PRIVATE KEY" {
            return Err(private(format!("it is a `{label}`")));
        }
        Self::from_pkcs8_der(document.as_bytes())
    }

    /// Reads PKCS #8 in DER.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an SM2 key.
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, SigningError> {
        PrivateKey::from_pkcs8_der(bytes).map_err(private).and_then(Self::of)
    }

    /// Reads `ECPrivateKey` in DER (RFC 5915), which must name the curve.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an SM2 key.
    pub fn from_sec1_der(bytes: &[u8]) -> Result<Self, SigningError> {
        PrivateKey::from_sec1_der(bytes).map_err(private).and_then(Self::of)
    }

    /// Writes PKCS #8 PEM, with Unix line ends.
    ///
    /// # Errors
    /// The encoder's error, which no key of this size causes.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, SigningError> {
        SecretDocument::try_from(self.key.to_pkcs8_der().as_slice())
            .and_then(|document| document.to_pem("PRIVATE KEY", LineEnding::LF))
            .map_err(private)
    }

    /// The verifier of this key's signatures.
    #[must_use]
    pub fn verifier(&self) -> Sm2Verifier {
        self.public.clone()
    }
}

impl Signer for Sm2Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Sm2
    }

    fn key_id(&self) -> KeyId {
        self.public.key_id()
    }

    fn public_key_der(&self) -> Vec<u8> {
        self.public.to_spki_der()
    }

    /// A signature in DER, 70 to 72 bytes as a rule. Fresh randomness is mixed into the secret number of each.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        Ok(self.key.sign_digest(&self.public.digest(message), &*random()?).to_der())
    }
}

/// A public key.
#[derive(Clone, Debug)]
pub struct Sm2Verifier {
    key: PublicKey,
    /// Has taken Z, which is the same for all messages.
    hasher: Hasher,
}

/// A hasher that has taken public bytes only; `Debug` has nothing to show.
#[derive(Clone)]
struct Hasher(Sm3);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl PartialEq for Sm2Verifier {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Sm2Verifier {}

impl Sm2Verifier {
    fn of(key: PublicKey) -> Result<Self, SigningError> {
        let hasher = Hasher(key.hasher(DEFAULT_ID).map_err(public)?);
        Ok(Self { key, hasher })
    }

    /// Reads `-----BEGIN PUBLIC KEY-----` (`SubjectPublicKeyInfo`).
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an SM2 key.
    pub fn from_spki_pem(text: &str) -> Result<Self, SigningError> {
        let (label, document) = Document::from_pem(text).map_err(public)?;
        if label != "PUBLIC KEY" {
            return Err(public(format!("it is a `{label}`")));
        }
        Self::from_spki_der(document.as_bytes())
    }

    /// Reads `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an SM2 key.
    pub fn from_spki_der(bytes: &[u8]) -> Result<Self, SigningError> {
        PublicKey::from_spki_der(bytes).map_err(public).and_then(Self::of)
    }

    /// `SubjectPublicKeyInfo` in DER, 91 bytes.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        self.key.to_spki_der()
    }

    /// `SubjectPublicKeyInfo` in PEM, with Unix line ends.
    ///
    /// # Errors
    /// The encoder's error, which no key of this size causes.
    pub fn to_spki_pem(&self) -> Result<String, SigningError> {
        Document::try_from(self.to_spki_der())
            .and_then(|document| document.to_pem("PUBLIC KEY", LineEnding::LF))
            .map_err(public)
    }

    /// The point, for those who need more than signatures.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    fn digest(&self, message: &[u8]) -> [u8; 32] {
        let mut hasher = self.hasher.0.clone();
        hasher.update(message);
        hasher.finalize()
    }
}

impl Verifier for Sm2Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Sm2
    }

    fn key_id(&self) -> KeyId {
        KeyId::of_spki(&self.to_spki_der())
    }

    /// Takes DER and nothing else: one signature has one encoding.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SigningError> {
        Signature::from_der(signature)
            .and_then(|signature| self.key.verify_digest(&self.digest(message), &signature))
            .map_err(|_| SigningError::BadSignature { key: self.key_id().to_string() })
    }
}

fn random() -> Result<Zeroizing<[u8; 32]>, SigningError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|e| SigningError::KeyUnavailable { key: "of SM2".into(), why: e.to_string() })?;
    Ok(bytes)
}

fn private(why: impl ToString) -> SigningError {
    SigningError::malformed("SM2 private key", why.to_string())
}

fn public(why: impl ToString) -> SigningError {
    SigningError::malformed("SM2 public key", why.to_string())
}

#[cfg(test)]
mod tests;
