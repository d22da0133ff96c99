//! The Sigstore bundle (protobuf-specs `sigstore_bundle.proto`, its JSON form): read in versions 0.1 to 0.3, written as 0.3.

use serde::{Deserialize, Serialize};
use signing::dsse::Envelope;

use super::number;
use crate::base64_text;
use crate::error::AnchorError;

/// A larger bundle is not read: the statement of a seal may be long.
pub const MAX_BUNDLE: usize = 64 << 20;
/// `mediaType` of what is written.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// More log entries or timestamps than this are in no bundle.
const MAX_PARTS: usize = 32;

/// A signature with everything that verifies it offline.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// Version.
    pub media_type: String,
    /// Whose signature, in which logs, dated by whom.
    pub verification_material: Material,
    /// A signature of the artefact's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_signature: Option<MessageSignature>,
    /// A signed statement about the artefact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsse_envelope: Option<Envelope>,
}

/// What verifies the signature.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Material {
    /// A key that the reader must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<KeyHint>,
    /// Versions 0.1 and 0.2: the certificate and those between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509_certificate_chain: Option<CertificateChain>,
    /// Version 0.3: the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<RawBytes>,
    /// Entries of transparency logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tlog_entries: Vec<LogEntry>,
    /// Timestamps of the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_verification_data: Option<Timestamps>,
}

/// A name of a key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeyHint {
    /// Free text; here and in cosign, of the key's `SubjectPublicKeyInfo`.
    #[serde(default)]
    pub hint: String,
}

/// Bytes of a certificate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawBytes {
    /// DER.
    #[serde(with = "base64_text")]
    pub raw_bytes: Vec<u8>,
}

/// A chain, the leaf first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CertificateChain {
    /// The certificates.
    #[serde(default)]
    pub certificates: Vec<RawBytes>,
}

/// `TransparencyLogEntry` (`sigstore_rekor.proto`): also what Rekor v2 answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Its index: of Rekor v1 over all shards.
    #[serde(default, with = "number")]
    pub log_index: i64,
    /// The log.
    pub log_id: LogId,
    /// Of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_version: Option<KindVersion>,
    /// Seconds since 1970, of Rekor v1.
    #[serde(default, with = "number", skip_serializing_if = "is_zero")]
    pub integrated_time: i64,
    /// Rekor v1's promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inclusion_promise: Option<InclusionPromise>,
    /// The proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inclusion_proof: Option<InclusionProof>,
    /// The leaf.
    #[serde(default, with = "base64_text")]
    pub canonicalized_body: Vec<u8>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A log's name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogId {
    /// Rekor v1: SHA-256 of the key's `SubjectPublicKeyInfo`; v2: the note key id, unabridged.
    #[serde(default, with = "base64_text")]
    pub key_id: Vec<u8>,
}

/// What kind of body.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KindVersion {
    /// `hashedrekord`, `dsse` or `intoto`.
    pub kind: String,
    /// Its version.
    pub version: String,
}

/// The log promises to integrate an entry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InclusionPromise {
    /// Signature of the log over body, time, index and log.
    #[serde(default, with = "base64_text")]
    pub signed_entry_timestamp: Vec<u8>,
}

/// Path to a root.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InclusionProof {
    /// Index within its tree.
    #[serde(default, with = "number")]
    pub log_index: i64,
    /// The root.
    #[serde(default, with = "base64_text")]
    pub root_hash: Vec<u8>,
    /// Size of the tree.
    #[serde(default, with = "number")]
    pub tree_size: i64,
    /// The path, the leaf's sibling first.
    #[serde(default)]
    pub hashes: Vec<Hash>,
    /// The signed tree head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<SignedCheckpoint>,
}

/// A hash of a path.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(#[serde(with = "base64_text")] pub Vec<u8>);

/// A checkpoint as a signed note.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SignedCheckpoint {
    /// The note.
    pub envelope: String,
}

/// Timestamps over the bytes of the signature.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timestamps {
    /// `TimeStampResp` of RFC 3161.
    #[serde(default, rename = "rfc3161Timestamps", skip_serializing_if = "Vec::is_empty")]
    pub rfc3161: Vec<SignedTimestamp>,
}

