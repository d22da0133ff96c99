//! Signatures by the key of a certificate, under the algorithms that certificates, CMS, CRLs and OCSP name.

use aws_lc_rs::signature as aws;

use crate::der::{Reader, Value, tag};
use crate::digest::Digest;
use crate::error::PkixError;
use crate::oid::{self, Oid};

/// `AlgorithmIdentifier` (RFC 5280 §4.1.1.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlgorithmId {
    /// The algorithm.
    pub oid: Oid,
    /// Its parameters as they stand; empty when there are none.
    pub parameters: Vec<u8>,
}

impl AlgorithmId {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, PkixError> {
        let mut inner = reader.sequence().map_err(|e| e.of("algorithm identifier"))?;
        let oid = inner.oid()?;
        let parameters = if inner.is_empty() { Vec::new() } else { inner.any()?.raw.to_vec() };
        inner.end()?;
        Ok(Self { oid, parameters })
    }

    /// Whether it has no parameters, or NULL.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.parameters.is_empty() || self.parameters == crate::der::NULL
    }
}

/// `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    /// The whole encoding.
    pub spki: Vec<u8>,
    /// The key's algorithm.
    pub algorithm: AlgorithmId,
    /// The bits of the key.
    pub key: Vec<u8>,
}

/// How a signature is made: what a `signatureAlgorithm` means for a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    Pkcs1(Digest),
    Pss(Digest),
    Ecdsa(Digest),
    Ed25519,
    Sm2,
}

impl PublicKey {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, PkixError> {
        let value = reader.expect(tag::SEQUENCE).map_err(|e| e.of("public key"))?;
        let mut inner = value.reader();
        let algorithm = AlgorithmId::read(&mut inner)?;
        let key = inner.bits().map_err(|e| e.of("public key"))?.to_vec();
        inner.end()?;
        Ok(Self { spki: value.raw.to_vec(), algorithm, key })
    }

    /// Reads one from its whole encoding.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_der(spki: &[u8]) -> Result<Self, PkixError> {
        let mut reader = Reader::new(spki);
        let key = Self::read(&mut reader)?;
        reader.end()?;
        Ok(key)
    }

    /// Size and kind for people, as `RSA 2048` or `P-256`.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.algorithm.oid, self.curve()) {
            (oid::RSA_ENCRYPTION, _) => format!("RSA {}", self.rsa_bits().unwrap_or(0)),
            (oid::ED25519, _) => "Ed25519".to_owned(),
            (_, Some(oid::P256)) => "P-256".to_owned(),
            (_, Some(oid::P384)) => "P-384".to_owned(),
            (_, Some(oid::P521)) => "P-521".to_owned(),
            (_, Some(oid::SM2)) => "SM2".to_owned(),
            (other, _) => other.to_string(),
        }
    }

    /// Bits of the modulus of an RSA key; none for any other kind.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<u32> {
        if self.algorithm.oid != oid::RSA_ENCRYPTION {
            return None;
        }
        let modulus = Reader::new(&self.key).sequence().ok()?.integer().ok()?;
        let digits = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        u32::try_from(digits.len() * 8).ok()?.checked_sub(digits.first()?.leading_zeros())
    }

    fn curve(&self) -> Option<Oid> {
        let curve = || Reader::new(&self.algorithm.parameters).oid().ok();
        (self.algorithm.oid == oid::EC_PUBLIC_KEY).then(curve).flatten()
    }

    /// Checks `signature` over `message`. `digest` is what a `SignerInfo` names apart from the signature's algorithm;
    /// it decides where the latter says only `rsaEncryption` or `id-ecPublicKey`, as Authenticode writes it, and must
    /// agree where it says more.
    ///
    /// # Errors
    /// [`PkixError::Unsupported`] for algorithms that are not known or too weak, [`PkixError::BadSignature`] when it
    /// is not a signature of this message by this key.
    pub fn verify(
        &self,
        algorithm: &AlgorithmId,
        digest: Option<Digest>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), PkixError> {
        let scheme = scheme(algorithm, digest, self.curve())?;
        if scheme == Scheme::Sm2 {
            return crate::sm2::verify(&self.key, message, signature);
        }
        let parameters = self.parameters(scheme, algorithm)?;
        aws::UnparsedPublicKey::new(parameters, &self.key)
            .verify(message, signature)
            .map_err(|_| PkixError::BadSignature { what: format!("a {} key", self.describe()) })
    }

    fn parameters(
        &self,
        scheme: Scheme,
        algorithm: &AlgorithmId,
    ) -> Result<&'static dyn aws::VerificationAlgorithm, PkixError> {
        let key = self.algorithm.oid;
        Ok(match (scheme, self.curve()) {
            (Scheme::Pkcs1(digest), _) if key == oid::RSA_ENCRYPTION => match digest {
                Digest::Sha1 => &aws::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
                Digest::Sha256 => &aws::RSA_PKCS1_2048_8192_SHA256,
                Digest::Sha384 => &aws::RSA_PKCS1_2048_8192_SHA384,
                Digest::Sha512 => &aws::RSA_PKCS1_2048_8192_SHA512,
                Digest::Sm3 => return Err(unsupported(algorithm)),
            },
            (Scheme::Pss(digest), _) if key == oid::RSA_ENCRYPTION => match digest {
                Digest::Sha256 => &aws::RSA_PSS_2048_8192_SHA256,
                Digest::Sha384 => &aws::RSA_PSS_2048_8192_SHA384,
                Digest::Sha512 => &aws::RSA_PSS_2048_8192_SHA512,
                _ => return Err(unsupported(algorithm)),
            },
            (Scheme::Ecdsa(digest), Some(curve)) => {
                ecdsa(digest, curve).ok_or_else(|| unsupported(algorithm))?
            }
            (Scheme::Ed25519, _) if key == oid::ED25519 => &aws::ED25519,
            _ => return Err(unsupported(algorithm)),
        })
    }
}

