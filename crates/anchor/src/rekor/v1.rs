//! Rekor v1: `dsse` 0.0.1 (rekor's `openapi.yaml` and `pkg/types/dsse`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use signing::dsse::Envelope;

use super::Verifier;
use crate::base64_text::{self, encode};
use crate::error::AnchorError;
use crate::http::Http;
use crate::sigstore::bundle::{
    Hash, InclusionPromise, InclusionProof, KindVersion, LogEntry, LogId, SignedCheckpoint,
};

/// Bytes of an entry's name: a tree's number and a hash, in hexadecimal.
const MAX_UUID: usize = 80;

pub(super) fn enter(
    http: &Http,
    url: &str,
    envelope: &Envelope,
    verifier: Verifier<'_>,
) -> Result<(LogEntry, Option<String>), AnchorError> {
    let label = if verifier.certificate { "CERTIFICATE" } else { "PUBLIC KEY" };
    let envelope = serde_json::to_string(envelope).map_err(|e| AnchorError::malformed("envelope", e))?;
    let body = json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {"proposedContent": {
            "envelope": envelope,
            "verifiers": [encode(pkix::pem::encode(label, verifier.der).as_bytes())],
        }},
    });
    let entries = format!("{url}/api/v1/log/entries");
    let headers = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let mut answer = http.post(&entries, &headers, body.to_string().as_bytes())?;
    // The same entry again: the log says where it has it.
    if answer.status == 409 {
        let known = answer.location.as_deref().and_then(|at| at.rsplit('/').next()).map(str::to_owned);
        if let Some(uuid) = known.filter(|uuid| is_uuid(uuid)) {
            answer = http.get(&format!("{entries}/{uuid}"), &headers[1..])?;
        }
    }
    let (entry, uuid) = parse(&answer.good()?)?;
    Ok((entry, Some(uuid)))
}

fn is_uuid(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_UUID && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Reads an answer, and writes it as a bundle holds it.
pub(crate) fn parse(answer: &[u8]) -> Result<(LogEntry, String), AnchorError> {
    let bad = |why: &dyn std::fmt::Display| AnchorError::malformed("answer of the log", why);
    let answer: BTreeMap<String, Wire> = serde_json::from_slice(answer).map_err(|e| bad(&e))?;
    let mut entries = answer.into_iter();
    let (Some((uuid, wire)), None) = (entries.next(), entries.next()) else {
        return Err(bad(&"it holds not exactly one entry"));
    };
    if !is_uuid(&uuid) {
        return Err(bad(&"the entry's name is not hexadecimal"));
    }
    let hexadecimal = |text: &str| hex::decode(text).map_err(|e| bad(&e));
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        kind: String,
        api_version: String,
    }
    let Kind { kind, api_version: version } = serde_json::from_slice(&wire.body).map_err(|e| bad(&e))?;
    let inclusion_proof = wire.verification.inclusion_proof.map(|proof| -> Result<_, AnchorError> {
        let hashes = proof.hashes.iter().map(|h| hexadecimal(h).map(Hash)).collect::<Result<_, _>>()?;
        Ok(InclusionProof {
            log_index: proof.log_index,
            root_hash: hexadecimal(&proof.root_hash)?,
            tree_size: proof.tree_size,
            hashes,
            checkpoint: proof.checkpoint.map(|envelope| SignedCheckpoint { envelope }),
        })
    });
    let promise = wire.verification.signed_entry_timestamp;
    let entry = LogEntry {
        log_index: wire.log_index,
        log_id: LogId { key_id: hexadecimal(&wire.log_id)? },
        kind_version: Some(KindVersion { kind, version }),
        integrated_time: wire.integrated_time,
        inclusion_promise: (!promise.is_empty())
            .then_some(InclusionPromise { signed_entry_timestamp: promise }),
        inclusion_proof: inclusion_proof.transpose()?,
        canonicalized_body: wire.body,
    };
    Ok((entry, uuid))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(with = "base64_text")]
    body: Vec<u8>,
    integrated_time: i64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: i64,
    #[serde(default)]
    verification: Verification,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Verification {
    #[serde(default)]
    inclusion_proof: Option<Proof>,
    #[serde(default, with = "base64_text")]
    signed_entry_timestamp: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    #[serde(default)]
    checkpoint: Option<String>,
    #[serde(default)]
    hashes: Vec<String>,
    log_index: i64,
    root_hash: String,
    tree_size: i64,
}
