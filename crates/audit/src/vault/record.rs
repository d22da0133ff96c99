//! What stands in a vault's frames: records, one after another, each a kind, a length and a body.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Sixteen random bytes that name something; never derived from what they name.
pub(crate) type Id = [u8; 16];

/// Longest body: an erasure that names its keys.
const MAX_BODY: usize = 64 * 1024;

/// A data subject: a kind and an identifier, as `customer` and `4711`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The kind.
    pub kind: String,
    /// The identifier.
    pub id: String,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// What a key seals with. One key never serves two modes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cipher {
    /// SM4 in Galois/counter mode (RFC 8998).
    Sm4Gcm = 1,
    /// SM4 in counter mode (GB/T 17964-2021).
    Sm4Ctr = 2,
}

impl Cipher {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Sm4Gcm, Self::Sm4Ctr].into_iter().find(|known| *known as u8 == byte)
    }

    /// Its name in the policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sm4Gcm => "sm4-gcm",
            Self::Sm4Ctr => "sm4-ctr",
        }
    }
}

/// A data key.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct DataKey {
    /// The row of its subject.
    #[zeroize(skip)]
    pub(crate) row: Id,
    /// Year times one hundred and month, as 202611.
    #[zeroize(skip)]
    pub(crate) month: u32,
    #[zeroize(skip)]
    pub(crate) cipher: Cipher,
    /// Counts the keys of a subject, month and cipher, from 1.
    #[zeroize(skip)]
    pub(crate) version: u16,
    #[zeroize(skip)]
    pub(crate) id: Id,
    pub(crate) secret: [u8; 16],
}

/// A reason why a subject is not erased: somebody's order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Names it.
    pub id: String,
    /// Whom it protects from erasure.
    pub subject: Subject,
    /// Why, as it was given.
    pub reason: String,
    /// Since when (RFC 3339, UTC).
    pub since: String,
}

/// An erasure that was asked for and is not carried out yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queued {
    /// Names it.
    pub id: String,
    /// Whom it erases.
    pub subject: Subject,
    /// Why it was asked for.
    pub reason: String,
    /// When it was asked for (RFC 3339, UTC).
    pub requested: String,
    /// Why it waits.
    pub waits_for: String,
    /// The day on which it can be carried out (`2027-05-21`); nothing when no day is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}

/// A destruction whose certificate has not been handed out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Destroyed {
    pub(crate) id: String,
    pub(crate) subject: Subject,
    pub(crate) salt: String,
    pub(crate) keys: Vec<String>,
    pub(crate) months: Vec<u32>,
    pub(crate) reason: String,
    /// Epoch of the key-encryption key from which on the keys are gone.
    pub(crate) epoch: u64,
    /// Who asked: uid and pid as the kernel named them.
    pub(crate) by: String,
    /// Index of the leaf that says so, once it is durable.
    #[serde(default)]
    pub(crate) recorded: Option<u64>,
}

/// A record.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// The key of the lookup index. The first record, and the only one of its kind.
    Genesis {
        index_key: [u8; 32],
    },
    /// A subject's row, and the key of its tokens, which has an id as data keys have.
    Subject {
        row: Id,
        token_id: Id,
        token_key: [u8; 32],
    },
    /// A data key.
    Key(DataKey),
    /// A data key that opens and does not seal any more.
    Retired(Id),
    Hold(Hold),
    Released(String),
    Queued(Queued),
    Unqueued(String),
    Destroyed(Destroyed),
    /// The certificate was handed out.
    Issued(String),
    /// Destructions in the ledger below this index are carried out here.
    Mark(u64),
}

impl Record {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, start) = (self.kind(), out.len());
        out.extend_from_slice(&[kind, 0, 0, 0, 0]);
        match self {
            Self::Genesis { index_key } => out.extend_from_slice(index_key),
            Self::Subject { row, token_id, token_key } => {
                out.extend_from_slice(row);
                out.extend_from_slice(token_id);
                out.extend_from_slice(token_key);
            }
            Self::Key(key) => {
                out.extend_from_slice(&key.row);
                out.extend_from_slice(&key.month.to_le_bytes());
                out.push(key.cipher as u8);
                out.extend_from_slice(&key.version.to_le_bytes());
                out.extend_from_slice(&key.id);
                out.extend_from_slice(&key.secret);
            }
            Self::Retired(id) => out.extend_from_slice(id),
            Self::Mark(index) => out.extend_from_slice(&index.to_le_bytes()),
            Self::Released(id) | Self::Unqueued(id) | Self::Issued(id) => {
                out.extend_from_slice(id.as_bytes());
            }
            Self::Hold(hold) => json(hold, out),
            Self::Queued(queued) => json(queued, out),
            Self::Destroyed(destroyed) => json(destroyed, out),
        }
        let length = u32::try_from(out.len() - start - 5).unwrap_or(u32::MAX);
        out[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Genesis { .. } => 1,
            Self::Subject { .. } => 2,
            Self::Key(_) => 3,
            Self::Retired(_) => 4,
            Self::Hold(_) => 5,
            Self::Released(_) => 6,
            Self::Queued(_) => 7,
            Self::Unqueued(_) => 8,
            Self::Destroyed(_) => 9,
            Self::Issued(_) => 10,
            Self::Mark(_) => 11,
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        Some(match kind {
            1 => Self::Genesis { index_key: body.try_into().ok()? },
            2 => {
                let (row, rest) = body.split_first_chunk::<16>()?;
                let (token_id, token_key) = rest.split_first_chunk::<16>()?;
                Self::Subject { row: *row, token_id: *token_id, token_key: token_key.try_into().ok()? }
            }
            3 => Self::Key(data_key(body)?),
            4 => Self::Retired(body.try_into().ok()?),
            5 => Self::Hold(serde_json::from_slice(body).ok()?),
            6 => Self::Released(text(body)?),
            7 => Self::Queued(serde_json::from_slice(body).ok()?),
            8 => Self::Unqueued(text(body)?),
            9 => Self::Destroyed(serde_json::from_slice(body).ok()?),
            10 => Self::Issued(text(body)?),
            11 => Self::Mark(u64::from_le_bytes(body.try_into().ok()?)),
            _ => return None,
        })
    }

    /// The records of a frame; nothing when they are not records to the last byte.
    pub(crate) fn decode_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut records = Vec::new();
        while let Some((&kind, rest)) = bytes.split_first() {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|n| *n <= MAX_BODY)?;
            let (body, rest) = rest.split_at_checked(length)?;
            records.push(Self::decode(kind, body)?);
            bytes = rest;
        }
        Some(records)
    }
}

fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    if let Ok(bytes) = serde_json::to_vec(value) {
        out.extend_from_slice(&bytes); // strings and numbers always have a JSON form
    }
}

fn text(body: &[u8]) -> Option<String> {
    String::from_utf8(body.to_vec()).ok()
}

fn data_key(body: &[u8]) -> Option<DataKey> {
    let (row, rest) = body.split_first_chunk::<16>()?;
    let (month, rest) = rest.split_first_chunk::<4>()?;
    let (cipher, rest) = rest.split_first()?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (id, secret) = rest.split_first_chunk::<16>()?;
    Some(DataKey {
        row: *row,
        month: u32::from_le_bytes(*month),
        cipher: Cipher::of(*cipher)?,
        version: u16::from_le_bytes(*version),
        id: *id,
        secret: secret.try_into().ok()?,
    })
}
