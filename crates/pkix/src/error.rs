//! What can be wrong with bytes that claim to be a certificate, a signature or a timestamp.

use crate::oid::Oid;

/// Errors of this crate: malformed bytes, things that are not known here, and signatures that do not hold. Whether a
/// chain is to be trusted is not an error but a [`crate::chain::Fault`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PkixError {
    /// The bytes break the encoding or the structure.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// What the bytes were taken for.
        what: &'static str,
        /// The rule that they break.
        why: String,
    },
    /// An algorithm that is not known, or too weak to be used.
    #[error("{what} {oid} is not supported")]
    Unsupported {
        /// What kind of algorithm or content.
        what: &'static str,
        /// Its identifier.
        oid: Oid,
    },
    /// A signature does not belong to these bytes and key.
    #[error("the signature of {what} does not verify")]
    BadSignature {
        /// Whose signature.
        what: String,
    },
    /// A signed statement is about something else than it should be.
    #[error("{what} does not match: {why}")]
    Mismatch {
        /// The statement.
        what: &'static str,
        /// What differs.
        why: String,
    },
    /// A timestamp authority or an OCSP responder declined.
    #[error("{who} declined: {why}")]
    Declined {
        /// Who.
        who: &'static str,
        /// Its words or its status code.
        why: String,
    },
}

impl PkixError {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }

    /// The same error, said of `what`: where a part knows less than its owner what it stands for.
    pub(crate) fn of(self, what: &'static str) -> Self {
        match self {
            Self::Malformed { why, .. } => Self::Malformed { what, why },
            other => other,
        }
    }
}