/// One timestamp.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedTimestamp {
    /// `TimeStampResp`, DER.
    #[serde(default, with = "base64_text")]
    pub signed_timestamp: Vec<u8>,
}

/// A signature of bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageSignature {
    /// The bytes' digest: a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_digest: Option<MessageDigest>,
    /// The signature.
    #[serde(default, with = "base64_text")]
    pub signature: Vec<u8>,
}

/// A digest with its name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MessageDigest {
    /// `SHA2_256`.
    pub algorithm: String,
    /// The digest.
    #[serde(default, with = "base64_text")]
    pub digest: Vec<u8>,
}

/// Which rules of which version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// An inclusion promise is required.
    V0_1,
    /// An inclusion proof with a checkpoint is required.
    V0_2,
    /// One certificate and no chain.
    V0_3,
}

impl Bundle {
    /// Reads a bundle; nothing of it is verified.
    ///
    /// # Errors
    /// When it is none, or of an unknown version.
    pub fn parse(json: &[u8]) -> Result<Self, AnchorError> {
        if json.len() > MAX_BUNDLE {
            return Err(bad("it is larger than 64 MiB"));
        }
        let bundle: Self = serde_json::from_slice(json).map_err(bad)?;
        bundle.version()?;
        let material = &bundle.verification_material;
        let stamps = material.timestamp_verification_data.as_ref().map_or(0, |t| t.rfc3161.len());
        if material.tlog_entries.len() > MAX_PARTS || stamps > MAX_PARTS {
            return Err(bad("it has more than 32 log entries or timestamps"));
        }
        Ok(bundle)
    }

    /// The bundle's bytes.
    ///
    /// # Errors
    /// The encoder's, which no bundle causes.
    pub fn to_json(&self) -> Result<Vec<u8>, AnchorError> {
        let mut json = serde_json::to_vec(self).map_err(bad)?;
        json.push(b'\n');
        Ok(json)
    }

    /// The version that it says.
    ///
    /// # Errors
    /// When it is not known here.
    pub fn version(&self) -> Result<Version, AnchorError> {
        match self.media_type.as_str() {
            "application/vnd.dev.sigstore.bundle+json;version=0.1" => Ok(Version::V0_1),
            "application/vnd.dev.sigstore.bundle+json;version=0.2" => Ok(Version::V0_2),
            "application/vnd.dev.sigstore.bundle+json;version=0.3" | MEDIA_TYPE => Ok(Version::V0_3),
            other => {
                Err(bad(format_args!("its version `{:.100}` is not known", other.escape_debug().to_string())))
            }
        }
    }

    /// A bundle of one signature of a statement, by a key that the reader must have. An envelope with several
    /// signatures is one bundle each: version 0.3 takes exactly one.
    #[must_use]
    pub fn of_statement(mut envelope: Envelope, hint: String) -> Self {
        // Other tools name keys in their own way, and pass over a signature under a name that is not theirs.
        envelope.signatures.iter_mut().for_each(|signature| signature.keyid.clear());
        let material = Material { public_key: Some(KeyHint { hint }), ..Material::default() };
        Self {
            media_type: MEDIA_TYPE.to_owned(),
            verification_material: material,
            message_signature: None,
            dsse_envelope: Some(envelope),
        }
    }

    /// The bytes of the one signature.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub fn signature(&self) -> Result<Vec<u8>, AnchorError> {
        match (&self.message_signature, &self.dsse_envelope) {
            (Some(message), None) => Ok(message.signature.clone()),
            (None, Some(envelope)) => match envelope.signatures.as_slice() {
                [one] => base64_text::decode(&one.sig).map_err(bad),
                _ => Err(bad("its envelope has not exactly one signature")),
            },
            _ => Err(bad("it has not exactly one of a message's signature and a signed statement")),
        }
    }
}

fn bad(why: impl std::fmt::Display) -> AnchorError {
    AnchorError::malformed("Sigstore bundle", why)
}
