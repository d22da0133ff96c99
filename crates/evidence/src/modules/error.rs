//! What can go wrong before a module can be judged.

use std::io;

/// Errors of [`super`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModulesError {
    /// The operating system or the network refused.
    #[error("cannot read `{what}`")]
    Read {
        /// What was to be read.
        what: String,
        /// The answer.
        #[source]
        source: io::Error,
    },
    /// A line that `go` would not have written.
    #[error("line {line} of go.sum is refused: {why}")]
    GoSum {
        /// Counted from 1.
        line: usize,
        /// The rule.
        why: &'static str,
    },
    /// The database's answer is not what it should be.
    #[error("the checksum database's {what} is refused: {why}")]
    Database {
        /// Which answer.
        what: &'static str,
        /// The rule.
        why: &'static str,
    },
    /// A signature of the database.
    #[error("the checksum database's tree is not signed by its key")]
    Signature(#[from] signing::SigningError),
    /// A proof of the database.
    #[error("the checksum database does not prove its record")]
    Proof(#[from] tlog::TlogError),
}

impl ModulesError {
    /// The error and its causes, on one line.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
