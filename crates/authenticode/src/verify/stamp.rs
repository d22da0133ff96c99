//! The timestamps beside a signature.

use pkix::chain;
use pkix::cms::{SignedData, SignerInfo};
use pkix::tsp::{Token, TokenFault};
use pkix::{Certificate, Digest, PkixError, Time};

use super::Request;
use super::report::{Finding, Signature, Stamp, StampKind};
use super::rules::Rule;
use crate::oid;

/// Checks every timestamp, and gives the earliest that counts.
pub(super) fn check(
    signer: &SignerInfo<'_>,
    signed: &SignedData<'_>,
    request: &Request<'_>,
    out: &mut Signature,
) -> Option<Time> {
    let mut others = signed.certificates.clone();
    others.extend_from_slice(request.others);
    for value in signer.unsigned_values(oid::SPC_RFC3161_TIMESTAMP) {
        let (stamp, finding) = token(value.raw, signer.signature, request.anchors, &others);
        out.stamps.push(stamp);
        out.findings.extend(finding);
    }
    for value in signer.unsigned_values(pkix::oid::COUNTERSIGNATURE) {
        let checked = SignerInfo::from_value(value).map_err(TokenFault::from);
        let mut stamp = Stamp { kind: StampKind::Legacy, time: None, authority: None, counts: false };
        let checked = checked.and_then(|countersigner| {
            stamp.time = countersigner.signing_time()?;
            legacy(&countersigner, signer.signature, request.anchors, &others, &mut stamp)
        });
        stamp.counts = checked.is_ok();
        out.findings.extend(checked.err().map(|fault| finding(&fault)));
        out.stamps.push(stamp);
    }
    out.stamps.iter().filter(|stamp| stamp.counts).filter_map(|stamp| stamp.time).min()
}

fn token(
    raw: &[u8],
    value: &[u8],
    anchors: &[Certificate],
    others: &[Certificate],
) -> (Stamp, Option<Finding>) {
    let mut stamp = Stamp { kind: StampKind::Rfc3161, time: None, authority: None, counts: false };
    let result = Token::read(raw).map_err(TokenFault::from).and_then(|token| {
        stamp.time = token.info().ok().map(|info| info.time);
        stamp.authority = token.signature().ok().map(|certificate| certificate.subject.to_string());
        token.verify(value, anchors, others)
    });
    stamp.counts = result.is_ok();
    (stamp, result.err().map(|fault| finding(&fault)))
}

/// A countersignature (PKCS #9) over the signature's bytes.
fn legacy(
    countersigner: &SignerInfo<'_>,
    value: &[u8],
    anchors: &[Certificate],
    others: &[Certificate],
    stamp: &mut Stamp,
) -> Result<(), TokenFault> {
    let missing = |why| PkixError::Malformed { what: "countersignature", why };
    let certificate = others.iter().find(|certificate| countersigner.id.is(certificate));
    let certificate =
        certificate.ok_or_else(|| missing(format!("its certificate ({}) is missing", countersigner.id)))?;
    stamp.authority = Some(certificate.subject.to_string());
    countersigner.verify(certificate, pkix::oid::DATA, value)?;
    // Under SHA-1 somebody could have two signatures dated by one countersignature.
    if Digest::from_oid(countersigner.digest.oid)?.is_weak() {
        return Err(
            PkixError::Unsupported { what: "digest of a timestamp", oid: countersigner.digest.oid }.into()
        );
    }
    let at = stamp.time.ok_or_else(|| missing("it says no time".to_owned()))?;
    let request = chain::Request { anchors, others, purpose: pkix::oid::KP_TIME_STAMPING, at };
    chain::build(certificate, &request).map_err(TokenFault::Chain)?;
    Ok(())
}

/// A token that is broken taints the file; one whose authority nobody here trusts only does not count.
fn finding(fault: &TokenFault) -> Finding {
    match fault {
        TokenFault::Token(error @ PkixError::Unsupported { .. }) => {
            Finding::of(Rule::TimestampUntrusted, error)
        }
        TokenFault::Token(error) => Finding::of(Rule::Timestamp, error),
        TokenFault::Chain(fault) => Finding::of(Rule::TimestampUntrusted, fault),
    }
}
