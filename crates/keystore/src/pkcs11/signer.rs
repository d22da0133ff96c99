//! Signing with a key on a token.
//!
//! Digests are computed here and signed with the plainest mechanisms (`CKM_RSA_PKCS` over a `DigestInfo`, `CKM_ECDSA`
//! over a digest): every token has them, and a token hashes at the speed of a card.

use std::sync::Arc;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use pkix::der::{self, Reader, bits, octets, sequence, unsigned_integer};
use pkix::{Digest, oid};
use signing::{Algorithm, KeyId, Signer, SigningError};

use super::{Token, Uri, failed};
use crate::KeystoreError;

/// What a token says about the protection of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyFacts {
    /// `CKA_SENSITIVE`: its value cannot be read in plain.
    pub sensitive: bool,
    /// `CKA_EXTRACTABLE`: it could leave the token under another key.
    pub extractable: bool,
    /// `CKA_NEVER_EXTRACTABLE`: it never could.
    pub never_extractable: bool,
    /// `CKA_LOCAL`: it was made on the token.
    pub local: bool,
}

impl KeyFacts {
    /// Whether the key can be nowhere but on the token.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.sensitive && !self.extractable && self.never_extractable && self.local
    }
}

/// A private key on a token.
pub struct TokenSigner {
    token: Arc<Token>,
    key: ObjectHandle,
    algorithm: Algorithm,
    spki: Vec<u8>,
    facts: KeyFacts,
    id: Vec<u8>,
}

impl TokenSigner {
    /// Finds the private key that `uri` names. An RSA key signs under SHA-256 until [`TokenSigner::under`] says
    /// otherwise.
    ///
    /// # Errors
    /// When there is none or more than one, or its kind is not known here.
    pub fn open(token: Arc<Token>, uri: &Uri) -> Result<Self, KeystoreError> {
        let (key, facts, id, public) = {
            let session = token.session();
            let key = token.object(&session, ObjectClass::PRIVATE_KEY, uri)?;
            let (facts, id, kind) = describe(&session, key)?;
            (key, facts, id.clone(), public(&session, key, kind, &id)?)
        };
        let (algorithm, spki) = match public {
            Some(found) => found,
            None => from_certificate(&token, &id)?,
        };
        Ok(Self { token, key, algorithm, spki, facts, id })
    }

    /// The same key, signing under the digest of `algorithm`.
    ///
    /// # Errors
    /// When the key is not RSA, or `algorithm` is not.
    pub fn under(mut self, algorithm: Algorithm) -> Result<Self, KeystoreError> {
        let rsa = |a| matches!(a, Algorithm::RsaSha256 | Algorithm::RsaSha384 | Algorithm::RsaSha512);
        if !rsa(self.algorithm) || !rsa(algorithm) {
            return Err(KeystoreError::Uri {
                why: format!("a key for {} cannot sign {algorithm}", self.algorithm),
            });
        }
        self.algorithm = algorithm;
        Ok(self)
    }

    /// What the token says about the key's protection.
    #[must_use]
    pub fn facts(&self) -> KeyFacts {
        self.facts
    }

    /// Its `CKA_ID`: its certificate has the same.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    fn digest(&self) -> Digest {
        match self.algorithm {
            Algorithm::EcdsaP384 | Algorithm::RsaSha384 => Digest::Sha384,
            Algorithm::RsaSha512 => Digest::Sha512,
            _ => Digest::Sha256,
        }
    }
}

impl Signer for TokenSigner {
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
        let unavailable = |why: String| SigningError::KeyUnavailable { key: self.key_id().to_string(), why };
        let digest = self.digest();
        let hash = digest.of(message);
        let session = self.token.session();
        let sign = |mechanism: &Mechanism<'_>, data: &[u8]| {
            session.sign(mechanism, self.key, data).map_err(|e| unavailable(e.to_string()))
        };
        match self.algorithm {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => {
                let raw = sign(&Mechanism::Ecdsa, &hash)?;
                // The token's r ‖ s, each half the length (PKCS #11 §2.3.1), becomes ECDSA-Sig-Value.
                if raw.is_empty() || raw.len() % 2 != 0 {
                    return Err(unavailable("the token's signature is not two numbers".into()));
                }
                let (r, s) = raw.split_at(raw.len() / 2);
                Ok(sequence(&[&unsigned_integer(r), &unsigned_integer(s)]))
            }
            // DigestInfo, RFC 8017 §9.2.
            _ => sign(&Mechanism::RsaPkcs, &sequence(&[&digest.algorithm(), &octets(&hash)])),
        }
    }
}

