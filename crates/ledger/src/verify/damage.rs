//! What a verification finds.

use std::fmt;
use std::ops::Range;

use crate::checkpoint::{PATH, SignedCheckpoint};
use crate::segment::scan::Torn;

/// More findings than this are counted, not kept.
const MAX_DAMAGE: usize = 100;

/// Something that is not as the log's key vouched for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Damage {
    /// The checkpoint is missing, not signed by the key, or malformed.
    Checkpoint {
        /// What is wrong.
        why: String,
    },
    /// An entry is not the one that the trees hold.
    Entry {
        /// Its index.
        index: u64,
        /// The segment it stands in, below the home.
        path: String,
        /// The bytes that hold it, as far as they can be told.
        bytes: Range<u64>,
        /// What is wrong.
        why: String,
    },
    /// Bytes of a segment around its entries: a header, a checksum, padding, the index at its end.
    Segment {
        /// Index of the first entry that they belong to.
        index: u64,
        /// The segment, below the home.
        path: String,
        /// The bytes.
        bytes: Range<u64>,
        /// What is wrong.
        why: String,
    },
    /// A stored hash is not the one of what is below it.
    Hash {
        /// The file of hashes, below the home.
        path: String,
        /// The bytes that hold it.
        bytes: Range<u64>,
        /// What is wrong.
        why: String,
    },
    /// Entries that the checkpoint covers, or that were acknowledged behind it, are not there.
    Gap {
        /// First missing index.
        from: u64,
        /// First index after the gap.
        to: u64,
    },
    /// A file that the checkpoint implies is not there, or ends too early.
    Missing {
        /// The file, below the home.
        path: String,
    },
    /// A file that the checkpoint does not imply is there, or goes on too long.
    Unexpected {
        /// The file, below the home.
        path: String,
    },
    /// Entries and hashes agree with each other and lead to another root than the signed one.
    Root {
        /// `sha256` or `sm3`.
        tree: &'static str,
    },
    /// The log is shorter than at the earlier checkpoint.
    Shortened {
        /// Size at the earlier checkpoint.
        earlier: u64,
        /// Size now.
        now: u64,
    },
    /// The log at the earlier checkpoint's size has another root.
    Forked {
        /// Size at the earlier checkpoint.
        earlier: u64,
        /// `sha256` or `sm3`.
        tree: &'static str,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint { why } => write!(f, "{PATH}: {why}"),
            Self::Entry { index, path, bytes, why } => {
                write!(f, "entry {index} in {path}, bytes {}..{}: {why}", bytes.start, bytes.end)
            }
            Self::Segment { index, path, bytes, why } => {
                write!(f, "{path} at entry {index}, bytes {}..{}: {why}", bytes.start, bytes.end)
            }
            Self::Hash { path, bytes, why } => {
                write!(f, "{path}, bytes {}..{}: {why}", bytes.start, bytes.end)
            }
            Self::Gap { from, to } => write!(f, "entries {from}..{to} are missing"),
            Self::Missing { path } => write!(f, "{path}: missing, or cut off"),
            Self::Unexpected { path } => write!(f, "{path}: not part of the log, or longer than it"),
            Self::Root { tree } => write!(f, "the {tree} root is not the one in the signed checkpoint"),
            Self::Shortened { earlier, now } => {
                write!(f, "the log has {now} entries, {earlier} at the earlier checkpoint")
            }
            Self::Forked { earlier, tree } => {
                write!(
                    f,
                    "the {tree} root over the first {earlier} entries is not that of the earlier checkpoint"
                )
            }
        }
    }
}

/// What a verification found.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// The checkpoint that everything was compared with, when it holds.
    pub checkpoint: Option<SignedCheckpoint>,
    /// Findings, first one first; at most 100 are kept.
    pub damage: Vec<Damage>,
    /// Number of findings.
    pub damage_count: u64,
    /// Entries below this index were not read: verified before, or pruned.
    pub verified_from: u64,
    /// Durable entries that are not under this checkpoint (the owner may have published them meanwhile).
    pub unpublished: u64,
    /// An unfinished record at the end of the last segment: being written, or left by a crash.
    pub unfinished: Option<Torn>,
    /// Files with hashes beyond the checkpoint, or not yet in their place: being written, or left by a crash.
    pub unpublished_files: u64,
}

impl Report {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.damage_count == 0
    }

    pub(super) fn found(&mut self, damage: Damage) {
        self.damage_count += 1;
        if self.damage.len() < MAX_DAMAGE {
            self.damage.push(damage);
        }
    }
}
