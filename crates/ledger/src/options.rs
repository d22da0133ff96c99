use std::time::Duration;

use signing::note::{NoteSigner, NoteVerifier};

/// Which trees are kept over the leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trees {
    /// SHA-256 and SM3.
    #[default]
    Both,
    /// SHA-256 alone.
    Sha256,
}

/// How a log is opened.
pub struct Options {
    /// First line of every checkpoint: the log's identity.
    pub origin: String,
    /// The key that signs checkpoints.
    pub signer: NoteSigner,
    /// Keys of this log that were rotated away: a checkpoint by one of them is accepted at opening, and signed again
    /// with [`Options::signer`] over the same tree.
    pub retired: Vec<NoteVerifier>,
    /// Whether a home without a log gets one. Only who makes a home says so: to everyone else a missing log is a loss,
    /// not a beginning.
    pub create: bool,
    /// The trees of a log that is created. A log keeps for its life the trees it was created with.
    pub trees: Trees,
    /// How often a checkpoint is published over what has become durable; `None` publishes only on
    /// [`publish`](crate::Log::publish), on closing, and when many leaves wait for one.
    pub publish_every: Option<Duration>,
    /// Bytes after which a segment is full and the next one is begun.
    pub segment_bytes: u64,
    /// Bytes of leaves held in memory (queued, or durable and not yet hashed) before callers wait.
    pub held_bytes: usize,
    /// Bytes of leaves that one group commit takes at most.
    pub group_bytes: usize,
}

impl Options {
    /// The usual values: an existing log, a checkpoint each second, segments of 64 MiB, 64 MiB held, groups of 1 MiB.
    #[must_use]
    pub fn new(origin: impl Into<String>, signer: NoteSigner) -> Self {
        Self {
            origin: origin.into(),
            signer,
            retired: Vec::new(),
            create: false,
            trees: Trees::Both,
            publish_every: Some(Duration::from_secs(1)),
            segment_bytes: 64 << 20,
            held_bytes: 64 << 20,
            group_bytes: 1 << 20,
        }
    }
}
