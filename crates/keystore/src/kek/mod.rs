//! Key-encryption keys: what closes a vault, kept apart from it.
//!
//! A key-encryption key has **epochs**. Each epoch is a key of its own; the vault is closed under the newest. When
//! something in the vault is destroyed, a new epoch is made, the vault is closed under it, and the old epoch is
//! destroyed: a copy of the vault made before that can then be opened by nobody. So a provider never derives one
//! epoch from another, and [`KeyEncryptionKey::keep_only`] returns only after the others are gone.

mod file;
mod shred;
#[cfg(feature = "pkcs11")]
mod token;

use zeroize::Zeroizing;

use crate::KeystoreError;

pub use file::KekFile;
pub(crate) use file::is_kek_file;
pub use shred::{replace_and_shred, shred_left_over};
#[cfg(feature = "pkcs11")]
pub use token::KekToken;

/// Length of the keys that are wrapped: SM4's.
pub const WRAPPED_KEY: usize = 16;

/// A wrapped key is never longer: a token may pad it.
pub const MAX_WRAPPED: usize = 512;

/// Wraps and unwraps the key of a vault.
pub trait KeyEncryptionKey: Send + Sync {
    /// Where the key is, for people.
    fn place(&self) -> String;

    /// Whether the key is kept by a token that does not give it away.
    fn in_token(&self) -> bool;

    /// The epochs that exist, in order; none when the key was never made.
    ///
    /// # Errors
    /// When the place cannot be read, or holds something else.
    fn epochs(&self) -> Result<Vec<u64>, KeystoreError>;

    /// Makes the key of an epoch, which must be newer than all that exist. The others stay.
    ///
    /// # Errors
    /// [`KeystoreError::Exists`] when it is not newer; what the place answers.
    fn add(&self, epoch: u64) -> Result<(), KeystoreError>;

    /// Closes a key under an epoch.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`] when there is no such epoch.
    fn wrap(&self, epoch: u64, key: &[u8; WRAPPED_KEY]) -> Result<Vec<u8>, KeystoreError>;

    /// Opens what [`KeyEncryptionKey::wrap`] closed.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`] when there is no such epoch, [`KeystoreError::Wrapped`] when it was closed under
    /// another key or changed.
    fn unwrap(&self, epoch: u64, wrapped: &[u8]) -> Result<Zeroizing<[u8; WRAPPED_KEY]>, KeystoreError>;

    /// Destroys every epoch but one.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`] when that one does not exist; nothing is destroyed then.
    fn keep_only(&self, epoch: u64) -> Result<(), KeystoreError>;
}
