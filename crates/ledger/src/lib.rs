//! Durable sequencing of leaves: segments, trees, checkpoints, recovery.
//!
//! A [`Log`] gives each leaf an index, makes it durable, and puts it under a signed checkpoint of two Merkle trees
//! (SHA-256 and SM3). Every resource of a C2SP tlog-tiles log is a slice of its files. It does not know what a leaf
//! means. Files and formats: `docs/formats/ledger.md`.
//!
//! Acknowledged means durable: [`Log::append`] returns, and a [`Ticket`] is answered, after the sync of the
//! segment that keeps the leaf.
#![deny(unsafe_code)]

mod checkpoint;
mod error;
mod export;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod integrate;
mod keep;
mod leaves;
mod log;
mod options;
mod read;
mod reader;
mod recover;
mod reserve;
mod segment;
mod shared;
mod storage;
mod tree;
mod verify;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fault_tests;

pub use checkpoint::SignedCheckpoint;
pub use error::{CheckpointError, LedgerError};
pub use keep::{Protection, SegmentFacts};
pub use leaves::Leaves;
pub use log::{Entries, LOCK, Log};
pub use options::{Options, Trees};
pub use reader::Reader;
pub use recover::Recovery;
pub use segment::Form;
pub use segment::scan::Torn;
pub use shared::Ticket;
pub use verify::{Damage, Report, VerifyOptions, verify};
