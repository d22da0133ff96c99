//! Ed25519 (RFC 8032), keys as PKCS #8 PEM (RFC 8410) so that `openssl pkey` reads them.

use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::{Algorithm, KeyId, Signer, SigningError, Verifier};

/// A private key. Its bytes are wiped when it is dropped, and it has no `Debug` that shows them.
pub struct Ed25519Signer {
    key: SigningKey,
}

impl Ed25519Signer {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has none to give.
    pub fn generate() -> Result<Self, SigningError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(seed.as_mut())
            .map_err(|e| SigningError::KeyUnavailable { key: "new".into(), why: e.to_string() })?;
        Ok(Self { key: SigningKey::from_bytes(&seed) })
    }

    /// The key of a seed that everybody knows: for oracles and fixtures, never for a key that protects anything.
    #[doc(hidden)]
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(seed) }
    }

    /// Reads `-----BEGIN PRIVATE KEY-----` (PKCS #8).
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an Ed25519 key in PKCS #8 PEM.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, SigningError> {
        SigningKey::from_pkcs8_pem(pem)
            .map(|key| Self { key })
            .map_err(|e| SigningError::malformed("Ed25519 private key", e.to_string()))
    }

    /// Writes PKCS #8 PEM, with Unix line ends: version 1, without the public half, because OpenSSL before 3.2
    /// refuses the version 2 of RFC 5958.
    ///
    /// # Errors
    /// Never for a key that was made or read here; the encoder's error otherwise.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, SigningError> {
        KeypairBytes { secret_key: self.key.to_bytes(), public_key: None }
            .to_pkcs8_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF)
            .map_err(|e| SigningError::malformed("Ed25519 private key", e.to_string()))
    }

    /// The verifier of this key's signatures.
    #[must_use]
    pub fn verifier(&self) -> Ed25519Verifier {
        Ed25519Verifier { key: self.key.verifying_key() }
    }
}

impl Signer for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn key_id(&self) -> KeyId {
        self.verifier().key_id()
    }

    fn public_key_der(&self) -> Vec<u8> {
        self.verifier().to_spki_der()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

/// A public key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ed25519Verifier {
    key: VerifyingKey,
}

impl Ed25519Verifier {
    /// Reads `-----BEGIN PUBLIC KEY-----` (`SubjectPublicKeyInfo`).
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an Ed25519 key, or one that proves nothing.
    pub fn from_spki_pem(pem: &str) -> Result<Self, SigningError> {
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|e| not_public(e.to_string()))?;
        Self::of(key)
    }

    /// Reads the 32 bytes of RFC 8032 §5.1.5.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when they are not a point of the curve, or one that proves nothing.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SigningError> {
        Self::of(VerifyingKey::from_bytes(bytes).map_err(|e| not_public(e.to_string()))?)
    }

    /// A key of small order "verifies" messages that nobody signed (RFC 8032 §8.9 leaves the check to us).
    fn of(key: VerifyingKey) -> Result<Self, SigningError> {
        if key.is_weak() {
            return Err(not_public("it is of small order, and proves nothing"));
        }
        Ok(Self { key })
    }

    /// The 32 bytes of RFC 8032 §5.1.5.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// `SubjectPublicKeyInfo` in DER (RFC 8410 §4).
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        /// SEQUENCE { SEQUENCE { OID 1.3.101.112 } BIT STRING (33 bytes, no unused bits) }.
        const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        [PREFIX.as_slice(), self.key.as_bytes()].concat()
    }

    /// `SubjectPublicKeyInfo` in PEM, with Unix line ends.
    ///
    /// # Errors
    /// Never for a key that was read here; the encoder's error otherwise.
    pub fn to_spki_pem(&self) -> Result<String, SigningError> {
        self.key
            .to_public_key_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF)
            .map_err(|e| not_public(e.to_string()))
    }
}

fn not_public(why: impl Into<String>) -> SigningError {
    SigningError::malformed("Ed25519 public key", why)
}

impl Verifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn key_id(&self) -> KeyId {
        KeyId::of_spki(&self.to_spki_der())
    }

    /// Strict verification: small-order keys and non-canonical encodings, which RFC 8032 leaves open, are refused.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SigningError> {
        let bad = || SigningError::BadSignature { key: self.key_id().to_string() };
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| bad())?;
        self.key.verify_strict(message, &signature).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests;
