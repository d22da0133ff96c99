//! Verifying: every signature of an image on its own, with every rule that it breaks.
//!
//! An image holds when nothing about its bytes is wrong in any signature and at least one signature breaks no rule at
//! all. So a file with an old SHA-1 signature and a SHA-256 one nested in it holds by the second, and a changed byte
//! is refused whichever signature notices.

mod document;
mod report;
mod rules;
mod signature;
mod stamp;

use std::io::{Read, Seek};

use pkix::{Certificate, Digest, Time};

use crate::content::IndirectData;
use crate::error::Result;
use crate::image::Image;
use crate::pass::{self, Found, Wanted};
use crate::{oid, sign, table};

pub use document::{Document, document};
pub use report::{Finding, Report, Signature, Stamp, StampKind};
pub use rules::{Kind, Rule};

/// Most signatures of one file; each costs a few checks with a public key.
const MAX_SIGNATURES: usize = 32;

/// What the caller trusts and asks.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Anchors of signers and of timestamp authorities.
    pub anchors: &'a [Certificate],
    /// Certificates that may stand between, beside those in the signature.
    pub others: &'a [Certificate],
    /// Revocation lists and OCSP responses at hand.
    pub revocation: &'a pkix::revocation::Evidence,
    /// Now.
    pub now: Time,
    /// Whether the rules for drivers are asked for (`/kp` of signtool).
    pub kernel: bool,
}

/// Checks every signature of an image.
///
/// # Errors
/// When it is no image or cannot be read; what does not hold is in the report.
pub fn verify(source: &mut (impl Read + Seek), request: &Request<'_>) -> Result<Report> {
    let image = Image::read(source)?;
    let bytes = sign::read_table(source, &image)?;
    let mut file_findings = Vec::new();
    let places = places(&bytes, &mut file_findings)?;
    let found = pass::digest(source, &image, &wanted(&places, &image))?;
    let checksum = found.file_checksum(&image, &bytes);
    if checksum != image.checksum && (request.kernel || image.checksum != 0) {
        let detail = format!("stored {:#010x}, computed {checksum:#010x}", image.checksum);
        file_findings.push(Finding::of(Rule::Checksum, detail));
    }
    let facts = Facts { image: &image, found: &found, checksum, request };
    let signatures =
        places.iter().map(|place| signature::check(place, &facts)).collect::<Result<Vec<_>>>()?;
    if signatures.is_empty() {
        file_findings.push(Finding::new(Rule::Unsigned));
    }
    Ok(Report { image, checksum, findings: file_findings, signatures })
}

/// What every signature is held against.
struct Facts<'a> {
    image: &'a Image,
    found: &'a Found,
    checksum: u32,
    request: &'a Request<'a>,
}

/// A signature and where it stands: `1` for the first, `1.2` for the second that is nested in it.
struct Place<'a> {
    name: String,
    pkcs7: &'a [u8],
}

/// Every signature of the table, nested ones included, in their order.
fn places<'a>(bytes: &'a [u8], findings: &mut Vec<Finding>) -> Result<Vec<Place<'a>>> {
    let mut out = Vec::new();
    for (at, entry) in table::entries(bytes)?.into_iter().enumerate() {
        let signed = pkix::cms::SignedData::read(entry.content)?;
        let (pkcs7, behind) = entry.content.split_at(signed.len);
        // CVE-2013-3900: what stands behind the PKCS #7 is in nobody's digest, and was used to carry code.
        let filling = behind.len() < 8 && behind.iter().chain(entry.padding).all(|byte| *byte == 0);
        if !filling {
            let bytes = behind.len() + entry.padding.len();
            findings
                .push(Finding::of(Rule::TrailingBytes, format!("{bytes} bytes behind signature {}", at + 1)));
        }
        out.push(Place { name: (at + 1).to_string(), pkcs7 });
        let nested = signed.signers.iter().flat_map(|s| s.unsigned_values(oid::SPC_NESTED_SIGNATURE));
        out.extend(nested.zip(1..).map(|(v, n)| Place { name: format!("{}.{n}", at + 1), pkcs7: v.raw }));
        if out.len() > MAX_SIGNATURES {
            return Err(crate::AuthenticodeError::malformed(
                "certificate table",
                "it has more than 32 signatures",
            ));
        }
    }
    Ok(out)
}

/// The digests that the signatures name, so that one pass serves all; what cannot be read is refused later, by name.
fn wanted(places: &[Place<'_>], image: &Image) -> Wanted {
    let mut wanted = Wanted::default();
    for place in places {
        let Ok(signed) = pkix::cms::SignedData::read(place.pkcs7) else { continue };
        let Some(Ok(content)) = signed.content.map(IndirectData::read) else { continue };
        if !wanted.digests.contains(&content.algorithm) {
            wanted.digests.push(content.algorithm);
        }
        if let Some((digest, _)) = content.pages
            && !wanted.pages.contains(&digest)
            && crate::pages::Pages::new(image, digest).is_ok()
        {
            wanted.pages.push(digest);
        }
    }
    if wanted.digests.is_empty() {
        wanted.digests.push(Digest::Sha256);
    }
    wanted
}
