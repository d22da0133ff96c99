//! ECDSA (FIPS 186-5 §6) on P-256 with SHA-256 and on P-384 with SHA-384, by AWS-LC; signatures in DER
//! (`ECDSA-Sig-Value`, RFC 3279 §2.2.3).

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm,
    KeyPair as _, ParsedPublicKey,
};
use zeroize::Zeroizing;

use crate::{Algorithm, KeyId, Signer, SigningError, Verifier, keys};

/// A private key.
pub struct EcdsaSigner {
    pair: EcdsaKeyPair,
    algorithm: Algorithm,
    spki: Vec<u8>,
}

impl EcdsaSigner {
    /// A new key of [`Algorithm::EcdsaP256`] or [`Algorithm::EcdsaP384`].
    ///
    /// # Errors
    /// For another algorithm, or when the system has no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningError> {
        let pair = EcdsaKeyPair::generate(signing(algorithm)?)
            .map_err(|e| SigningError::KeyUnavailable { key: "new".into(), why: e.to_string() })?;
        Self::of(pair, algorithm)
    }

    /// Reads a private key in DER, as PKCS #8 (RFC 5208) or `ECPrivateKey` (RFC 5915); the curve decides the algorithm.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is on neither curve.
    pub fn from_der(der: &[u8]) -> Result<Self, SigningError> {
        let of = |algorithm| {
            let pair = EcdsaKeyPair::from_private_key_der(signing(algorithm)?, der);
            Self::of(pair.map_err(|e| refused(format!("not a key on P-256 or P-384 ({e})")))?, algorithm)
        };
        of(Algorithm::EcdsaP256).or_else(|_| of(Algorithm::EcdsaP384))
    }

    /// PKCS #8 PEM, with Unix line ends.
    ///
    /// # Errors
    /// The encoder's.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, SigningError> {
        let der = self.pair.to_pkcs8v1().map_err(|e| refused(e.to_string()))?;
        keys::private_pem(der.as_ref())
    }

    /// The verifier of this key's signatures.
    ///
    /// # Errors
    /// Never for a key that could be read.
    pub fn verifier(&self) -> Result<EcdsaVerifier, SigningError> {
        EcdsaVerifier::from_spki_der(&self.spki, self.algorithm)
    }

    fn of(pair: EcdsaKeyPair, algorithm: Algorithm) -> Result<Self, SigningError> {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|e| refused(e.to_string()))?;
        let spki = der.as_ref().to_vec();
        Ok(Self { pair, algorithm, spki })
    }
}

impl Signer for EcdsaSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_id(&self) -> KeyId {
        KeyId::of_spki(&self.spki)
    }

    fn public_key_der(&self) -> Vec<u8> {
        self.spki.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|e| {
            SigningError::KeyUnavailable { key: self.key_id().to_string(), why: e.to_string() }
        })?;
        Ok(signature.as_ref().to_vec())
    }
}

/// A public key.
pub struct EcdsaVerifier {
    key: ParsedPublicKey,
    algorithm: Algorithm,
    id: KeyId,
}

impl EcdsaVerifier {
    /// Reads `SubjectPublicKeyInfo` in DER (RFC 5480 §2).
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not a key on the curve of `algorithm`.
    pub fn from_spki_der(der: &[u8], algorithm: Algorithm) -> Result<Self, SigningError> {
        let bad = |why: String| SigningError::malformed("ECDSA public key", why);
        let key = ParsedPublicKey::new(verification(algorithm)?, der).map_err(|e| bad(e.to_string()))?;
        Ok(Self { key, algorithm, id: KeyId::of_spki(der) })
    }
}

impl Verifier for EcdsaVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_id(&self) -> KeyId {
        self.id.clone()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SigningError> {
        let bad = |_| SigningError::BadSignature { key: self.id.to_string() };
        self.key.verify_sig(message, signature).map_err(bad)
    }
}

fn signing(algorithm: Algorithm) -> Result<&'static EcdsaSigningAlgorithm, SigningError> {
    match algorithm {
        Algorithm::EcdsaP256 => Ok(&ECDSA_P256_SHA256_ASN1_SIGNING),
        Algorithm::EcdsaP384 => Ok(&ECDSA_P384_SHA384_ASN1_SIGNING),
        other => Err(refused(format!("{other} is not an algorithm of ECDSA"))),
    }
}

fn verification(algorithm: Algorithm) -> Result<&'static EcdsaVerificationAlgorithm, SigningError> {
    match algorithm {
        Algorithm::EcdsaP256 => Ok(&ECDSA_P256_SHA256_ASN1),
        Algorithm::EcdsaP384 => Ok(&ECDSA_P384_SHA384_ASN1),
        other => Err(refused(format!("{other} is not an algorithm of ECDSA"))),
    }
}

fn refused(why: impl Into<String>) -> SigningError {
    SigningError::malformed("ECDSA private key", why)
}