fn describe(session: &Session, key: ObjectHandle) -> Result<(KeyFacts, Vec<u8>, KeyType), KeystoreError> {
    let wanted = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
        AttributeType::Local,
        AttributeType::Id,
        AttributeType::KeyType,
    ];
    // What a token does not say counts as the worse of the two.
    let mut facts = KeyFacts { sensitive: false, extractable: true, never_extractable: false, local: false };
    let (mut id, mut kind) = (Vec::new(), None);
    for attribute in session.get_attributes(key, &wanted).map_err(failed("read the key's attributes"))? {
        match attribute {
            Attribute::Sensitive(yes) => facts.sensitive = yes,
            Attribute::Extractable(yes) => facts.extractable = yes,
            Attribute::NeverExtractable(yes) => facts.never_extractable = yes,
            Attribute::Local(yes) => facts.local = yes,
            Attribute::Id(bytes) => id = bytes,
            Attribute::KeyType(found) => kind = Some(found),
            _ => {}
        }
    }
    let kind =
        kind.ok_or_else(|| KeystoreError::Uri { why: "the key does not say of what kind it is".into() })?;
    Ok((facts, id, kind))
}

type Public = (Algorithm, Vec<u8>);

/// The public half, from the private key's own attributes (RSA) or the public object of the same id (EC).
fn public(
    session: &Session,
    key: ObjectHandle,
    kind: KeyType,
    id: &[u8],
) -> Result<Option<Public>, KeystoreError> {
    let mut objects = vec![key];
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id.to_vec())];
    objects.extend(session.find_objects(&template).map_err(failed("look for the public key"))?);
    let wanted = [
        AttributeType::Modulus,
        AttributeType::PublicExponent,
        AttributeType::EcParams,
        AttributeType::EcPoint,
    ];
    for object in objects {
        let attributes = session.get_attributes(object, &wanted).map_err(failed("read the public key"))?;
        let (mut modulus, mut exponent, mut curve, mut point) = (None, None, None, None);
        for attribute in attributes {
            match attribute {
                Attribute::Modulus(v) if !v.is_empty() => modulus = Some(v),
                Attribute::PublicExponent(v) if !v.is_empty() => exponent = Some(v),
                Attribute::EcParams(v) if !v.is_empty() => curve = Some(v),
                Attribute::EcPoint(v) if !v.is_empty() => point = Some(v),
                _ => {}
            }
        }
        match (kind, modulus, exponent, curve, point) {
            (KeyType::RSA, Some(n), Some(e), ..) => {
                return Ok(Some((Algorithm::RsaSha256, rsa_spki(&n, &e))));
            }
            (KeyType::EC, _, _, Some(curve), Some(point)) => return ec_spki(&curve, &point).map(Some),
            _ => {}
        }
    }
    Ok(None)
}

/// Cards often keep no public key but its certificate.
fn from_certificate(token: &Token, id: &[u8]) -> Result<Public, KeystoreError> {
    let found = token.certificates()?.into_iter().find(|(own, _)| own == id);
    let (_, certificate) = found.ok_or_else(|| KeystoreError::Uri {
        why: "the token has neither public key nor certificate of it".into(),
    })?;
    let algorithm = match certificate.key.algorithm.oid {
        oid::RSA_ENCRYPTION => Algorithm::RsaSha256,
        _ => curve_algorithm(&certificate.key.algorithm.parameters)?,
    };
    Ok((algorithm, certificate.key.spki))
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = sequence(&[&unsigned_integer(modulus), &unsigned_integer(exponent)]);
    sequence(&[&der::algorithm(oid::RSA_ENCRYPTION, der::NULL), &bits(&key)])
}

fn ec_spki(curve: &[u8], point: &[u8]) -> Result<Public, KeystoreError> {
    let algorithm = curve_algorithm(curve)?;
    // PKCS #11 §2.3.3: the point is the encoding of an OCTET STRING; some tokens hand out the bare point.
    let bare = Reader::new(point).octets().unwrap_or(point);
    Ok((algorithm, sequence(&[&der::algorithm(oid::EC_PUBLIC_KEY, curve), &bits(bare)])))
}

fn curve_algorithm(parameters: &[u8]) -> Result<Algorithm, KeystoreError> {
    match Reader::new(parameters).oid() {
        Ok(oid::P256) => Ok(Algorithm::EcdsaP256),
        Ok(oid::P384) => Ok(Algorithm::EcdsaP384),
        _ => Err(KeystoreError::Uri { why: "its curve is neither P-256 nor P-384".into() }),
    }
}
