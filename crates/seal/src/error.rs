//! What can be wrong with a seal.

/// Errors of this crate. Grouped by who must act: the evidence itself (`RootMismatch`, `Signature`), the bytes
/// handed in (all others).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not the JSON that a seal is.
    #[error("the seal is not well-formed")]
    Json(#[source] serde_json::Error),
    /// A rule of the format is broken.
    #[error("the seal is malformed: {0}")]
    Malformed(&'static str),
    /// A path that an artefact may not hold.
    #[error("an entry has a path that is refused")]
    Path(#[from] crate::PathError),
    /// An entry contradicts itself.
    #[error("entry `{path}` is malformed: {why}")]
    Entry {
        /// The entry, escaped.
        path: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// Two entries have one path.
    #[error("path `{path}` appears twice")]
    Duplicate {
        /// The path, escaped.
        path: String,
    },
    /// An entry stands below something that is not a directory.
    #[error("entry `{path}` stands below `{parent}`, which is a {kind}")]
    NotADirectory {
        /// The entry, escaped.
        path: String,
        /// What it stands below, escaped.
        parent: String,
        /// What that is.
        kind: crate::EntryKind,
    },
    /// The statement is of a version (or of a kind) that this program does not know.
    #[error("this program does not know {what} `{found}` (it knows `{known}`)")]
    Unknown {
        /// What is unknown: a statement type, a seal version, a tree algorithm.
        what: &'static str,
        /// As the seal says it, escaped.
        found: String,
        /// The one that is known.
        known: &'static str,
    },
    /// The entries are not those that the root commits to.
    #[error("the {algorithm} root does not belong to the entries that the seal lists")]
    RootMismatch {
        /// `sha256` or `sm3`.
        algorithm: &'static str,
    },
    /// The path of a proof does not lead to the root.
    #[error("the entry is not in the {algorithm} tree that was signed")]
    NotIncluded {
        /// `sha256` or `sm3`.
        algorithm: &'static str,
    },
    /// The seal lists no such entry.
    #[error("the seal has no entry `{path}`")]
    NoEntry {
        /// What was asked for, escaped.
        path: String,
    },
    /// The seal was made before there were heads, and nobody signs one now.
    #[error("the seal has no signed head to prove an entry under")]
    NoHead,
    /// More than the format allows.
    #[error("the seal has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The signatures do not hold, or the envelope is none.
    #[error("the signature of the seal is not accepted")]
    Signature(#[source] signing::SigningError),
}
