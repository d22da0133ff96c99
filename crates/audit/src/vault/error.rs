use std::path::PathBuf;

use keystore::KeystoreError;

use super::frame::VaultDamage;

/// Why the vault could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The key-encryption key, or the file system on its way to it.
    #[error("the key-encryption key of the vault cannot be used")]
    Kek(#[source] KeystoreError),
    /// Its file is not what was written.
    #[error("the vault is damaged: {0}")]
    Damaged(VaultDamage),
    /// It is of another ledger.
    #[error("{} is the vault of the ledger {origin}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The other ledger.
        origin: String,
    },
    /// Its key-encryption key exists, and it does not.
    #[error("there is a key-encryption key ({place}) and no vault at {}", path.display())]
    Lost {
        /// Where the vault should be.
        path: PathBuf,
        /// Where the key is.
        place: String,
    },
    /// There is none.
    #[error("this home has no vault: nothing was ever sealed in it")]
    Absent,
    /// There is one.
    #[error("this home has a vault already")]
    Exists,
    /// It is larger than this program reads.
    #[error("the vault is larger than 4 GiB")]
    TooLarge,
    /// A key was replaced more often than its version can count.
    #[error("the keys of this subject were replaced 65535 times in a month")]
    TooManyVersions,
    /// A write failed; what is on the disk is known only after opening it anew.
    #[error("an earlier write to the vault failed, and nothing is sealed until the home is opened anew")]
    Stopped,
    /// `vault.toml` is not what it should be.
    #[error("{} is not a vault's configuration: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        why: String,
    },
    /// The vault has no keys of that subject.
    #[error("the vault has no keys of {subject}")]
    NoSubject {
        /// As it was asked for.
        subject: String,
    },
    /// No such hold, erasure or certificate.
    #[error("there is no {what} {id}")]
    NoSuch {
        /// The sort of thing.
        what: &'static str,
        /// As it was asked for.
        id: String,
    },
    /// A field that is not sealed, or cannot be opened.
    #[error("{path} of event {index} {why}")]
    Field {
        /// The field.
        path: String,
        /// The event.
        index: u64,
        /// Why.
        why: &'static str,
    },
}

impl VaultError {
    /// Who must act.
    pub(crate) fn kind(&self) -> crate::ErrorKind {
        use crate::ErrorKind as K;
        match self {
            Self::Damaged(_) | Self::Foreign { .. } | Self::Lost { .. } => K::Damage,
            Self::Kek(KeystoreError::Wrapped { .. }) => K::Damage,
            Self::Kek(_) | Self::Stopped | Self::TooLarge | Self::TooManyVersions => K::Environment,
            _ => K::Request,
        }
    }
}
