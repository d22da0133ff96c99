use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why the ledger could not do what was asked. Clones share their cause, because one failed sync answers every
/// caller that waited for it.
#[derive(Debug, Error, Clone)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another process has the home open.
    #[error("the ledger at {} is in use by another process", home.display())]
    Owned {
        /// The home.
        home: PathBuf,
    },
    /// No space for what had to be written. What was acknowledged stays; try again when there is space.
    #[error("no space left to {what} at {path}")]
    Full {
        /// What was attempted.
        what: &'static str,
        /// The file, below the home.
        path: String,
        /// The operating system's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// The home may not be written.
    #[error("may not {what} at {path}")]
    ReadOnly {
        /// What was attempted.
        what: &'static str,
        /// The file, below the home.
        path: String,
        /// The operating system's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another answer of the operating system.
    #[error("could not {what} at {path}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file, below the home.
        path: String,
        /// The operating system's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// A write or sync failed earlier; what the disk holds is unknown until the home is opened again. Leaves that
    /// were waiting may or may not be in the log.
    #[error("the ledger stopped after a failed write; open it again")]
    Poisoned {
        /// The failure.
        #[source]
        source: Option<Arc<LedgerError>>,
    },
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// A leaf that no entry bundle can carry.
    #[error("a leaf of {length} bytes is longer than 65535")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// An index that is not in the log.
    #[error("index {index} is outside a log of {size} entries")]
    OutOfRange {
        /// The index.
        index: u64,
        /// The size it was compared with.
        size: u64,
    },
    /// An entry that was pruned.
    #[error("entry {index} was pruned; entries are kept from index {minimum} on")]
    Pruned {
        /// The index.
        index: u64,
        /// The first index that is kept.
        minimum: u64,
    },
    /// A segment that cannot be handled so.
    #[error("the segment at index {first}: {why}")]
    Segment {
        /// Index of its first entry, as it was named.
        first: u64,
        /// Why.
        why: &'static str,
    },
    /// A home of a later version.
    #[error("{path} says a format that this version does not know: {found}")]
    Format {
        /// The file, below the home.
        path: String,
        /// What it says.
        found: String,
    },
    /// The files under `log/` are not what the checkpoint says.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file, below the home.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A record of the write-ahead log that was acknowledged is damaged.
    #[error("{path} is damaged at byte {offset}, before records that were acknowledged")]
    WalDamaged {
        /// The segment, below the home.
        path: String,
        /// Where.
        offset: u64,
    },
    /// Records of the write-ahead log are missing.
    #[error("the write-ahead log has no entries {from}..{to}")]
    WalGap {
        /// First missing index.
        from: u64,
        /// First index after the gap.
        to: u64,
    },
    /// The checkpoint is not signed by the log's key, or is not this log's.
    #[error("the checkpoint is not one of this log")]
    Checkpoint {
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// The checkpoint could not be signed.
    #[error("could not sign the checkpoint")]
    Signing {
        /// Why.
        #[source]
        source: Arc<signing::SigningError>,
    },
    /// A proof or format error.
    #[error(transparent)]
    Tlog(#[from] tlog::TlogError),
}

/// Why a note is not a checkpoint of this log.
#[derive(Debug, Error, Clone)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Its signature.
    #[error("the signature does not hold")]
    Signature(#[source] Arc<signing::SigningError>),
    /// Its text.
    #[error("the text is not a checkpoint")]
    Text(#[source] tlog::TlogError),
    /// Its origin.
    #[error("it is of the log `{found}`, not `{expected}`")]
    Origin {
        /// The origin it names.
        found: String,
        /// The origin of this log.
        expected: String,
    },
    /// Its line about the minimum index.
    #[error("its minimum index is malformed or beyond its size")]
    Minimum,
    /// It is not UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
}

impl LedgerError {
    /// Sorts an answer of the operating system by who must act.
    pub(crate) fn io(what: &'static str, path: impl Into<String>, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let (path, kind, source) = (path.into(), source.kind(), Arc::new(source));
        match kind {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full { what, path, source },
            PermissionDenied | ReadOnlyFilesystem => Self::ReadOnly { what, path, source },
            _ => Self::Io { what, path, source },
        }
    }

    /// Whether the same request may succeed later, without opening the log again.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::ReadOnly { .. } | Self::Signing { .. })
    }

    pub(crate) fn poisoned_by(cause: Self) -> Self {
        match cause {
            poisoned @ Self::Poisoned { .. } => poisoned,
            cause => Self::Poisoned { source: Some(Arc::new(cause)) },
        }
    }
}

/// Names what was attempted on which file.
pub(crate) trait IoContext<T> {
    fn attempt(self, what: &'static str, path: &str) -> Result<T, LedgerError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn attempt(self, what: &'static str, path: &str) -> Result<T, LedgerError> {
        self.map_err(|source| LedgerError::io(what, path, source))
    }
}
