//! What can go wrong with a key, a signature or the wrapping around one.

/// Errors of this crate. Grouped by who must act: the evidence itself (`BadSignature`, `NoTrustedSignature`),
/// the bytes handed in (`Malformed`), the environment (`KeyUnavailable`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// A signature does not belong to this message and key.
    #[error("signature by key {key} does not verify")]
    BadSignature {
        /// The key that was asked.
        key: String,
    },
    /// There are signatures, but none by a key that the caller trusts.
    #[error("no signature by a trusted key (signed by {signers})")]
    NoTrustedSignature {
        /// Ids or names of the keys that did sign, separated by commas; `nobody` when there are none.
        signers: String,
    },
    /// The bytes are not a key, an envelope or a note.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// What the bytes were taken for.
        what: &'static str,
        /// The rule that they break.
        why: String,
    },
    /// The key exists but cannot be used now.
    #[error("cannot use key {key}: {why}")]
    KeyUnavailable {
        /// The key that was asked.
        key: String,
        /// The reason as its holder gave it.
        why: String,
    },
}

impl SigningError {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }
}
