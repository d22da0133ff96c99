//! OCSP responses (RFC 6960), as a responder sent them and somebody saved them.

use super::{Verdict, fresh};
use crate::certificate::Certificate;
use crate::chain;
use crate::der::{Reader, Value, tag};
use crate::digest::Digest;
use crate::error::PkixError;
use crate::oid;
use crate::signature::AlgorithmId;
use crate::time::Time;

/// A larger response is not read.
pub const MAX_OCSP: usize = 256 * 1024;

/// A response, unchecked until it is asked.
#[derive(Clone, Debug)]
pub struct OcspResponse {
    data: Vec<u8>,
    algorithm: AlgorithmId,
    signature: Vec<u8>,
    certificates: Vec<Certificate>,
    answers: Vec<Answer>,
}

/// What is said of one certificate.
#[derive(Clone, Debug)]
struct Answer {
    digest: Digest,
    issuer_name: Vec<u8>,
    issuer_key: Vec<u8>,
    serial: Vec<u8>,
    /// None: the responder does not know it.
    verdict: Option<Verdict>,
    this_update: Time,
    next_update: Option<Time>,
}

fn bad(why: impl Into<String>) -> PkixError {
    PkixError::malformed("OCSP response", why)
}

impl OcspResponse {
    /// Reads a response in DER.
    ///
    /// # Errors
    /// When it is none, or [`PkixError::Declined`] when it says nothing but an error.
    pub fn from_der(der: &[u8]) -> Result<Self, PkixError> {
        if der.len() > MAX_OCSP {
            return Err(bad("it is larger than 256 KiB"));
        }
        Self::read(der).map_err(|e| e.of("OCSP response"))
    }

    fn read(der: &[u8]) -> Result<Self, PkixError> {
        let mut outer = Value::parse(der)?.reader();
        let status = outer.expect(tag::ENUMERATED)?;
        if status.body != [0] {
            return Err(PkixError::Declined {
                who: "the OCSP responder",
                why: format!("status {:?}", status.body),
            });
        }
        let mut bytes = outer.expect(tag::constructed(0))?.reader().sequence()?;
        let kind = bytes.oid()?;
        if kind != oid::OCSP_BASIC {
            return Err(PkixError::Unsupported { what: "OCSP response", oid: kind });
        }
        let mut basic = Value::parse(bytes.octets()?)?.reader();
        let data = basic.expect(tag::SEQUENCE)?;
        let algorithm = AlgorithmId::read(&mut basic)?;
        let signature = basic.bits()?.to_vec();
        let mut certificates = Vec::new();
        if let Some(list) = basic.optional(tag::constructed(0))? {
            let mut list = list.reader().sequence()?;
            while !list.is_empty() && certificates.len() < 32 {
                certificates.push(Certificate::from_der(list.any()?.raw)?);
            }
        }
        let answers = answers(data.reader())?;
        Ok(Self { data: data.raw.to_vec(), algorithm, signature, certificates, answers })
    }

    /// What it says of a certificate; none when it is about others.
    pub(super) fn verdict(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        others: &[Certificate],
        now: Time,
    ) -> Result<Option<Verdict>, PkixError> {
        let Some(answer) = self.answers.iter().find(|answer| answer.is_about(certificate, issuer)) else {
            return Ok(None);
        };
        self.check_signature(issuer, others, now)?;
        match &answer.verdict {
            None => Err(PkixError::Declined {
                who: "the OCSP responder",
                why: "it does not know the certificate".into(),
            }),
            Some(Verdict::Good(at)) => {
                fresh("OCSP response", answer.this_update, answer.next_update, now)?;
                Ok(Some(Verdict::Good(*at)))
            }
            Some(revoked) => Ok(Some(revoked.clone())),
        }
    }

    /// §4.2.2.2: the issuer itself, or somebody to whom the issuer gave a certificate for just that.
    fn check_signature(
        &self,
        issuer: &Certificate,
        others: &[Certificate],
        now: Time,
    ) -> Result<(), PkixError> {
        let by = |key: &Certificate| key.key.verify(&self.algorithm, None, &self.data, &self.signature);
        if by(issuer).is_ok() {
            return Ok(());
        }
        let mut last = PkixError::BadSignature { what: "an OCSP response".into() };
        for responder in self.certificates.iter().chain(others) {
            if by(responder).is_err() {
                continue;
            }
            let anchors = std::slice::from_ref(issuer);
            let request = chain::Request { anchors, others: &[], purpose: oid::KP_OCSP_SIGNING, at: now };
            match chain::build(responder, &request) {
                Ok(_) => return Ok(()),
                Err(fault) => last = PkixError::Mismatch { what: "OCSP responder", why: fault.to_string() },
            }
        }
        Err(last)
    }
}

impl Answer {
    fn is_about(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        certificate.serial == self.serial
            && self.digest.of(issuer.subject.as_der()) == self.issuer_name
            && self.digest.of(&issuer.key.key) == self.issuer_key
    }
}

fn answers(mut data: Reader<'_>) -> Result<Vec<Answer>, PkixError> {
    data.optional(tag::constructed(0))?; // version
    data.any()?; // responderID: the signature shows who it was
    data.expect(tag::GENERALIZED_TIME)?; // producedAt
    let mut list = data.sequence()?;
    let mut out = Vec::new();
    while !list.is_empty() {
        out.push(answer(list.sequence()?)?);
        if out.len() > 256 {
            return Err(bad("it has more than 256 answers"));
        }
    }
    Ok(out)
}

fn answer(mut one: Reader<'_>) -> Result<Answer, PkixError> {
    let mut id = one.sequence()?;
    let digest = Digest::from_oid(AlgorithmId::read(&mut id)?.oid)?;
    let (issuer_name, issuer_key) = (id.octets()?.to_vec(), id.octets()?.to_vec());
    let serial = id.integer()?.to_vec();
    let status = one.any()?;
    let this_update = Time::from_value(one.expect(tag::GENERALIZED_TIME)?)?;
    let next_update = match one.optional(tag::constructed(0))? {
        Some(next) => Some(Time::from_value(next.reader().any()?)?),
        None => None,
    };
    let verdict = match status.tag {
        found if found == tag::context(0) => Some(Verdict::Good(this_update)),
        found if found == tag::constructed(1) => {
            let mut inner = status.reader();
            let at = Time::from_value(inner.any()?)?;
            let reason =
                inner.optional(tag::constructed(0))?.and_then(|v| v.body.last().copied()).unwrap_or(0);
            Some(Verdict::Revoked { at, reason })
        }
        found if found == tag::context(2) => None,
        _ => return Err(bad("an answer is neither good, revoked nor unknown")),
    };
    Ok(Answer { digest, issuer_name, issuer_key, serial, verdict, this_update, next_update })
}
