//! Durable sequencing of leaves: write-ahead log, tiles, checkpoints, recovery.
//!
//! A [`Log`] gives each leaf an index, makes it durable, and puts it under a signed checkpoint of two Merkle trees
//! (SHA-256 and SM3). The files are a C2SP tlog-tiles log that public tools can read. It does not know what a leaf
//! means. Files and formats: `docs/formats/ledger.md`.
//!
//! Acknowledged means durable: [`Log::append`] returns, and a [`Ticket`] is answered, after the sync of the
//! write-ahead log.
#![forbid(unsafe_code)]

mod checkpoint;
mod edge;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod integrate;
mod log;
mod options;
mod read;
mod recover;
mod shared;
mod storage;
mod verify;
mod wal;

#[cfg(test)]
mod crash_tests;

pub use checkpoint::SignedCheckpoint;
pub use error::{CheckpointError, LedgerError};
pub use log::{Entries, LOCK, Log};
pub use options::Options;
pub use recover::Recovery;
pub use shared::Ticket;
pub use verify::{Damage, Report, VerifyOptions, verify};
pub use wal::replay::Torn;
