//! Timestamps of RFC 3161: the request, the response, and whether a token dates these bytes.

use crate::certificate::Certificate;
use crate::chain::{self, Chain, Fault};
use crate::cms::{SignedData, SignerInfo};
use crate::der::{self, Reader, Value, octets, sequence, small, tag, unsigned_integer};
use crate::digest::Digest;
use crate::error::PkixError;
use crate::oid;
use crate::signature::AlgorithmId;
use crate::time::Time;

/// A larger response is not read: it holds a signature and a few certificates.
pub const MAX_RESPONSE: usize = 256 * 1024;

/// What was asked for, so that the answer can be held against it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    digest: Digest,
    imprint: Vec<u8>,
    nonce: Vec<u8>,
}

impl Request {
    /// A request for a token over `message`. `nonce` binds the answer to this request; the caller draws it.
    #[must_use]
    pub fn new(digest: Digest, message: &[u8], nonce: [u8; 8]) -> Self {
        Self::of_imprint(digest, digest.of(message), nonce)
    }

    /// A request for a token over what has this digest: for messages that are read as a stream.
    #[must_use]
    pub fn of_imprint(digest: Digest, imprint: Vec<u8>, nonce: [u8; 8]) -> Self {
        Self { digest, imprint, nonce: nonce.to_vec() }
    }

    /// `TimeStampReq` (§2.4.1), asking for the authority's certificate.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        sequence(&[
            &small(1),
            &sequence(&[&self.digest.algorithm(), &octets(&self.imprint)]),
            &unsigned_integer(&self.nonce),
            &der::value(tag::BOOLEAN, &[0xff]),
        ])
    }

    /// The token of a `TimeStampResp` (§2.4.2), if it answers this request: granted, over the same imprint, with the
    /// same nonce, and signed by a certificate that it carries. Whether that certificate is to be trusted is decided
    /// by [`Token::verify`].
    ///
    /// # Errors
    /// [`PkixError::Declined`] with the authority's words; [`PkixError::Mismatch`] for an answer to something else.
    pub fn token<'a>(&self, response: &'a [u8]) -> Result<&'a [u8], PkixError> {
        let token = unmatched_token(response)?;
        let read = Token::read(token)?;
        let info = read.info()?;
        if info.digest != self.digest || info.imprint != self.imprint {
            return Err(mismatch("it is over other bytes"));
        }
        let nonce = unsigned_integer(&self.nonce);
        if info.nonce.is_none_or(|found| der::value(tag::INTEGER, found) != nonce) {
            return Err(mismatch("its nonce is not that of the request"));
        }
        read.signature()?;
        Ok(token)
    }
}

/// The token of a `TimeStampResp` that was granted to somebody: whether it is over the right bytes, [`Token::verify`]
/// says.
///
/// # Errors
/// [`PkixError::Declined`] with the authority's words; when it is no response.
pub fn unmatched_token(response: &[u8]) -> Result<&[u8], PkixError> {
    if response.len() > MAX_RESPONSE {
        return Err(bad("it is larger than 256 KiB"));
    }
    let mut outer = Value::parse(response).map_err(|e| e.of("timestamp response"))?.reader();
    granted(outer.sequence().map_err(|e| e.of("timestamp response"))?)?;
    Ok(outer.any().map_err(|_| bad("there is no token in it"))?.raw)
}

/// `PKIStatusInfo` (§2.4.2): 0 granted, 1 granted with modifications.
fn granted(mut status: Reader<'_>) -> Result<(), PkixError> {
    let code = status.small().map_err(|e| e.of("timestamp response"))?;
    if code <= 1 {
        return Ok(());
    }
    let words = status.optional(tag::SEQUENCE).ok().flatten().and_then(|list| list.reader().any().ok());
    let words = words.map(crate::name::text).unwrap_or_default();
    Err(PkixError::Declined {
        who: "the timestamp authority",
        why: format!("status {code} {words}").trim_end().into(),
    })
}

/// A token: signed data over a `TSTInfo`.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    signed: SignedData<'a>,
}

/// What a token says (§2.4.2), unchecked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Info<'a> {
    /// The digest of the imprint.
    pub digest: Digest,
    /// The digest of what was dated.
    pub imprint: &'a [u8],
    /// When.
    pub time: Time,
    /// Content octets of the nonce.
    pub nonce: Option<&'a [u8]>,
    /// Content octets of the token's serial number.
    pub serial: &'a [u8],
}

/// A token that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dated {
    /// When.
    pub time: Time,
    /// The digest of the imprint.
    pub digest: Digest,
    /// The authority's path to an anchor.
    pub chain: Chain,
}

