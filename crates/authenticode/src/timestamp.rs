//! Timestamps of a signature: RFC 3161 tokens, and the protocol that Authenticode had before.
//!
//! The older protocol sends the signature itself in a small envelope of its own and gets back signed data over it,
//! whose signer becomes a countersignature (PKCS #9). Windows still believes it; authorities still answer it.

use pkix::cms::{self, SignedData};
use pkix::tsp::Token;
use pkix::{Certificate, der};

use crate::error::{AuthenticodeError, Result};
use crate::oid;

/// A timestamp, ready to be put beside a signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Timestamp {
    /// An RFC 3161 token.
    Rfc3161(Vec<u8>),
    /// A countersignature and its certificates.
    Legacy(Vec<u8>, Vec<Certificate>),
}

/// The body of a legacy request for the signature `value`: DER, to be sent in base64.
#[must_use]
pub fn legacy_request(value: &[u8]) -> Vec<u8> {
    let content = der::sequence(&[&der::oid(pkix::oid::DATA), &der::explicit(0, &der::octets(value))]);
    der::sequence(&[&der::oid(oid::SPC_TIME_STAMP_REQUEST), &content])
}

impl Timestamp {
    /// A token over `value`, the signature's bytes. Its own signature is checked; whether its authority is trusted is
    /// for the verifier to say.
    ///
    /// # Errors
    /// When it is no token over these bytes, or its signature does not hold.
    pub fn rfc3161(token: &[u8], value: &[u8]) -> Result<Self> {
        let read = Token::read(token)?;
        let info = read.info()?;
        if info.digest.of(value) != info.imprint {
            return Err(AuthenticodeError::malformed("timestamp", "it is over other bytes"));
        }
        read.signature()?;
        Ok(Self::Rfc3161(token.to_vec()))
    }

    /// The answer of a legacy authority (DER) to the request for `value`.
    ///
    /// # Errors
    /// When it is no signed data over these bytes, or its signature does not hold.
    pub fn legacy(answer: &[u8], value: &[u8]) -> Result<Self> {
        let bad = |why| AuthenticodeError::malformed("legacy timestamp", why);
        let signed = SignedData::read(answer)?;
        let [signer] = signed.signers.as_slice() else { return Err(bad("it has not exactly one signer")) };
        let certificate = signed
            .certificate_of(signer, &[])
            .ok_or_else(|| bad("the authority's certificate is missing"))?;
        signer.verify(certificate, pkix::oid::DATA, value)?;
        if signer.signing_time()?.is_none() {
            return Err(bad("it says no time"));
        }
        Ok(Self::Legacy(signer.raw.to_vec(), signed.certificates.clone()))
    }
}

/// The signature with a timestamp beside it.
///
/// # Errors
/// When `pkcs7` is no signature.
pub fn attach(pkcs7: &[u8], timestamp: &Timestamp) -> Result<Vec<u8>> {
    Ok(match timestamp {
        Timestamp::Rfc3161(token) => {
            cms::add_unsigned(pkcs7, &[(oid::SPC_RFC3161_TIMESTAMP, token.clone())], &[])?
        }
        Timestamp::Legacy(signer, certificates) => {
            cms::add_unsigned(pkcs7, &[(pkix::oid::COUNTERSIGNATURE, signer.clone())], certificates)?
        }
    })
}

/// `first` with the signature `further` nested in it.
///
/// # Errors
/// When `first` is no signature.
pub fn nest(first: &[u8], further: &[u8]) -> Result<Vec<u8>> {
    Ok(cms::add_unsigned(first, &[(oid::SPC_NESTED_SIGNATURE, further.to_vec())], &[])?)
}

/// The bytes that a timestamp of `pkcs7` must be over: the first signer's signature.
///
/// # Errors
/// When it has no signer.
pub fn stamped_value(pkcs7: &[u8]) -> Result<Vec<u8>> {
    let signed = SignedData::read(pkcs7)?;
    let signer =
        signed.signers.first().ok_or_else(|| AuthenticodeError::malformed("signature", "nobody signed"))?;
    Ok(signer.signature.to_vec())
}
