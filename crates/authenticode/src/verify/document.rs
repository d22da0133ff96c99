//! Signatures of documents that are no images: of a catalogue, of a code-integrity policy.
//!
//! The content stands inside the PKCS #7; each signer is judged by the rules of an image's, and the document holds as
//! an image does: nothing wrong with the bytes in any signature, and one signature that breaks no rule.

use pkix::cms::SignedData;
use pkix::der::Value;
use pkix::{Digest, Oid};

use super::report::{Finding, Signature};
use super::rules::{Kind, Rule};
use super::{Request, signature};
use crate::error::{AuthenticodeError, Result};

/// A document and its signatures.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// The content, one DER value.
    pub content: Value<'a>,
    /// The signatures, in their order.
    pub signatures: Vec<Signature>,
}

impl Document<'_> {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        let mut findings = self.signatures.iter().flat_map(|signature| &signature.findings);
        findings.all(|finding| finding.rule.kind() != Kind::Integrity)
            && self.signatures.iter().any(Signature::holds)
    }
}

/// Checks every signature over the content, which must be of `content_type`.
///
/// # Errors
/// When the bytes are no signed data of this type, or something stands behind them; what does not hold is in the
/// findings of the signatures.
pub fn document<'a>(pkcs7: &'a [u8], content_type: Oid, request: &Request<'_>) -> Result<Document<'a>> {
    let bad = |why: String| AuthenticodeError::malformed("signed document", why);
    let signed = SignedData::read(pkcs7)?;
    if signed.len != pkcs7.len() {
        return Err(bad(format!("{} bytes stand behind it", pkcs7.len() - signed.len)));
    }
    if signed.content_type != content_type {
        return Err(bad(format!("its content is {}, not {content_type}", signed.content_type)));
    }
    let content = signed.content.ok_or_else(|| bad("its content stands elsewhere".to_owned()))?;
    let mut signatures = Vec::new();
    for (signer, place) in signed.signers.iter().zip(1..) {
        let mut out = Signature::new(format!("{place}"), request.now);
        let judged = signature::attributes(signer, &mut out)
            .and_then(|()| signature::judge(signer, &signed, content, request, &mut out));
        match judged {
            Ok(_) => {}
            Err(error @ AuthenticodeError::Io { .. }) => return Err(error),
            Err(error) => out.findings.push(Finding::of(Rule::Malformed, error)),
        }
        if Digest::from_oid(signer.digest.oid).is_ok_and(Digest::is_weak) {
            out.findings.push(Finding::of(Rule::WeakDigest, "the content"));
        }
        signatures.push(out);
    }
    Ok(Document { content, signatures })
}
