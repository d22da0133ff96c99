//! A copy of a home that can be put back: entries, the signed checkpoint over them, and the small files an operator
//! wrote. Neither private keys nor the vault are in it.
//!
//! A backup is as good as its checkpoint: putting it back builds both trees again from the entries and compares their
//! roots with the signed ones before the home can be used. The format is `docs/formats/backup.md`.

mod format;
mod restore;
mod save;

use event::Event;
use serde::{Deserialize, Serialize};

pub use restore::{Restored, Target, check, restore};
pub use save::{Saved, save};

pub(crate) use format::Reader;
pub(crate) use restore::is_small;

/// What a backup says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub version: u32,
    /// The log's identity.
    pub origin: String,
    /// The log's public key, as in `keys/log.vkey`.
    pub key: String,
    /// Index of the first entry; not 0 in an incremental backup.
    pub from: u64,
    /// Entries of the log under the checkpoint.
    pub size: u64,
    /// When it was made (RFC 3339, UTC).
    pub made: String,
}

/// Called for each destruction of keys (`ERASURE.DESTROYED`) that a restored ledger holds, before the home can be used:
/// whoever puts a vault back beside it destroys them again.
pub trait Destructions {
    /// The event at `index` destroyed keys.
    ///
    /// # Errors
    /// Why they could not be destroyed again: the home is then not finished.
    fn replay(&mut self, index: u64, event: &Event<'_>) -> Result<(), String>;
}

/// There is no vault beside the home: nothing to destroy again; the number of destructions is kept.
#[derive(Default, Debug)]
pub struct NoVault {
    /// Destructions that were met.
    pub met: u64,
}

impl Destructions for NoVault {
    fn replay(&mut self, _: u64, _: &Event<'_>) -> Result<(), String> {
        self.met += 1;
        Ok(())
    }
}
