//! What can be asked of the vault, and what is answered: the same over the home's socket and within the owner.

use serde::{Deserialize, Serialize};

use super::record::{Hold, Queued, Subject};

/// Events that are opened by one call.
pub const MAX_REVEALED: usize = 256;

/// A request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case", deny_unknown_fields)]
pub enum VaultCall {
    /// How it stands.
    Status {},
    /// Makes it; `replace_lost` also when its key-encryption key is there and it is not.
    Create {
        /// Whether a lost vault may be replaced: what was sealed in it stays closed for ever.
        replace_lost: bool,
    },
    /// Closes it under a new epoch of the key-encryption key.
    RotateKek {},
    /// Makes the keys of a subject for this month, if there are none.
    Generate {
        /// Whose.
        subject: Subject,
    },
    /// Retires the keys of a subject and makes new ones.
    Rotate {
        /// Whose.
        subject: Subject,
    },
    /// Keys of a subject open and do not seal any more.
    Retire {
        /// Whose.
        subject: Subject,
    },
    /// Destroys the keys of a subject, or queues it.
    Erase {
        /// Whose.
        subject: Subject,
        /// Why.
        reason: String,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// Carries out what was queued and waits for nothing any more.
    EraseDue {},
    /// Destructions whose certificates were not handed out yet.
    Certificates {},
    /// The certificate was handed out: what it says of the subject is forgotten here.
    Issued {
        /// The erasure.
        id: String,
    },
    /// Holds a subject.
    Hold {
        /// Whom.
        subject: Subject,
        /// Why.
        reason: String,
    },
    /// Ends a hold.
    Release {
        /// Which.
        id: String,
        /// Why.
        reason: String,
    },
    /// Holds and queued erasures.
    Waiting {},
    /// Opens the sealed values of events.
    Reveal {
        /// Why.
        reason: String,
        /// The events, at most [`MAX_REVEALED`].
        indices: Vec<u64>,
    },
    /// Opens one field to somebody else, with what proves it.
    Disclose {
        /// The event.
        index: u64,
        /// The field, `ctx.phone`.
        field: String,
        /// Why.
        reason: String,
    },
}

/// An answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum VaultAnswer {
    /// To `status`.
    Status(VaultStatus),
    /// To what changes keys, and was done.
    Changed(KeysChanged),
    /// To `erase` and `erase-due`: one for each subject.
    Erasures(Vec<Erasure>),
    /// To `certificates`, with those that `erase` made.
    Certificates(Vec<Certified>),
    /// To `hold` and `release`.
    Hold(Hold),
    /// To `waiting`.
    Waiting {
        /// Holds.
        holds: Vec<Hold>,
        /// Queued erasures.
        queue: Vec<Queued>,
    },
    /// To `reveal`: events in which what could be opened is open, as JSON.
    Revealed(Vec<Revealed>),
    /// To `disclose`.
    Disclosed(Disclosure),
    /// To `issued`.
    Done {},
}

/// How the vault stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultStatus {
    /// Whether there is one.
    pub exists: bool,
    /// Where its key-encryption key is.
    pub kek: String,
    /// Whether that is in a token.
    pub token: bool,
    /// The epoch of that key.
    pub epoch: u64,
    /// Subjects with keys.
    pub subjects: usize,
    /// Data keys.
    pub keys: usize,
    /// Those that do not seal any more.
    pub retired: usize,
    /// Holds.
    pub holds: usize,
    /// Erasures that wait.
    pub queued: usize,
    /// The redaction policy in force, as events name it.
    pub policy: Option<String>,
}

/// What changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysChanged {
    /// The action of the event that says so.
    pub act: String,
    /// Data keys that were made.
    pub made: usize,
    /// Data keys that were retired.
    pub retired: usize,
    /// The epoch of the key-encryption key.
    pub epoch: u64,
    /// The event's index.
    pub index: u64,
}

/// What became of an erasure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// Names it.
    pub id: String,
    /// Whom it erases.
    pub subject: Subject,
    /// Data keys that were destroyed (with `dry_run`: would be).
    pub destroyed: usize,
    /// Index of the event that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// What waits, and for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<Queued>,
    /// Nothing was done.
    pub dry_run: bool,
}

/// What an erasure certificate says, before it is signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certified {
    /// Version of the form.
    pub version: u32,
    /// The erasure.
    pub erasure: String,
    /// Whom it erased.
    pub subject: Subject,
    /// Opens the leaf's commitment to the subject: 32 hexadecimal digits. Not kept in the home.
    pub salt: String,
    /// Ids of the keys that were destroyed.
    pub keys: Vec<String>,
    /// The log.
    pub origin: String,
    /// Index of the leaf.
    pub index: u64,
    /// The leaf: the event `ERASURE.DESTROYED`, as it is stored.
    pub event: String,
    /// Its `.tlog-proof`.
    pub proof: String,
}

/// An event in which what could be opened is open.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revealed {
    /// Its index.
    pub index: u64,
    /// The event. It is not the stored form.
    pub event: String,
    /// Fields that were opened.
    pub opened: Vec<String>,
    /// Fields whose keys are gone.
    pub closed: Vec<String>,
}

/// One field, opened to somebody who has nothing but this and the log's public key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// Version of the form.
    pub version: u32,
    /// The field as the caller named it, `ctx.phone`.
    pub field: String,
    /// What it holds.
    pub value: String,
    /// Opens the commitment: 32 hexadecimal digits.
    pub salt: String,
    /// Index of the leaf.
    pub index: u64,
    /// The leaf: the event, as it is stored.
    pub event: String,
    /// Its `.tlog-proof`.
    pub proof: String,
}
