//! Oracles for hostile bytes, shared by the fuzz targets and the tests. Each panics on a broken property.

use crate::cms::SignedData;
use crate::der::{Reader, Value};
use crate::revocation::{Crl, Evidence, OcspResponse};
use crate::tsp::{Request, Token};
use crate::{Certificate, Digest, Time, chain, oid};

/// Certificates: what is read is read again from its own encoding, and nobody but itself vouches for it.
pub fn certificate(data: &[u8]) {
    let Ok(certificate) = Certificate::from_der(data) else { return };
    assert_eq!(certificate.as_der(), data, "a certificate loses bytes");
    assert_eq!(Certificate::from_der(certificate.as_der()).as_ref(), Ok(&certificate));
    let _ = (certificate.subject.to_string(), certificate.key.describe(), certificate.serial_hex());
    let others = [certificate.clone()];
    let at = Time(1_795_163_445);
    let request = chain::Request { anchors: &[], others: &others, purpose: oid::KP_CODE_SIGNING, at };
    assert!(chain::build(&certificate, &request).is_err(), "a chain ends at nobody");
}

/// Signed data: reading ends, within the bytes, and a second reading of the same part is the same.
pub fn signed_data(data: &[u8]) {
    let Ok(signed) = SignedData::read(data) else { return };
    assert!(signed.len <= data.len());
    let again = SignedData::read(&data[..signed.len]);
    assert!(again.is_ok_and(|again| again.signers.len() == signed.signers.len()));
    for signer in &signed.signers {
        if let (Some(certificate), Some(content)) = (signed.certificate_of(signer, &[]), signed.content) {
            let _ = signer.verify(certificate, signed.content_type, content.body);
        }
    }
    if let Ok(more) =
        crate::cms::add_unsigned(&data[..signed.len], &[(oid::SIGNING_TIME, Time(0).to_der())], &[])
    {
        let value = |signed: &SignedData<'_>| signed.signers.first().map(|s| s.signature.to_vec());
        if let Ok(again) = SignedData::read(&more) {
            assert_eq!(value(&again), value(&signed), "a signature changes");
        }
    }
}

/// Timestamps: no answer made without the nonce is accepted.
pub fn timestamp(data: &[u8]) {
    let request = Request::new(Digest::Sha256, data, [0xa5; 8]);
    assert!(request.token(data).is_err(), "an answer that nobody gave is accepted");
    if let Ok(token) = Token::read(data) {
        let _ = (token.info(), token.signature().map(|c| c.subject.to_string()));
        assert!(token.verify(b"message", &[], &[]).is_err(), "a token of nobody counts");
    }
}

/// Lists and responses: reading ends.
pub fn revocation(data: &[u8]) {
    let _ = (Crl::from_der(data).is_ok(), OcspResponse::from_der(data).is_ok());
    let _ = Crl::from_pem_or_der(data).is_ok();
}

/// Certificates, lists and responses, one behind the other: a path from the first to the last, if there is one, has each
/// certificate once, and whatever is said of it is said of one of its certificates.
pub fn path(data: &[u8]) {
    let mut values = Reader::new(data);
    let (mut certificates, mut evidence) = (Vec::new(), Evidence::default());
    while let Ok(Value { raw, .. }) = values.any() {
        if let Ok(certificate) = Certificate::from_der(raw) {
            certificates.push(certificate);
        } else if let Ok(crl) = Crl::from_der(raw) {
            evidence.crls.push(crl);
        } else if let Ok(response) = OcspResponse::from_der(raw) {
            evidence.ocsp.push(response);
        }
    }
    let Some((first, others)) = certificates.split_first() else { return };
    let anchors = &others[others.len().saturating_sub(1)..];
    let at = Time(1_795_163_445);
    let request = chain::Request { anchors, others, purpose: oid::KP_CODE_SIGNING, at };
    let Ok(chain) = chain::build(first, &request) else { return };
    let path = &chain.certificates;
    assert_eq!(path.first(), Some(first));
    assert!(path.last().is_some_and(|last| anchors.contains(last)), "a path ends at nobody");
    let once = |at: usize| !path[..at].contains(&path[at]);
    assert!((0..path.len()).all(once), "a path goes round");
    for said in evidence.statements(&chain, others, at) {
        assert!(path.contains(&said.certificate));
    }
}
