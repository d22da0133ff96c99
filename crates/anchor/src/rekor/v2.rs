//! Rekor v2: one request, answered when a checkpoint covers the entry (rekor-tiles, `api/proto/rekor/v2`).

use pkix::Digest;
use serde_json::json;
use signing::Algorithm;

use super::Verifier;
use crate::base64_text::encode;
use crate::error::AnchorError;
use crate::http::Http;
use crate::sigstore::bundle::LogEntry;

pub(super) fn enter(
    http: &Http,
    url: &str,
    signed: &[u8],
    signature: &[u8],
    verifier: Verifier<'_>,
) -> Result<LogEntry, AnchorError> {
    let (details, digest) = details(verifier.algorithm)?;
    let raw = json!({"rawBytes": encode(verifier.der)});
    let field = if verifier.certificate { "x509Certificate" } else { "publicKey" };
    let body = json!({"hashedRekordRequestV002": {
        "digest": encode(&digest.of(signed)),
        "signature": {"content": encode(signature), "verifier": {field: raw, "keyDetails": details}},
    }});
    let url = format!("{url}/api/v2/log/entries");
    let headers = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let answer = http.post(&url, &headers, body.to_string().as_bytes())?.good()?;
    parse(&answer)
}

/// Reads an answer: the entry as a bundle holds it.
pub(crate) fn parse(answer: &[u8]) -> Result<LogEntry, AnchorError> {
    serde_json::from_slice(answer).map_err(|e| AnchorError::malformed("answer of the log", e))
}

/// `PublicKeyDetails` (protobuf-specs `sigstore_common.proto`), and the digest that goes with it.
fn details(algorithm: Algorithm) -> Result<(&'static str, Digest), AnchorError> {
    match algorithm {
        Algorithm::EcdsaP256 => Ok(("PKIX_ECDSA_P256_SHA_256", Digest::Sha256)),
        Algorithm::EcdsaP384 => Ok(("PKIX_ECDSA_P384_SHA_384", Digest::Sha384)),
        other => {
            let why =
                format!("Rekor v2 takes signatures over a digest, and none of {other}; use an ECDSA key");
            Err(AnchorError::request("key", why))
        }
    }
}
