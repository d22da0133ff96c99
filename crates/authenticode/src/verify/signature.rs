//! One signature.

use pkix::chain;
use pkix::cms::{SignedData, SignerInfo};
use pkix::der::Value;
use pkix::{Certificate, Digest, PkixError};

use super::report::{Finding, Signature};
use super::rules::Rule;
use super::{Facts, Place, Request, stamp};
use crate::attribute::{OpusInfo, SealRoots};
use crate::content::IndirectData;
use crate::error::{AuthenticodeError, Result};
use crate::oid;

/// SHA-1 thumbprints of the roots at which the path of a driver's signer may end (Microsoft, "Cross-Certificates for
/// Kernel Mode Code Signing"; the roots of the hardware portal).
const KERNEL_ROOTS: &[&str] = &[
    "8fbe4d070ef8ab1bccaf2a9d5ccae7282a2c66b3", // Microsoft Code Verification Root
    "a43489159a520f0d93d032ccaf37e7fe20a8b419", // Microsoft Root Authority
    "cdd4eeae6000ac7f40c3802c171e30148030c072", // Microsoft Root Certificate Authority
    "3b1efd3a66ea28b16697394703a72ca340a05bd5", // Microsoft Root Certificate Authority 2010
    "8f43288ad272f3103b6fb1428485ea3014c0bcfe", // Microsoft Root Certificate Authority 2011
];

pub(super) fn check(place: &Place<'_>, facts: &Facts<'_>) -> Result<Signature> {
    let mut out = Signature::new(place.name.clone(), facts.request.now);
    // What cannot be read is a finding of this signature: the others are still worth hearing about.
    if let Err(error) = examine(place, facts, &mut out) {
        match error {
            AuthenticodeError::Io { .. } => return Err(error),
            other => out.findings.push(Finding::of(Rule::Malformed, other)),
        }
    }
    Ok(out)
}

fn examine(place: &Place<'_>, facts: &Facts<'_>, out: &mut Signature) -> Result<()> {
    let signed = SignedData::read(place.pkcs7)?;
    let bad = |why: String| AuthenticodeError::malformed("signature", why);
    if signed.content_type != oid::SPC_INDIRECT_DATA {
        return Err(bad(format!("its content is {}, and no digest of an image", signed.content_type)));
    }
    let value = signed.content.ok_or_else(|| bad("it has no content".to_owned()))?;
    let content = IndirectData::read(value)?;
    check_image(&content, facts, out);
    let [signer] = signed.signers.as_slice() else {
        out.findings.push(Finding::of(Rule::SignerCount, format!("it has {}", signed.signers.len())));
        return Ok(());
    };
    attributes(signer, out)?;
    if Digest::from_oid(signer.digest.oid)? != content.algorithm || signed.digests != [signer.digest.oid] {
        out.findings.push(Finding::new(Rule::DigestMismatch));
    }
    if place.name.contains('.') && signer.unsigned_values(oid::SPC_NESTED_SIGNATURE).next().is_some() {
        out.findings.push(Finding::new(Rule::NestedDeep));
    }
    if judge(signer, &signed, value, facts.request, out)? {
        kernel(content.algorithm, facts, out);
    }
    Ok(())
}

/// The signer of what was read: whether it signed this content, when, and whether it leads to an anchor. False when it
/// did not sign.
pub(super) fn judge(
    signer: &SignerInfo<'_>,
    signed: &SignedData<'_>,
    content: Value<'_>,
    request: &Request<'_>,
    out: &mut Signature,
) -> Result<bool> {
    if signer.signed_attribute(pkix::oid::MESSAGE_DIGEST)?.is_none()
        || signer.signed_attribute(pkix::oid::CONTENT_TYPE)?.is_none()
    {
        out.findings.push(Finding::new(Rule::NoAttributes));
        return Ok(false);
    }
    let Some(certificate) = signed.certificate_of(signer, request.others) else {
        out.findings.push(Finding::of(Rule::SignerCertificate, &signer.id));
        return Ok(false);
    };
    out.signer = Some(certificate.clone());
    if let Err(error) = signer.verify(certificate, signed.content_type, content.body) {
        out.findings.push(refused(&error).at(certificate));
        return Ok(false);
    }
    let stamped = stamp::check(signer, signed, request, out);
    let lifetime = certificate
        .extensions
        .extended_key_usage
        .as_ref()
        .is_some_and(|usage| usage.purposes.contains(&oid::LIFETIME_SIGNING));
    if lifetime && stamped.is_some() {
        out.findings.push(Finding::new(Rule::LifetimeSigning).at(certificate));
    }
    out.judged_at = stamped.filter(|_| !lifetime).unwrap_or(request.now);
    path(certificate, signed, request, out);
    Ok(true)
}

