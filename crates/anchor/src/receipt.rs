//! The proof file (`*.anchor.json`): what was anchored, and what each authority gave for it.
//!
//! One form for every kind, so that a reader of years later needs this file, the anchored bytes and the authorities'
//! keys. The bytes stand in `docs/formats/anchor.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::AnchorError;
use crate::sigstore::Bundle;
use crate::subject::Subject;

/// The version of the format.
pub const FORMAT: &str = "custody-anchor-v1";
/// A larger file is not read.
pub const MAX_PROOF: usize = 64 << 20;
/// More anchors than this are in no file.
pub const MAX_ANCHORS: usize = 256;

/// A proof file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchored {
    format: String,
    /// What is anchored.
    pub subject: Subject,
    /// What each authority gave, the oldest first.
    pub anchors: Vec<Anchor>,
}

/// What became of one request to one authority.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchor {
    /// Who was asked: an address, or the name of a chain in the configuration.
    pub authority: String,
    /// The business id of the request: it makes a repeated request the same one.
    pub biz_id: String,
    /// When it was asked for, by the clock here: RFC 3339, UTC.
    pub requested: String,
    /// Where it stands.
    pub status: Status,
    /// What the caller wanted to stand beside the digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Why it failed, or was not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was given.
    #[serde(flatten)]
    pub evidence: Evidence,
}

/// Where a request stands. The words are those of the interface that the chains share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is anchored.
    Success,
    /// It was taken, or could not be sent yet.
    Pending,
    /// It will not be anchored.
    Failed,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::Pending => "pending",
            Self::Failed => "failed",
        })
    }
}

/// What an authority gave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evidence {
    /// A timestamp token (RFC 3161) over the subject's bytes.
    Rfc3161 {
        /// The token, DER in base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// An entry of a Rekor log over a signed statement about the subject, as a Sigstore bundle.
    Rekor {
        /// The bundle.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bundle: Option<Box<Bundle>>,
        /// 1 or 2: the interface of the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        api: Option<u8>,
        /// Rekor v1's name of the entry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uuid: Option<String>,
    },
    /// An event of a Custody ledger that names the subject, under a checkpoint that a witness cosigned.
    Witness {
        /// The event as it stands in the ledger.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<String>,
        /// `.tlog-proof` with the cosigned checkpoint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<String>,
    },
    /// A transaction of a chain that a platform runs.
    #[serde(rename_all = "camelCase")]
    Chain {
        /// `antchain`, `tencent` or `xuperchain`.
        platform: String,
        /// The transaction.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tx_id: Option<String>,
        /// The block that it is in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block_height: Option<u64>,
        /// What the platform answered last, as it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
    },
}

impl Evidence {
    /// Whether the authority took the request: then it is asked how that stands, and not for the same again.
    #[must_use]
    pub fn was_taken(&self) -> bool {
        match self {
            Self::Rfc3161 { token } => token.is_some(),
            Self::Rekor { bundle, .. } => bundle.is_some(),
            Self::Witness { proof, .. } => proof.is_some(),
            Self::Chain { tx_id, .. } => tx_id.is_some(),
        }
    }

    /// The kind as it is written.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Rfc3161 { .. } => "rfc3161",
            Self::Rekor { .. } => "rekor",
            Self::Witness { .. } => "witness",
            Self::Chain { platform, .. } => platform,
        }
    }
}

impl Anchored {
    /// A file about this subject, without any anchor yet.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self { format: FORMAT.to_owned(), subject, anchors: Vec::new() }
    }

    /// Reads a file; nothing of it is verified.
    ///
    /// # Errors
    /// When it is none, of another version, or beyond the limits.
    pub fn parse(json: &[u8]) -> Result<Self, AnchorError> {
        let bad = |why: &dyn std::fmt::Display| AnchorError::malformed("anchor proof", why);
        if json.len() > MAX_PROOF {
            return Err(bad(&"it is larger than 64 MiB"));
        }
        let read: Self = serde_json::from_slice(json).map_err(|e| bad(&e))?;
        if read.format != FORMAT {
            let format: String = read.format.escape_debug().take(100).collect();
            return Err(bad(&format_args!("its format is `{format}`, and this program knows `{FORMAT}`")));
        }
        if read.anchors.len() > MAX_ANCHORS {
            return Err(bad(&"it has more than 256 anchors"));
        }
        read.subject.check()?;
        Ok(read)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// The encoder's, which no such file causes.
    pub fn to_json(&self) -> Result<Vec<u8>, AnchorError> {
        let mut json =
            serde_json::to_vec_pretty(self).map_err(|e| AnchorError::malformed("anchor proof", e))?;
        json.push(b'\n');
        Ok(json)
    }
}
