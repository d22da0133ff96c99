//! Public keys of any algorithm that Custody verifies with, told apart by what they say of themselves.

use std::sync::Arc;

use pkcs8::der::pem::LineEnding;
use pkcs8::der::{Decode as _, Document};
use pkcs8::spki::SubjectPublicKeyInfoRef;

use crate::keys::{EC, ED25519, P256, P384, RSA, SM2};
use crate::{
    Algorithm, EcdsaVerifier, Ed25519Verifier, KeyId, RsaVerifier, Signer, SigningError, Sm2Verifier,
    Verifier,
};

/// A public key. An RSA key verifies under SHA-256.
#[derive(Clone)]
pub struct PublicKey {
    spki: Arc<[u8]>,
    verifier: Arc<dyn Verifier>,
}

impl PublicKey {
    /// Reads `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    ///
    /// A key has one encoding here, because its id is a digest of it: points are uncompressed.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not a key, or of an algorithm that is not known here.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, SigningError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|e| refused(e.to_string()))?;
        let point = info.subject_public_key.as_bytes().unwrap_or_default();
        if info.algorithm.oid == EC && point.first() != Some(&4) {
            return Err(refused("its point is not uncompressed"));
        }
        let verifier: Arc<dyn Verifier> = match (info.algorithm.oid, info.algorithm.parameters_oid().ok()) {
            (RSA, _) => Arc::new(RsaVerifier::from_spki_der(der, Algorithm::RsaSha256)?),
            (EC, Some(SM2)) => Arc::new(Sm2Verifier::from_spki_der(der)?),
            (EC, Some(P256)) => Arc::new(EcdsaVerifier::from_spki_der(der, Algorithm::EcdsaP256)?),
            (EC, Some(P384)) => Arc::new(EcdsaVerifier::from_spki_der(der, Algorithm::EcdsaP384)?),
            (EC, _) => return Err(refused("its curve is none of P-256, P-384 and SM2")),
            (ED25519, _) => {
                let bytes = point.try_into().map_err(|_| refused("it is not of 32 bytes"))?;
                return Ok(Ed25519Verifier::from_bytes(bytes)?.into());
            }
            (other, _) => return Err(refused(format!("algorithm {other} is not known here"))),
        };
        Ok(Self { spki: der.into(), verifier })
    }

    /// Reads `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki_der`].
    pub fn from_spki_pem(text: &str) -> Result<Self, SigningError> {
        let (label, document) = Document::from_pem(text).map_err(|e| refused(e.to_string()))?;
        match label {
            "PUBLIC KEY" => Self::from_spki_der(document.as_bytes()),
            other => Err(refused(format!("it is a `{other}`"))),
        }
    }

    /// The public half of a signer's key.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when the signer gives out what is none.
    pub fn of(signer: &dyn Signer) -> Result<Self, SigningError> {
        Self::from_spki_der(&signer.public_key_der())
    }

    /// `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn to_spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// `SubjectPublicKeyInfo` in PEM, with Unix line ends.
    ///
    /// # Errors
    /// The encoder's error, which no key of this size causes.
    pub fn to_spki_pem(&self) -> Result<String, SigningError> {
        Document::try_from(self.spki.as_ref())
            .and_then(|document| document.to_pem("PUBLIC KEY", LineEnding::LF))
            .map_err(|e| refused(e.to_string()))
    }
}

impl From<Ed25519Verifier> for PublicKey {
    fn from(key: Ed25519Verifier) -> Self {
        Self { spki: key.to_spki_der().into(), verifier: Arc::new(key) }
    }
}

impl From<Sm2Verifier> for PublicKey {
    fn from(key: Sm2Verifier) -> Self {
        Self { spki: key.to_spki_der().into(), verifier: Arc::new(key) }
    }
}

impl Verifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.verifier.algorithm()
    }

    fn key_id(&self) -> KeyId {
        KeyId::of_spki(&self.spki)
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SigningError> {
        self.verifier.verify(message, signature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.key_id())
    }
}

fn refused(why: impl Into<String>) -> SigningError {
    SigningError::malformed("public key", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    const ALL: [Algorithm; 4] =
        [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Sm2];

    #[test]
    fn a_key_of_any_algorithm_is_made_written_and_read() {
        for algorithm in ALL {
            let (signer, pem) = keys::generate(algorithm).unwrap();
            let again = keys::signer_from_pem(&pem).unwrap();
            let public = PublicKey::of(signer.as_ref()).unwrap();
            assert_eq!(PublicKey::from_spki_pem(&public.to_spki_pem().unwrap()).unwrap(), public);
            assert_eq!((public.algorithm(), again.algorithm()), (algorithm, algorithm));
            assert_eq!((public.key_id(), again.key_id()), (signer.key_id(), signer.key_id()));
            public.verify(b"m", &again.sign(b"m").unwrap()).unwrap();
            assert!(public.verify(b"n", &again.sign(b"m").unwrap()).is_err());
        }
        assert!(keys::generate(Algorithm::RsaSha512).is_err());
    }

    #[test]
    fn a_compressed_point_would_be_another_id_of_the_same_key() {
        let (signer, _) = keys::generate(Algorithm::Sm2).unwrap();
        let der = signer.public_key_der();
        let key = gm::sm2::PublicKey::from_spki_der(&der).unwrap();
        let mut short = [&[0x30, 0x39], &der[2..23], &[0x03, 0x22, 0x00]].concat();
        short.extend_from_slice(&key.to_sec1_compressed());
        assert!(gm::sm2::PublicKey::from_spki_der(&short).is_ok());
        assert!(PublicKey::from_spki_der(&short).is_err());
    }
}
