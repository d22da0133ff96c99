//! What Fulcio's certificates say beside the key: whose they are, who vouches for that, and which certificate logs
//! have them (RFC 6962 §3.3; the object identifiers of Fulcio's `docs/oid-info.md`).

use pkix::der::{self, Reader, Value, tag};
use pkix::{Certificate, Oid, Time};
use sha2::Digest as _;
use signing::Verifier as _;

use super::root::Log;

/// The issuer of the identity, as the bytes of its address.
const ISSUER: Oid = Oid::new(&[1, 3, 6, 1, 4, 1, 57264, 1, 1]);
/// The same as a UTF8String.
const ISSUER_V2: Oid = Oid::new(&[1, 3, 6, 1, 4, 1, 57264, 1, 8]);
/// RFC 6962 §3.3: the list of timestamps in a certificate.
const TIMESTAMPS: Oid = Oid::new(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2]);
/// GeneralName choices (RFC 5280 §4.2.1.6): rfc822Name, dNSName, uniformResourceIdentifier.
const NAMES: [u8; 3] = [1, 2, 6];
/// More timestamps than this are in no certificate.
const MAX_TIMESTAMPS: usize = 32;

/// Whose a certificate is.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Identity {
    /// The subject's alternative name: an address of mail, or of a workflow.
    pub name: String,
    /// Who vouches for it.
    pub issuer: String,
}

/// The identity in a certificate.
#[must_use]
pub fn identity(certificate: &Certificate) -> Option<Identity> {
    let names = extension(certificate, pkix::oid::SUBJECT_ALT_NAME)?;
    let name = Reader::new(&names).sequence().ok()?.any().ok()?;
    let name = NAMES.iter().any(|n| name.tag == tag::context(*n)).then_some(name.body)?;
    let issuer = match extension(certificate, ISSUER_V2) {
        Some(value) => Reader::new(&value).expect(tag::UTF8_STRING).ok()?.body.to_vec(),
        None => extension(certificate, ISSUER)?,
    };
    Some(Identity { name: String::from_utf8(name.to_vec()).ok()?, issuer: String::from_utf8(issuer).ok()? })
}

/// The fields of the body that is signed, in their order, and the extensions apart.
fn parts(certificate: &Certificate) -> Option<(Vec<Value<'_>>, Vec<Value<'_>>)> {
    let mut inner = Value::parse(certificate.tbs()).ok()?.reader();
    let (mut fields, mut extensions) = (Vec::new(), Vec::new());
    while !inner.is_empty() {
        let value = inner.any().ok()?;
        if value.tag == tag::constructed(3) {
            let mut list = value.reader().sequence().ok()?;
            while !list.is_empty() {
                extensions.push(list.any().ok()?);
            }
        } else {
            fields.push(value);
        }
    }
    Some((fields, extensions))
}

fn is(extension: &Value<'_>, oid: Oid) -> bool {
    extension.reader().oid().is_ok_and(|found| found == oid)
}

/// The value of an extension.
fn extension(certificate: &Certificate, oid: Oid) -> Option<Vec<u8>> {
    let (_, extensions) = parts(certificate)?;
    let mut reader = extensions.into_iter().find(|e| is(e, oid))?.reader();
    reader.oid().ok()?;
    reader.boolean_or(false).ok()?;
    reader.octets().ok().map(<[u8]>::to_vec)
}

/// Whether one of `logs` has the certificate: a timestamp in it that verifies under a key that counted then.
pub(crate) fn logged(leaf: &Certificate, issuer: &Certificate, logs: &[Log]) -> Result<Time, String> {
    let list = extension(leaf, TIMESTAMPS).ok_or("the certificate is in no certificate log")?;
    let list = Reader::new(&list).octets().map_err(|e| e.to_string())?.to_vec();
    let entry = entry(leaf, issuer).ok_or("the certificate cannot be taken apart")?;
    let mut refused = "no certificate log that is trusted has the certificate".to_owned();
    for timestamp in timestamps(&list).ok_or("the timestamps in the certificate are malformed")? {
        for log in logs.iter().filter(|log| log.id == timestamp.log) {
            match timestamp.check(&entry, log) {
                Ok(time) => return Ok(time),
                Err(why) => refused = why,
            }
        }
    }
    Err(refused)
}

/// `SignedCertificateTimestamp` of version 1 (RFC 6962 §3.2).
struct Timestamp<'a> {
    log: &'a [u8],
    milliseconds: u64,
    extensions: &'a [u8],
    signature: &'a [u8],
}

/// A vector of TLS: its length in two bytes, and that many bytes.
fn vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn timestamps(list: &[u8]) -> Option<Vec<Timestamp<'_>>> {
    let (mut rest, behind) = vector(list)?;
    let mut out = Vec::new();
    while !rest.is_empty() && behind.is_empty() && out.len() < MAX_TIMESTAMPS {
        let (one, more) = vector(rest)?;
        rest = more;
        let (version, one) = one.split_first()?;
        if *version != 0 {
            continue;
        }
        let (log, one) = one.split_at_checked(32)?;
        let (milliseconds, one) = one.split_first_chunk::<8>()?;
        let (extensions, one) = vector(one)?;
        // `DigitallySigned` (RFC 5246 §4.7): two bytes of algorithms, which the key decides here.
        let (signature, _) = vector(one.get(2..)?)?;
        let milliseconds = u64::from_be_bytes(*milliseconds);
        out.push(Timestamp { log, milliseconds, extensions, signature });
    }
    Some(out)
}

impl Timestamp<'_> {
    fn check(&self, entry: &[u8], log: &Log) -> Result<Time, String> {
        let time = Time(i64::try_from(self.milliseconds / 1000).unwrap_or(i64::MAX));
        if !log.valid.has(time) {
            return Err("the certificate log's key did not count at that time".into());
        }
        let mut message = vec![0, 0]; // v1, certificate_timestamp
        message.extend(self.milliseconds.to_be_bytes());
        message.extend([0, 1]); // precert_entry
        message.extend_from_slice(entry);
        message.extend(u16::try_from(self.extensions.len()).unwrap_or(u16::MAX).to_be_bytes());
        message.extend_from_slice(self.extensions);
        log.key
            .verify(&message, self.signature)
            .map_err(|_| "a certificate log's timestamp does not verify")?;
        Ok(time)
    }
}

/// `PreCert` (RFC 6962 §3.2): the digest of the issuer's key, and the body without its list of timestamps.
fn entry(leaf: &Certificate, issuer: &Certificate) -> Option<Vec<u8>> {
    let (fields, extensions) = parts(leaf)?;
    let kept: Vec<&[u8]> = extensions.iter().filter(|e| !is(e, TIMESTAMPS)).map(|e| e.raw).collect();
    let extensions = der::explicit(3, &der::sequence(&kept));
    let mut body: Vec<&[u8]> = fields.iter().map(|field| field.raw).collect();
    body.push(&extensions);
    let body = der::sequence(&body);
    let length = u32::try_from(body.len()).ok()?.to_be_bytes();
    Some([sha2::Sha256::digest(&issuer.key.spki).as_slice(), &length[1..], &body].concat())
}
