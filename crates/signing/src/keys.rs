//! Private keys of any algorithm that Custody signs with, told apart by what they say of themselves.

use pkcs8::der::SecretDocument;
use pkcs8::der::asn1::ObjectIdentifier;
use pkcs8::der::pem::LineEnding;
use zeroize::Zeroizing;

use crate::{Algorithm, EcdsaSigner, Ed25519Signer, RsaSigner, Signer, SigningError, Sm2Signer};

/// RFC 8017 §A.1, `rsaEncryption`.
pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 5480 §2.1.1, `id-ecPublicKey`.
pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480 §2.1.1.1, `secp256r1` and `secp384r1`.
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// GM/T 0006, the curve of SM2, as the parameters of an EC key.
pub(crate) const SM2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");
/// RFC 8410 §3, `id-Ed25519`.
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Makes a new key, and its PKCS #8 PEM: Ed25519, ECDSA or SM2. RSA keys are read, not made.
///
/// # Errors
/// For RSA, or when the operating system has no randomness to give.
pub fn generate(algorithm: Algorithm) -> Result<(Box<dyn Signer>, Zeroizing<String>), SigningError> {
    match algorithm {
        Algorithm::Ed25519 => {
            let signer = Ed25519Signer::generate()?;
            let pem = signer.to_pkcs8_pem()?;
            Ok((Box::new(signer), pem))
        }
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => {
            let signer = EcdsaSigner::generate(algorithm)?;
            let pem = signer.to_pkcs8_pem()?;
            Ok((Box::new(signer), pem))
        }
        Algorithm::Sm2 => {
            let signer = Sm2Signer::generate()?;
            let pem = signer.to_pkcs8_pem()?;
            Ok((Box::new(signer), pem))
        }
        other => Err(refused(format!("keys for {other} are not made here"))),
    }
}

/// Reads `PRIVATE KEY` (PKCS #8), `RSA PRIVATE KEY`, `EC PRIVATE KEY` or `SM2 PRIVATE KEY` in PEM. An RSA key signs under SHA-256.
///
/// # Errors
/// [`SigningError::Malformed`] when it is not such a key; the reason says so where it is an encrypted one.
pub fn signer_from_pem(pem: &str) -> Result<Box<dyn Signer>, SigningError> {
    // `openssl ecparam -genkey` writes the curve into a block of its own before the key.
    let pem = pem
        .find("PRIVATE KEY-----")
        .and_then(|at| pem[..at].rfind("-----BEGIN "))
        .map_or(pem, |at| &pem[at..]);
    let (label, document) = SecretDocument::from_pem(pem).map_err(|e| refused(e.to_string()))?;
    match label {
        "PRIVATE KEY" => signer_from_pkcs8(document.as_bytes()),
        "RSA PRIVATE KEY" => Ok(Box::new(RsaSigner::from_pkcs1_der(document.as_bytes())?)),
        // OpenSSL 3 writes `SM2 PRIVATE KEY`, OpenSSL 1.1 and GmSSL `EC PRIVATE KEY`; the content is the same.
        "SM2 PRIVATE KEY" => Ok(Box::new(Sm2Signer::from_sec1_der(document.as_bytes())?)),
        "EC PRIVATE KEY" if gm::sm2::PrivateKey::is_sec1_der(document.as_bytes()) => {
            Ok(Box::new(Sm2Signer::from_sec1_der(document.as_bytes())?))
        }
        "EC PRIVATE KEY" => Ok(Box::new(EcdsaSigner::from_der(document.as_bytes())?)),
        "ENCRYPTED PRIVATE KEY" => Err(refused("it is encrypted; its password must open it first")),
        other => Err(refused(format!("it is a `{other}`"))),
    }
}

/// Reads PKCS #8 in DER. An RSA key signs under SHA-256.
///
/// # Errors
/// [`SigningError::Malformed`] when it is not such a key, or of an algorithm that is not known here.
pub fn signer_from_pkcs8(der: &[u8]) -> Result<Box<dyn Signer>, SigningError> {
    let info = pkcs8::PrivateKeyInfoRef::try_from(der).map_err(|e| refused(e.to_string()))?;
    match info.algorithm.oid {
        RSA => Ok(Box::new(RsaSigner::from_pkcs8_der(der)?)),
        EC if info.algorithm.parameters_oid() == Ok(SM2) => Ok(Box::new(Sm2Signer::from_pkcs8_der(der)?)),
        EC => Ok(Box::new(EcdsaSigner::from_der(der)?)),
        ED25519 => Ok(Box::new(Ed25519Signer::from_pkcs8_pem(&private_pem(der)?)?)),
        other => Err(refused(format!("algorithm {other} is not known here"))),
    }
}

/// As [`signer_from_pem`] for an RSA key, whose digest can still be chosen.
///
/// # Errors
/// As [`signer_from_pem`], and for a key of another algorithm.
pub fn rsa_from_pem(pem: &str) -> Result<RsaSigner, SigningError> {
    let (label, document) = SecretDocument::from_pem(pem).map_err(|e| refused(e.to_string()))?;
    match label {
        "RSA PRIVATE KEY" => RsaSigner::from_pkcs1_der(document.as_bytes()),
        _ => RsaSigner::from_pkcs8_der(document.as_bytes()),
    }
}

/// `PRIVATE KEY` in PEM, with Unix line ends.
pub(crate) fn private_pem(der: &[u8]) -> Result<Zeroizing<String>, SigningError> {
    SecretDocument::try_from(der)
        .and_then(|document| document.to_pem("PRIVATE KEY", LineEnding::LF))
        .map_err(|e| refused(e.to_string()))
}

fn refused(why: impl Into<String>) -> SigningError {
    SigningError::malformed("private key", why)
}
