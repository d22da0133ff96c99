//! Signers and verifiers, DSSE envelopes and signed notes.
//!
//! Everything in Custody that is signed (seals, checkpoints, patches) is signed through the two traits here, so
//! that a key in a file, a token or another algorithm is one more implementation and nothing else.
//! Pure: the only thing taken from outside is randomness for a new key.
#![forbid(unsafe_code)]

pub mod dsse;
pub mod ecdsa;
pub mod ed25519;
pub mod keys;
pub mod note;
pub mod public;
pub mod rsa;
pub mod sm2;

mod error;

#[doc(hidden)]
pub mod fuzzing;

pub use ecdsa::{EcdsaSigner, EcdsaVerifier};
pub use ed25519::{Ed25519Signer, Ed25519Verifier};
pub use error::SigningError;
pub use public::PublicKey;
pub use rsa::{RsaSigner, RsaVerifier};
pub use sm2::{Sm2Signer, Sm2Verifier};

/// The signature algorithms that Custody knows by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519, RFC 8032.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-256 with SHA-256, FIPS 186-5; signatures in DER (RFC 3279 §2.2.3).
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384, FIPS 186-5; signatures in DER.
    #[serde(rename = "ecdsa-p384-sha384")]
    EcdsaP384,
    /// RSASSA-PKCS1-v1_5 with SHA-256, RFC 8017 §8.2.
    #[serde(rename = "rsa-pkcs1-sha256")]
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    #[serde(rename = "rsa-pkcs1-sha384")]
    RsaSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[serde(rename = "rsa-pkcs1-sha512")]
    RsaSha512,
    /// SM2 with SM3, GB/T 32918.2; signatures in DER (GB/T 35276), the default user id `1234567812345678`.
    #[serde(rename = "sm2-sm3")]
    Sm2,
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256-sha256",
            Self::EcdsaP384 => "ecdsa-p384-sha384",
            Self::RsaSha256 => "rsa-pkcs1-sha256",
            Self::RsaSha384 => "rsa-pkcs1-sha384",
            Self::RsaSha512 => "rsa-pkcs1-sha512",
            Self::Sm2 => "sm2-sm3",
        })
    }
}

/// Lower-case hexadecimal SHA-256 of a public key's `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7): the same
/// string that `openssl pkey -pubin -outform DER | sha256sum` prints. Names a key everywhere.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The id of the key whose `SubjectPublicKeyInfo` is `der`.
    #[must_use]
    pub fn of_spki(der: &[u8]) -> Self {
        use sha2::Digest as _;
        use std::fmt::Write as _;
        let digest = sha2::Sha256::digest(der);
        Self(digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        }))
    }

    /// Reads the 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when they are anything else.
    pub fn parse(text: &str) -> Result<Self, SigningError> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if text.len() != 64 || !digits {
            return Err(SigningError::malformed("key id", "it is not 64 lower-case hexadecimal digits"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyId {
    type Error = SigningError;

    fn try_from(text: String) -> Result<Self, SigningError> {
        Self::parse(&text)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that signs: a key in a file, later a token.
pub trait Signer: Send + Sync {
    /// The algorithm of the signatures it makes.
    fn algorithm(&self) -> Algorithm;
    /// The key's id.
    fn key_id(&self) -> KeyId;
    /// The public key as `SubjectPublicKeyInfo` DER.
    fn public_key_der(&self) -> Vec<u8>;
    /// A signature of the whole message, in the algorithm's usual raw encoding (Ed25519: 64 bytes).
    ///
    /// # Errors
    /// When the key cannot be used at this moment (a token that was pulled out).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// Something that checks signatures of one public key.
pub trait Verifier: Send + Sync {
    /// The algorithm of the signatures it checks.
    fn algorithm(&self) -> Algorithm;
    /// The key's id.
    fn key_id(&self) -> KeyId;
    /// Whether `signature` is one of `message` by this key.
    ///
    /// # Errors
    /// [`SigningError::BadSignature`] when it is not.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SigningError>;
}
