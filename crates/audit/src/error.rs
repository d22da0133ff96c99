use std::io;
use std::path::{Path, PathBuf};

use event::InvalidComplianceEvent;
use ledger::LedgerError;

/// Why the audit session could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A fact or event that is not admitted.
    #[error(transparent)]
    Invalid(#[from] InvalidComplianceEvent),
    /// The ledger's own reason.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The home has no log key, so it was never made a home.
    #[error("no log key at {}", path.display())]
    NoKey {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The home has a log key already.
    #[error("there is a log key at {} already", path.display())]
    KeyExists {
        /// Where it is.
        path: PathBuf,
    },
    /// A key that cannot be used.
    #[error("cannot use the log key at {}", path.display())]
    Key {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: signing::SigningError,
    },
    /// An answer of the operating system.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        #[source]
        source: io::Error,
    },
    /// The operator's catalogue is not one.
    #[error("{} is not a catalogue: {why}", path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        why: String,
    },
    /// The operator's rules of retention are none.
    #[error("{} is not a table of retention: {why}", path.display())]
    Retention {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        why: String,
    },
    /// `[ledger]` of custody.toml cannot be followed.
    #[error("cannot follow {}: {why}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        why: String,
    },
    /// The home's redaction policy is none.
    #[error("{} is not a redaction policy: {why}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        why: String,
    },
    /// A backup that cannot be made, or is not one.
    #[error("the backup does not hold: {why}")]
    Backup {
        /// What is wrong.
        why: String,
    },
    /// Someone holds the home's lock but does not answer on its socket.
    #[error("the home {} is in use by another process that does not answer", home.display())]
    Unreachable {
        /// The home.
        home: PathBuf,
    },
    /// The owner went away; what was not acknowledged may or may not be in the ledger.
    #[error("the owner of the home went away")]
    Gone,
    /// The other end does not speak the protocol of `docs/formats/socket.md`.
    #[error("the peer on the home's socket broke the protocol: {why}")]
    Protocol {
        /// The rule that it broke.
        why: String,
    },
    /// The owner's reason, as it told it over the socket.
    #[error("{message}")]
    Remote {
        /// The sort of reason.
        kind: ErrorKind,
        /// The reason.
        message: String,
    },
    /// What was asked for has not the form that it must have.
    #[error("{what} `{value}` {why}")]
    Request {
        /// The part of the request.
        what: &'static str,
        /// As given, shortened.
        value: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// There is no such event.
    #[error("no event {what} in the ledger")]
    NotFound {
        /// Its id or index.
        what: String,
    },
    /// A stored entry is not an event.
    #[error("entry {index} is not a valid event")]
    Entry {
        /// Its index.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: InvalidComplianceEvent,
    },
    /// The vault's own reason.
    #[error(transparent)]
    Vault(#[from] crate::vault::VaultError),
    /// The operating system has no randomness to give.
    #[error("no randomness from the operating system: {why}")]
    Randomness {
        /// Its answer.
        why: String,
    },
}

/// Who must act on an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller: what was asked for does not make sense or does not exist.
    Request,
    /// Whoever keeps the machine: no space, no permission, no owner that answers.
    Environment,
    /// An auditor: the ledger's files are not what they should be.
    Damage,
}

impl AuditError {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::NotFound { .. } | Self::NoKey { .. } | Self::KeyExists { .. } => {
                ErrorKind::Request
            }
            Self::Catalogue { .. }
            | Self::Retention { .. }
            | Self::Policy { .. }
            | Self::Settings { .. }
            | Self::Key { .. }
            | Self::Request { .. } => ErrorKind::Request,
            Self::Entry { .. } | Self::Backup { .. } => ErrorKind::Damage,
            Self::Remote { kind, .. } => *kind,
            Self::Ledger(error) => ledger_kind(error),
            Self::Vault(error) => error.kind(),
            _ => ErrorKind::Environment,
        }
    }

    /// Who must act, as it is told to the other end of the socket: there, the rules are broken by whoever asks.
    #[cfg(unix)]
    pub(crate) fn told_kind(&self) -> ErrorKind {
        match self {
            Self::Protocol { .. } => ErrorKind::Request,
            other => other.kind(),
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }

    pub(crate) fn protocol(why: impl Into<String>) -> Self {
        Self::Protocol { why: why.into() }
    }

    /// The message with its causes, for the other end of the socket.
    pub(crate) fn full_message(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

fn ledger_kind(error: &LedgerError) -> ErrorKind {
    match error {
        LedgerError::OutOfRange { .. }
        | LedgerError::TooLong { .. }
        | LedgerError::Pruned { .. }
        | LedgerError::Segment { .. }
        | LedgerError::Tlog(_) => ErrorKind::Request,
        LedgerError::Damaged { .. }
        | LedgerError::WalDamaged { .. }
        | LedgerError::WalGap { .. }
        | LedgerError::Checkpoint { .. } => ErrorKind::Damage,
        _ => ErrorKind::Environment,
    }
}
