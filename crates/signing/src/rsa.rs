//! RSASSA-PKCS1-v1_5 (RFC 8017 §8.2), keys of 2048 to 8192 bits, by AWS-LC.
//!
//! One key signs under one digest, chosen when it is read: the algorithm of a [`Signer`] never changes under its user.
//! Smaller keys are refused (NIST SP 800-131A revision 2, table 2).

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding,
    RsaKeyPair, RsaParameters,
};
use zeroize::Zeroizing;

use crate::{Algorithm, KeyId, Signer, SigningError, Verifier, keys};

/// A private key and the digest that it signs under.
pub struct RsaSigner {
    pair: RsaKeyPair,
    algorithm: Algorithm,
    spki: Vec<u8>,
}

impl RsaSigner {
    /// A new key of `bits` (2048, 3072, 4096 or 8192), signing under SHA-256.
    ///
    /// # Errors
    /// For another size, or when the system has no randomness.
    pub fn generate(bits: usize) -> Result<Self, SigningError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => return Err(refused("its size is not 2048, 3072, 4096 or 8192 bits")),
        };
        let pair = RsaKeyPair::generate(size)
            .map_err(|e| SigningError::KeyUnavailable { key: "new".into(), why: e.to_string() })?;
        Self::of(pair)
    }

    /// Reads PKCS #8 (RFC 5208) in DER; signs under SHA-256 until [`RsaSigner::under`] says otherwise.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an RSA key that may sign.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, SigningError> {
        Self::of(RsaKeyPair::from_pkcs8(der).map_err(|e| refused(e.to_string()))?)
    }

    /// Reads `RSAPrivateKey` (RFC 8017 §A.1.2) in DER.
    ///
    /// # Errors
    /// As [`RsaSigner::from_pkcs8_der`].
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, SigningError> {
        Self::of(RsaKeyPair::from_der(der).map_err(|e| refused(e.to_string()))?)
    }

    /// The same key, signing under the digest of `algorithm`.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when `algorithm` is none of RSA.
    pub fn under(mut self, algorithm: Algorithm) -> Result<Self, SigningError> {
        encoding(algorithm)?;
        self.algorithm = algorithm;
        Ok(self)
    }

    /// PKCS #8 PEM, with Unix line ends.
    ///
    /// # Errors
    /// The encoder's.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, SigningError> {
        let der = self.pair.as_der().map_err(|e| refused(e.to_string()))?;
        keys::private_pem(der.as_ref())
    }

    /// The verifier of this key's signatures under its digest.
    ///
    /// # Errors
    /// Never for a key that could be read.
    pub fn verifier(&self) -> Result<RsaVerifier, SigningError> {
        RsaVerifier::from_spki_der(&self.spki, self.algorithm)
    }

    fn of(pair: RsaKeyPair) -> Result<Self, SigningError> {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|e| refused(e.to_string()))?;
        let spki = der.as_ref().to_vec();
        Ok(Self { pair, algorithm: Algorithm::RsaSha256, spki })
    }
}

impl Signer for RsaSigner {
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
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(encoding(self.algorithm)?, &SystemRandom::new(), message, &mut signature).map_err(
            |e| SigningError::KeyUnavailable { key: self.key_id().to_string(), why: e.to_string() },
        )?;
        Ok(signature)
    }
}

/// A public key and the digest under which it verifies.
pub struct RsaVerifier {
    key: ParsedPublicKey,
    algorithm: Algorithm,
    id: KeyId,
}

impl RsaVerifier {
    /// Reads `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not an RSA key, or `algorithm` is none of RSA.
    pub fn from_spki_der(der: &[u8], algorithm: Algorithm) -> Result<Self, SigningError> {
        let bad = |why: String| SigningError::malformed("RSA public key", why);
        let key = ParsedPublicKey::new(parameters(algorithm)?, der).map_err(|e| bad(e.to_string()))?;
        Ok(Self { key, algorithm, id: KeyId::of_spki(der) })
    }
}

impl Verifier for RsaVerifier {
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

fn encoding(algorithm: Algorithm) -> Result<&'static dyn RsaEncoding, SigningError> {
    match algorithm {
        Algorithm::RsaSha256 => Ok(&RSA_PKCS1_SHA256),
        Algorithm::RsaSha384 => Ok(&RSA_PKCS1_SHA384),
        Algorithm::RsaSha512 => Ok(&RSA_PKCS1_SHA512),
        other => Err(refused(format!("{other} is not an algorithm of RSA"))),
    }
}

fn parameters(algorithm: Algorithm) -> Result<&'static RsaParameters, SigningError> {
    match algorithm {
        Algorithm::RsaSha256 => Ok(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RsaSha384 => Ok(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RsaSha512 => Ok(&RSA_PKCS1_2048_8192_SHA512),
        other => Err(refused(format!("{other} is not an algorithm of RSA"))),
    }
}

fn refused(why: impl Into<String>) -> SigningError {
    SigningError::malformed("RSA private key", why)
}
