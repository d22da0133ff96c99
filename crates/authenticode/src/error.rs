//! What can be wrong with an image, or with the wish to sign it.

use pkix::PkixError;

/// Errors of this crate: the bytes (`Malformed`, `Pkix`), the wish (`Unsuitable`), the environment (`Io`, `Signer`).
/// Whether a signature is to be believed is not an error but a [`crate::verify::Finding`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticodeError {
    /// The bytes are no image, or no signature of one.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// What the bytes were taken for.
        what: &'static str,
        /// The rule that they break.
        why: String,
    },
    /// It is an image, but this cannot be done with it.
    #[error("cannot {action}: {why}")]
    Unsuitable {
        /// What was wished.
        action: &'static str,
        /// Why not.
        why: String,
    },
    /// A certificate, a signature or a timestamp in it.
    #[error(transparent)]
    Pkix(#[from] PkixError),
    /// The key did not sign.
    #[error(transparent)]
    Signer(#[from] signing::SigningError),
    /// The source or the destination.
    #[error("cannot {action} the image")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl AuthenticodeError {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }

    pub(crate) fn unsuitable(action: &'static str, why: impl Into<String>) -> Self {
        Self::Unsuitable { action, why: why.into() }
    }

    pub(crate) fn read(source: std::io::Error) -> Self {
        Self::Io { action: "read", source }
    }

    pub(crate) fn write(source: std::io::Error) -> Self {
        Self::Io { action: "write", source }
    }
}

pub(crate) type Result<T> = std::result::Result<T, AuthenticodeError>;