fn ecdsa(digest: Digest, curve: Oid) -> Option<&'static dyn aws::VerificationAlgorithm> {
    Some(match (curve, digest) {
        (oid::P256, Digest::Sha1) => &aws::ECDSA_P256_SHA1_ASN1,
        (oid::P256, Digest::Sha256) => &aws::ECDSA_P256_SHA256_ASN1,
        (oid::P256, Digest::Sha384) => &aws::ECDSA_P256_SHA384_ASN1,
        (oid::P256, Digest::Sha512) => &aws::ECDSA_P256_SHA512_ASN1,
        (oid::P384, Digest::Sha256) => &aws::ECDSA_P384_SHA256_ASN1,
        (oid::P384, Digest::Sha384) => &aws::ECDSA_P384_SHA384_ASN1,
        (oid::P384, Digest::Sha512) => &aws::ECDSA_P384_SHA512_ASN1,
        (oid::P521, Digest::Sha256) => &aws::ECDSA_P521_SHA256_ASN1,
        (oid::P521, Digest::Sha384) => &aws::ECDSA_P521_SHA384_ASN1,
        (oid::P521, Digest::Sha512) => &aws::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

fn unsupported(algorithm: &AlgorithmId) -> PkixError {
    PkixError::Unsupported { what: "signature algorithm", oid: algorithm.oid }
}

fn scheme(algorithm: &AlgorithmId, digest: Option<Digest>, curve: Option<Oid>) -> Result<Scheme, PkixError> {
    if algorithm.oid != oid::RSA_PSS && !algorithm.is_plain() && algorithm.oid != oid::EC_PUBLIC_KEY {
        return Err(PkixError::malformed("signature algorithm", "it has parameters that it cannot have"));
    }
    let scheme = match algorithm.oid {
        oid::SHA1_WITH_RSA => Scheme::Pkcs1(Digest::Sha1),
        oid::SHA256_WITH_RSA => Scheme::Pkcs1(Digest::Sha256),
        oid::SHA384_WITH_RSA => Scheme::Pkcs1(Digest::Sha384),
        oid::SHA512_WITH_RSA => Scheme::Pkcs1(Digest::Sha512),
        oid::RSA_PSS => Scheme::Pss(pss_digest(algorithm)?),
        oid::ECDSA_WITH_SHA256 => Scheme::Ecdsa(Digest::Sha256),
        oid::ECDSA_WITH_SHA384 => Scheme::Ecdsa(Digest::Sha384),
        oid::ECDSA_WITH_SHA512 => Scheme::Ecdsa(Digest::Sha512),
        oid::ED25519 => Scheme::Ed25519,
        oid::SM2_WITH_SM3 => Scheme::Sm2,
        oid::RSA_ENCRYPTION => Scheme::Pkcs1(digest.ok_or_else(|| unsupported(algorithm))?),
        oid::EC_PUBLIC_KEY if curve == Some(oid::SM2) => Scheme::Sm2,
        oid::EC_PUBLIC_KEY => Scheme::Ecdsa(digest.ok_or_else(|| unsupported(algorithm))?),
        _ => return Err(unsupported(algorithm)),
    };
    let named = named_digest(scheme);
    match (digest, named) {
        (Some(a), Some(b)) if a != b => Err(PkixError::Mismatch {
            what: "signature algorithm",
            why: format!("it signs under {b}, and its signer names {a}"),
        }),
        _ => Ok(scheme),
    }
}

fn named_digest(scheme: Scheme) -> Option<Digest> {
    match scheme {
        Scheme::Pkcs1(digest) | Scheme::Pss(digest) | Scheme::Ecdsa(digest) => Some(digest),
        Scheme::Sm2 => Some(Digest::Sm3),
        Scheme::Ed25519 => None,
    }
}

/// The digest that an algorithm of a certificate or list signs under; none where it cannot be told.
#[must_use]
pub fn digest_of(algorithm: &AlgorithmId) -> Option<Digest> {
    named_digest(scheme(algorithm, None, None).ok()?)
}

/// `RSASSA-PSS-params` (RFC 8017 §A.2.3) as everybody uses them: one digest for the message and for MGF1, and a salt
/// of its length. AWS-LC checks the length of the salt.
fn pss_digest(algorithm: &AlgorithmId) -> Result<Digest, PkixError> {
    let mut inner = Reader::new(&algorithm.parameters).sequence().map_err(|e| e.of("PSS parameters"))?;
    let mut hash = Digest::Sha1;
    let mut mask = Digest::Sha1;
    if let Some(value) = inner.optional(tag::constructed(0))? {
        hash = Digest::from_oid(AlgorithmId::read(&mut value.reader())?.oid)?;
    }
    if let Some(value) = inner.optional(tag::constructed(1))? {
        let generator = AlgorithmId::read(&mut value.reader())?;
        if generator.oid != oid::MGF1 {
            return Err(PkixError::Unsupported { what: "mask generation function", oid: generator.oid });
        }
        let inner = Value::parse(&generator.parameters)?;
        mask = Digest::from_oid(AlgorithmId::read(&mut Reader::new(inner.raw))?.oid)?;
    }
    match hash == mask {
        true => Ok(hash),
        false => Err(unsupported(algorithm)),
    }
}