/// Why a token does not count.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenFault {
    /// The token itself.
    #[error(transparent)]
    Token(#[from] PkixError),
    /// The authority is not trusted.
    #[error("the authority is not trusted: {0}")]
    Chain(Box<Fault>),
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// When it is no signed data over a `TSTInfo`.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PkixError> {
        let signed = SignedData::read(bytes).map_err(|e| e.of("timestamp token"))?;
        if signed.content_type != oid::TST_INFO {
            return Err(PkixError::Unsupported { what: "timestamp content", oid: signed.content_type });
        }
        Ok(Self { signed })
    }

    /// The certificates in it.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.signed.certificates
    }

    fn content(&self) -> Result<&'a [u8], PkixError> {
        let content = self.signed.content.filter(|content| content.tag == tag::OCTET_STRING);
        Ok(content.ok_or_else(|| bad("it has no content"))?.body)
    }

    /// What it says.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn info(&self) -> Result<Info<'a>, PkixError> {
        info(self.content()?).map_err(|e| e.of("timestamp token"))
    }

    /// The authority's certificate, after its signature was found good and bound to it (§2.4.2: ESSCertID or, by
    /// RFC 5816, ESSCertIDv2).
    ///
    /// # Errors
    /// When the token does not carry the certificate, or the signature is not by it.
    pub fn signature(&self) -> Result<&Certificate, PkixError> {
        self.signature_with(&[])
    }

    fn signature_with<'c>(&'c self, others: &'c [Certificate]) -> Result<&'c Certificate, PkixError> {
        let [signer] = self.signed.signers.as_slice() else {
            return Err(bad("it has not exactly one signer"));
        };
        let certificate = self
            .signed
            .certificate_of(signer, others)
            .ok_or_else(|| bad(format!("the authority's certificate ({}) is missing", signer.id)))?;
        signer.verify(certificate, oid::TST_INFO, self.content()?)?;
        check_signing_certificate(signer, certificate)?;
        Ok(certificate)
    }

    /// Whether it dates `message`, by an authority that leads to one of `anchors` and was valid at that very time.
    ///
    /// # Errors
    /// With the first thing that does not hold.
    pub fn verify(
        &self,
        message: &[u8],
        anchors: &[Certificate],
        others: &[Certificate],
    ) -> Result<Dated, TokenFault> {
        self.verify_imprint(|digest| Some(digest.of(message)), anchors, others)
    }

    /// As [`Token::verify`] for what has the digest that `imprint` gives, where it knows one under that algorithm.
    ///
    /// # Errors
    /// As [`Token::verify`].
    pub fn verify_imprint(
        &self,
        imprint: impl FnOnce(Digest) -> Option<Vec<u8>>,
        anchors: &[Certificate],
        others: &[Certificate],
    ) -> Result<Dated, TokenFault> {
        let info = self.info()?;
        let own = imprint(info.digest)
            .ok_or(PkixError::Unsupported { what: "digest of this timestamp", oid: info.digest.oid() })?;
        if own != info.imprint {
            return Err(mismatch("it is over other bytes").into());
        }
        if info.digest.is_weak() {
            return Err(
                PkixError::Unsupported { what: "digest of a timestamp", oid: info.digest.oid() }.into()
            );
        }
        let certificate = self.signature_with(others)?;
        check_purpose(certificate)?;
        let mut between = self.signed.certificates.clone();
        between.extend_from_slice(others);
        let request =
            chain::Request { anchors, others: &between, purpose: oid::KP_TIME_STAMPING, at: info.time };
        let chain = chain::build(certificate, &request).map_err(TokenFault::Chain)?;
        Ok(Dated { time: info.time, digest: info.digest, chain })
    }
}

/// §2.3: "the extended key usage field extension [...] with KeyPurposeID having value id-kp-timeStamping", critical,
/// and no other purpose.
fn check_purpose(certificate: &Certificate) -> Result<(), PkixError> {
    match &certificate.extensions.extended_key_usage {
        Some(usage) if usage.critical && usage.purposes == [oid::KP_TIME_STAMPING] => Ok(()),
        _ => Err(mismatch("its signer is not for timestamping alone, critically (RFC 3161 §2.3)")),
    }
}

fn info(content: &[u8]) -> Result<Info<'_>, PkixError> {
    let mut inner = Value::parse(content)?.reader();
    if inner.small()? != 1 {
        return Err(bad("it is not of version 1"));
    }
    inner.oid()?; // policy
    let mut imprint = inner.sequence()?;
    let digest = Digest::from_oid(AlgorithmId::read(&mut imprint)?.oid)?;
    let hashed = imprint.octets()?;
    let serial = inner.integer()?;
    let time = inner.expect(tag::GENERALIZED_TIME)?;
    inner.optional(tag::SEQUENCE)?; // accuracy
    inner.boolean_or(false)?; // ordering
    let nonce = match inner.peek() {
        Some(tag::INTEGER) => Some(inner.integer()?),
        _ => None,
    };
    Ok(Info { digest, imprint: hashed, time: Time::from_value(time)?, nonce, serial })
}

/// RFC 5035 §5.4 and §3: the first identifier is that of the signer's certificate.
fn check_signing_certificate(signer: &SignerInfo<'_>, certificate: &Certificate) -> Result<(), PkixError> {
    let hash = |value: Value<'_>, second: bool| -> Result<bool, PkixError> {
        let mut first = value.reader().sequence()?.sequence()?;
        let digest = match second {
            false => Digest::Sha1,
            true if first.peek() == Some(tag::SEQUENCE) => {
                Digest::from_oid(AlgorithmId::read(&mut first)?.oid)?
            }
            true => Digest::Sha256,
        };
        Ok(first.octets()? == digest.of(certificate.as_der()))
    };
    let bound = if let Some(value) = signer.signed_attribute(oid::SIGNING_CERTIFICATE_V2)? {
        hash(value, true).map_err(|e| e.of("signing certificate attribute"))?
    } else if let Some(value) = signer.signed_attribute(oid::SIGNING_CERTIFICATE)? {
        hash(value, false).map_err(|e| e.of("signing certificate attribute"))?
    } else {
        return Err(mismatch("its signer is not bound by an ESS attribute (RFC 3161 §2.4.2)"));
    };
    match bound {
        true => Ok(()),
        false => Err(mismatch("the certificate in it is not the one that its signer names")),
    }
}

fn bad(why: impl Into<String>) -> PkixError {
    PkixError::malformed("timestamp token", why)
}

fn mismatch(why: &str) -> PkixError {
    PkixError::Mismatch { what: "timestamp", why: why.to_owned() }
}
