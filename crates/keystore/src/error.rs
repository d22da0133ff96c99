//! What can go wrong with a key file.

use std::path::{Path, PathBuf};

use signing::SigningError;

/// Errors of this crate, by who must act: the caller (`Name`, `Exists`, `NotFound`, `Malformed`), the evidence
/// (`Revoked`), the machine (`ReadableByOthers`, `Io`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// A name that cannot name a key.
    #[error("`{name}` cannot name a key: {why}")]
    Name {
        /// The name as it was given.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// There is already a key of this name, or this key already has a name.
    #[error("{what} already exists")]
    Exists {
        /// What is there.
        what: String,
    },
    /// No such key.
    #[error("no key {key}")]
    NotFound {
        /// Name or id as it was asked for.
        key: String,
    },
    /// A file that should hold a key, or facts about one, does not.
    #[error("cannot read a key from {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What its bytes break.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The public file beside a private key is not its public half.
    #[error("{} is not the public half of {}", public.display(), private.display())]
    HalvesDiffer {
        /// The private key's file.
        private: PathBuf,
        /// The public key's file.
        public: PathBuf,
    },
    /// The key was revoked.
    #[error("key {key} was revoked on {at}: {reason}")]
    Revoked {
        /// Its id.
        key: String,
        /// When.
        at: jiff::Timestamp,
        /// Why, as it was given.
        reason: String,
    },
    /// Others than the owner can read the private key, or put another in its place.
    #[error("{} is open to others than its owner (mode {mode:04o})", path.display())]
    ReadableByOthers {
        /// The file or folder.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// The bytes are no PKCS #12 file, or one that is protected in a way that is not supported.
    #[error("cannot open PKCS #12: {why}")]
    Pkcs12 {
        /// The rule that they break.
        why: String,
    },
    /// The password or PIN is another.
    #[error("wrong password for the {what}")]
    Password {
        /// What it should have opened.
        what: &'static str,
    },
    /// A PKCS #11 URI that names nothing, or too much.
    #[error("cannot use the PKCS #11 URI: {why}")]
    Uri {
        /// What is wrong with it.
        why: String,
    },
    /// A token refused.
    #[error("the token did not {action}")]
    Token {
        /// What was attempted.
        action: &'static str,
        /// What the token said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key on a token could leave it.
    #[error("key {key} could leave its token")]
    Extractable {
        /// The key.
        key: String,
    },
    /// The signing crate refused.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A wrapped key does not open: another key closed it, or its bytes were changed.
    #[error("what was closed under {} (epoch {epoch}) does not open", place)]
    Wrapped {
        /// Where the key-encryption key is.
        place: String,
        /// Its epoch.
        epoch: u64,
    },
    /// The operating system has no randomness to give.
    #[error("no randomness from the operating system: {why}")]
    Randomness {
        /// Its answer.
        why: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl KeystoreError {
    /// The mend, where one is known: one line.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => Some(
                "use lower-case letters, digits and `-`, `_`, `.`, `@` inside, such as `release-2026`".into(),
            ),
            Self::Exists { .. } => Some(
                "see which there are with `custody key list`; `custody key rotate` replaces an own key"
                    .into(),
            ),
            Self::NotFound { .. } => Some("see which there are with `custody key list`".into()),
            Self::ReadableByOthers { path, .. } => Some(format!(
                "if nobody can have copied it, close it with `chmod go= '{}'`; otherwise revoke the key",
                path.display()
            )),
            Self::HalvesDiffer { public, .. } => {
                Some(format!("find out who wrote {} before signing with this key", public.display()))
            }
            Self::Revoked { .. } => Some("make a new key with `custody key new`".into()),
            Self::Wrapped { .. } => {
                Some("put the vault and its key-encryption key of the same day together".into())
            }
            Self::Password { .. } => Some(
                "read it from the right file with `--password-file`; tokens lock after a few tries".into(),
            ),
            Self::Uri { .. } => Some(
                "for example `pkcs11:token=release;object=code?module-path=/usr/lib/softhsm/libsofthsm2.so`"
                    .into(),
            ),
            Self::Extractable { .. } => {
                Some("take a token that keeps its keys, and make the key there with `custody pe key`".into())
            }
            _ => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn malformed(
        path: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Malformed { path: path.to_owned(), source: source.into() }
    }
}
