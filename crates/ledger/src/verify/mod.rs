//! Verifies a log from its files alone: read-only, without the lock, also while its owner writes.
//!
//! Every entry is hashed again, both trees are built again, and every stored hash is compared with the one that follows
//! from the entries; every byte of a segment must be the one that its entries imply; then every file on disk must be
//! one that the checkpoint implies. What a checkpoint covers is never written again, so no lock is needed.

mod damage;
mod entries;
mod files;
mod pieces;
mod trees;

use std::path::Path;

use signing::note::NoteVerifier;

pub use damage::{Damage, Report};

use crate::checkpoint::{PATH, SignedCheckpoint};
use crate::error::{CheckpointError, IoContext as _, LedgerError};
use crate::storage::{Disk, Storage};

/// What is asked of a verification beyond the files themselves.
#[derive(Clone, Default, Debug)]
pub struct VerifyOptions {
    /// The origin that the checkpoint must name; the key's name when absent.
    pub origin: Option<String>,
    /// An earlier signed checkpoint of this log, which the files must extend.
    pub earlier: Option<String>,
    /// An earlier signed checkpoint up to which the log was verified before: only what came after it is read again,
    /// and the stored trees must lead to it.
    pub since: Option<String>,
}

/// Verifies the log of a home. `progress` gets the entries done and their number.
///
/// # Errors
/// When the home cannot be read, or an earlier checkpoint is not one of this log. Damage is no error: it stands in
/// the [`Report`].
pub fn verify(
    home: &Path,
    verifier: &NoteVerifier,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, LedgerError> {
    verify_storage(&Disk::new(home), verifier, options, progress)
}

pub(crate) fn verify_storage(
    storage: &dyn Storage,
    verifier: &NoteVerifier,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, LedgerError> {
    match storage.list("log") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {} // its checkpoint will be missed
        listed => drop(listed.attempt("list", "log")?),
    }
    let origin = options.origin.as_deref().unwrap_or_else(|| verifier.name());
    let open = |note: &Option<String>| {
        let opened = note.as_deref().map(|note| SignedCheckpoint::open(note, verifier, origin));
        opened.transpose().map_err(|source| LedgerError::Checkpoint { source })
    };
    let (earlier, since) = (open(&options.earlier)?, open(&options.since)?);
    let mut report = Report::default();
    let checkpoint = match find(storage, verifier, origin)? {
        Ok(checkpoint) => checkpoint,
        Err(why) => {
            report.found(Damage::Checkpoint { why });
            return Ok(report);
        }
    };
    let size = checkpoint.size();
    for old in earlier.iter().chain(&since) {
        if old.size() > size {
            report.found(Damage::Shortened { earlier: old.size(), now: size });
        }
    }
    let since = since.filter(|since| since.size() <= size);
    let lengths = files::lengths(storage)?;
    let mut trees = trees::Check::begin(storage, &checkpoint, earlier.as_ref(), since.as_ref(), &mut report)?;
    report.verified_from = trees.next().max(checkpoint.minimum());
    let durable = entries::check(storage, &checkpoint, &mut trees, &mut report, progress)?;
    trees.finish(&mut report)?;
    files::check(storage, &checkpoint, (durable, &lengths), &mut report)?;
    report.unpublished = durable - size;
    report.checkpoint = Some(checkpoint);
    Ok(report)
}

/// Whether there is a processor that would idle while one hashes.
fn has_second_processor() -> bool {
    static FOUND: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *FOUND.get_or_init(|| std::thread::available_parallelism().is_ok_and(|count| count.get() > 1))
}

/// The published checkpoint; the inner error is a finding.
fn find(
    storage: &dyn Storage,
    verifier: &NoteVerifier,
    origin: &str,
) -> Result<Result<SignedCheckpoint, String>, LedgerError> {
    let note = match storage.read(PATH) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Err("missing".to_owned())),
        note => note.attempt("read", PATH)?,
    };
    Ok(SignedCheckpoint::open_bytes(note, verifier, origin).map_err(|error| explain(&error)))
}

fn explain(error: &CheckpointError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
