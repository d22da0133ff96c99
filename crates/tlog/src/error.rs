use thiserror::Error;

/// Why bytes are not what they were taken for, or why a proof does not hold.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlogError {
    /// Bytes from outside that are not in the format they claim.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// The format.
        what: &'static str,
        /// What is wrong with the bytes.
        why: String,
    },
    /// A well-formed proof that does not lead to the root.
    #[error("the {what} proof does not hold")]
    ProofFails {
        /// `inclusion` or `consistency`.
        what: &'static str,
    },
    /// A request for an index or size outside the tree.
    #[error("{what} {value} is outside a tree of size {size}")]
    OutOfRange {
        /// What was asked for.
        what: &'static str,
        /// The value that was asked for.
        value: u64,
        /// The size of the tree.
        size: u64,
    },
}

impl TlogError {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }
}
