use std::time::Duration;

use signing::note::{NoteSigner, NoteVerifier};

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
    /// How often a checkpoint is published over what has become durable; `None` publishes only on
    /// [`publish`](crate::Log::publish), on closing, and when too much is held.
    pub publish_every: Option<Duration>,
    /// Space reserved for each segment of the write-ahead log, in bytes.
    pub segment_bytes: u64,
    /// Bytes of leaves held in memory (queued, or durable and not yet under a checkpoint) before callers wait.
    pub held_bytes: usize,
    /// Bytes of leaves that one group commit takes at most.
    pub group_bytes: usize,
}

impl Options {
    /// The usual values: an existing log, a checkpoint each second, segments of 16 MiB, 128 MiB held, groups of 4 MiB.
    #[must_use]
    pub fn new(origin: impl Into<String>, signer: NoteSigner) -> Self {
        Self {
            origin: origin.into(),
            signer,
            retired: Vec::new(),
            create: false,
            publish_every: Some(Duration::from_secs(1)),
            segment_bytes: 16 << 20,
            held_bytes: 128 << 20,
            group_bytes: 4 << 20,
        }
    }
}
