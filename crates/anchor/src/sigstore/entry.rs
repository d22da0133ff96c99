//! What a log entry's body says, held against the signature that it is kept beside: kinds `hashedrekord` 0.0.1 and
//! 0.0.2, `dsse` 0.0.1 and 0.0.2, `intoto` 0.0.2 (the schemas of rekor and rekor-tiles).

use pkix::Digest;
use serde::Deserialize;
use serde_json::Value;

use crate::base64_text::decode;

/// Largest body that is read.
const MAX_BODY: usize = 4 << 20;

/// What an entry must be about.
pub(crate) struct Expected<'a> {
    /// The signature.
    pub(crate) signature: &'a [u8],
    /// The bytes that it signs; of a message perhaps only the digest is at hand.
    pub(crate) signed: Signed<'a>,
    /// Whose: a certificate's DER or a key's `SubjectPublicKeyInfo`.
    pub(crate) verifier: &'a [u8],
}

/// What was signed.
pub(crate) enum Signed<'a> {
    /// Bytes, by their SHA-256.
    Message([u8; 32]),
    /// A statement: its payload, and the encoding of it that is signed.
    Statement { payload: &'a [u8], encoded: &'a [u8] },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    kind: String,
    api_version: String,
    spec: Value,
}

/// Whether the body is about this signature.
pub(crate) fn check(body: &[u8], kind: Option<(&str, &str)>, expected: &Expected<'_>) -> Result<(), String> {
    read(body, kind)?.check(expected)
}

/// The key or certificate that an entry names.
pub(crate) fn verifier_of(body: &[u8]) -> Option<Vec<u8>> {
    read(body, None).ok().map(|found| found.verifier)
}

fn read(body: &[u8], kind: Option<(&str, &str)>) -> Result<Found, String> {
    if body.len() > MAX_BODY {
        return Err("the log entry is larger than 4 MiB".into());
    }
    let body: Body = serde_json::from_slice(body).map_err(|e| format!("the log entry is malformed: {e}"))?;
    let own = (body.kind.as_str(), body.api_version.as_str());
    if kind.is_some_and(|kind| kind != own) {
        return Err("the log entry is of another kind than the bundle says".into());
    }
    let found = match own {
        ("hashedrekord", "0.0.1") => hashed_v1(&body.spec),
        ("dsse", "0.0.1") => dsse_v1(&body.spec),
        ("intoto", "0.0.2") => intoto(&body.spec),
        ("hashedrekord", "0.0.2") => hashed_v2(&body.spec["hashedRekordV002"]),
        ("dsse", "0.0.2") => dsse_v2(&body.spec["dsseV002"]),
        (kind, version) => {
            return Err(format!("entries of kind `{kind:.40}` {version:.20} are not known here"));
        }
    };
    found.ok_or_else(|| "the log entry lacks a field of its kind".to_owned())
}

/// What every kind says.
struct Found {
    signature: Vec<u8>,
    verifier: Vec<u8>,
    digest: Digest,
    /// Of the signed bytes, or of the payload alone.
    hash: Vec<u8>,
    of_payload: bool,
}

impl Found {
    fn check(&self, expected: &Expected<'_>) -> Result<(), String> {
        if self.signature != expected.signature {
            return Err("the log entry is about another signature".into());
        }
        if self.verifier != expected.verifier {
            return Err("the log entry names another key or certificate".into());
        }
        let hash = match (&expected.signed, self.of_payload) {
            (Signed::Message(sha256), false) if self.digest == Digest::Sha256 => sha256.to_vec(),
            (Signed::Statement { payload, .. }, true) => self.digest.of(payload),
            (Signed::Statement { encoded, .. }, false) => self.digest.of(encoded),
            _ => return Err("the log entry's kind or digest is not for such a signature".into()),
        };
        if hash == self.hash { Ok(()) } else { Err("the log entry is about other bytes".into()) }
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    decode(text(value)?).ok()
}

fn digest(name: &Value) -> Option<Digest> {
    Some(match text(name)? {
        "sha256" | "SHA2_256" => Digest::Sha256,
        "sha384" | "SHA2_384" => Digest::Sha384,
        "sha512" | "SHA2_512" => Digest::Sha512,
        _ => return None,
    })
}

fn hex_hash(value: &Value) -> Option<(Digest, Vec<u8>)> {
    Some((digest(&value["algorithm"])?, hex::decode(text(&value["value"])?).ok()?))
}

/// A key or certificate in PEM, in base64.
fn pem(value: &Value) -> Option<Vec<u8>> {
    let pem = bytes(value)?;
    ["CERTIFICATE", "PUBLIC KEY"].iter().find_map(|label| {
        std::str::from_utf8(&pem).ok()?.contains(&format!("-----BEGIN {label}-----")).then_some(())?;
        pkix::pem::blocks(&pem, label).ok()?.into_iter().next()
    })
}

fn hashed_v1(spec: &Value) -> Option<Found> {
    let (digest, hash) = hex_hash(&spec["data"]["hash"])?;
    let signature = bytes(&spec["signature"]["content"])?;
    let verifier = pem(&spec["signature"]["publicKey"]["content"])?;
    Some(Found { signature, verifier, digest, hash, of_payload: false })
}

fn one(list: &Value) -> Option<&Value> {
    match list.as_array()?.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

fn dsse_v1(spec: &Value) -> Option<Found> {
    let (digest, hash) = hex_hash(&spec["payloadHash"])?;
    let signed = one(&spec["signatures"])?;
    let (signature, verifier) = (bytes(&signed["signature"])?, pem(&signed["verifier"])?);
    Some(Found { signature, verifier, digest, hash, of_payload: true })
}

fn intoto(spec: &Value) -> Option<Found> {
    let (digest, hash) = hex_hash(&spec["content"]["payloadHash"])?;
    let signed = one(&spec["content"]["envelope"]["signatures"])?;
    // The envelope's signature, base64 as it is, was put into a field of bytes, and so has it twice.
    let signature = decode(std::str::from_utf8(&bytes(&signed["sig"])?).ok()?).ok()?;
    let verifier = pem(&signed["publicKey"])?;
    Some(Found { signature, verifier, digest, hash, of_payload: true })
}

fn verifier_v2(value: &Value) -> Option<Vec<u8>> {
    bytes(&value["x509Certificate"]["rawBytes"]).or_else(|| bytes(&value["publicKey"]["rawBytes"]))
}

fn hashed_v2(spec: &Value) -> Option<Found> {
    let (digest, hash) = (digest(&spec["data"]["algorithm"])?, bytes(&spec["data"]["digest"])?);
    let signature = bytes(&spec["signature"]["content"])?;
    let verifier = verifier_v2(&spec["signature"]["verifier"])?;
    Some(Found { signature, verifier, digest, hash, of_payload: false })
}

fn dsse_v2(spec: &Value) -> Option<Found> {
    let hashed = &spec["payloadHash"];
    let (digest, hash) = (digest(&hashed["algorithm"])?, bytes(&hashed["digest"])?);
    let signed = one(&spec["signatures"])?;
    let (signature, verifier) = (bytes(&signed["content"])?, verifier_v2(&signed["verifier"])?);
    Some(Found { signature, verifier, digest, hash, of_payload: true })
}