pub(super) fn refused(error: &PkixError) -> Finding {
    match error {
        PkixError::Unsupported { .. } => Finding::of(Rule::Algorithm, error),
        _ => Finding::of(Rule::Signature, error),
    }
}

fn check_image(content: &IndirectData, facts: &Facts<'_>, out: &mut Signature) {
    out.digest = Some((content.algorithm, content.digest.clone()));
    match facts.found.digest(content.algorithm) {
        Some(found) if found == content.digest => {}
        found => {
            let detail = format!("signed {}, found {}", hex(&content.digest), hex(found.unwrap_or_default()));
            out.findings.push(Finding::of(Rule::ImageDigest, detail));
        }
    }
    if content.algorithm.is_weak() {
        out.findings.push(Finding::new(Rule::WeakDigest));
    }
    let Some((digest, table)) = &content.pages else { return };
    out.pages = Some((*digest, table.len() / (4 + digest.size())));
    match facts.found.pages(*digest) {
        Some(found) if found == table => {}
        Some(found) => {
            let entry = 4 + digest.size();
            let first = table.chunks(entry).zip(found.chunks(entry)).find(|(a, b)| a != b);
            let detail = match first.and_then(|(_, found)| found.first_chunk::<4>()) {
                Some(offset) => format!("the first that differs is at {:#x}", u32::from_le_bytes(*offset)),
                None => "their number differs".to_owned(),
            };
            out.findings.push(Finding::of(Rule::PageHashes, detail));
        }
        None => out.findings.push(Finding::of(Rule::PageHashes, "this image cannot have any")),
    }
}

pub(super) fn attributes(signer: &SignerInfo<'_>, out: &mut Signature) -> Result<()> {
    if let Some(value) = signer.signed_attribute(oid::SPC_SP_OPUS_INFO)? {
        out.opus = OpusInfo::read(value)?;
    }
    if let Some(value) = signer.signed_attribute(oid::CUSTODY_SEAL_ROOTS)? {
        out.seal = Some(SealRoots::read(value)?);
    }
    Ok(())
}

/// The path of the signer at the time that counts, and whether somebody took it back.
fn path(certificate: &Certificate, signed: &SignedData<'_>, request: &Request<'_>, out: &mut Signature) {
    let mut others = signed.certificates.clone();
    others.extend_from_slice(request.others);
    let asked = chain::Request {
        anchors: request.anchors,
        others: &others,
        purpose: pkix::oid::KP_CODE_SIGNING,
        at: out.judged_at,
    };
    match chain::build(certificate, &asked) {
        Ok(chain) => {
            for said in request.revocation.statements(&chain, &others, request.now) {
                let rule = match &said.verdict {
                    Err(_) => Rule::RevocationUnusable,
                    Ok(_) if said.revokes(out.judged_at) => Rule::Revoked,
                    Ok(_) => Rule::RevocationKnown,
                };
                out.findings.push(Finding::of(rule, said.describe()).at(&said.certificate));
            }
            out.chain = Some(chain);
        }
        Err(fault) => {
            out.findings.push(Finding::chain(&fault));
            out.partial = fault.path;
        }
    }
}

/// The rules for drivers. The loader has more (policies, block lists, the portal's own attributes); these are the ones
/// that a file shows.
fn kernel(digest: Digest, facts: &Facts<'_>, out: &mut Signature) {
    if !facts.request.kernel {
        return;
    }
    if digest == Digest::Sha1 || digest == Digest::Sm3 {
        out.findings.push(Finding::of(Rule::KernelDigest, format!("it is {digest}")));
    }
    if facts.image.checksum != facts.checksum {
        out.findings.push(Finding::new(Rule::KernelChecksum));
    }
    if let Some(anchor) = out.chain.as_ref().and_then(|chain| chain.certificates.last())
        && !KERNEL_ROOTS.contains(&anchor.thumbprint(Digest::Sha1).as_str())
    {
        out.findings.push(Finding::new(Rule::KernelRoot).at(anchor));
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
