//! Verifies a log from its files alone: read-only, without the lock, also while its owner writes.
//!
//! Every entry is hashed again, both trees are built again, and every file that they imply is compared byte for
//! byte with the one on disk; then every file on disk must be one of those. What is found first is the damage with
//! the lowest index.

mod trees;
mod walk;

use std::path::Path;

use signing::note::NoteVerifier;
use tlog::Hash;

use crate::checkpoint::{PATH, SignedCheckpoint};
use crate::error::{CheckpointError, IoContext as _, LedgerError};
use crate::storage::{Disk, Storage};
use crate::wal::replay::{Torn, replay};

/// More findings than this are counted, not kept.
const MAX_DAMAGE: usize = 100;
/// How often a reader starts again because the owner published meanwhile.
const ATTEMPTS: u32 = 200;

/// What is asked of a verification beyond the files themselves.
#[derive(Clone, Default, Debug)]
pub struct VerifyOptions {
    /// The origin that the checkpoint must name; the key's name when absent.
    pub origin: Option<String>,
    /// An earlier signed checkpoint of this log, which the files must extend.
    pub earlier: Option<String>,
}

/// Something that is not as the log's key vouched for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Damage {
    /// The checkpoint is missing, not signed by the key, or malformed.
    Checkpoint {
        /// What is wrong.
        why: String,
    },
    /// An entry is not the one that both trees hold.
    Entry {
        /// Its index.
        index: u64,
        /// The bundle it stands in, below the home.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A tile does not hold the hashes of what is below it.
    Tile {
        /// The tile, below the home.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A file that the checkpoint implies is not there.
    Missing {
        /// The file, below the home.
        path: String,
    },
    /// A file that the checkpoint does not imply is there.
    Unexpected {
        /// The file, below the home.
        path: String,
    },
    /// Entries and tiles agree with each other and lead to another root than the signed one.
    Root {
        /// `sha256` or `sm3`.
        tree: &'static str,
    },
    /// The log is shorter than at the earlier checkpoint.
    Shortened {
        /// Size at the earlier checkpoint.
        earlier: u64,
        /// Size now.
        now: u64,
    },
    /// The log at the earlier checkpoint's size has another root.
    Forked {
        /// Size at the earlier checkpoint.
        earlier: u64,
        /// `sha256` or `sm3`.
        tree: &'static str,
    },
    /// An acknowledged record of the write-ahead log is damaged or missing.
    WriteAheadLog {
        /// What is wrong.
        why: String,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checkpoint { why } => write!(f, "{PATH}: {why}"),
            Self::Entry { index, path, why } => write!(f, "entry {index} in {path}: {why}"),
            Self::Tile { path, why } => write!(f, "tile {path}: {why}"),
            Self::Missing { path } => write!(f, "{path}: missing"),
            Self::Unexpected { path } => write!(f, "{path}: not part of the log"),
            Self::Root { tree } => write!(f, "the {tree} root is not the one in the signed checkpoint"),
            Self::Shortened { earlier, now } => {
                write!(f, "the log has {now} entries, {earlier} at the earlier checkpoint")
            }
            Self::Forked { earlier, tree } => {
                write!(
                    f,
                    "the {tree} root over the first {earlier} entries is not that of the earlier checkpoint"
                )
            }
            Self::WriteAheadLog { why } => write!(f, "write-ahead log: {why}"),
        }
    }
}

/// What a verification found.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// The checkpoint that everything was compared with, when it holds.
    pub checkpoint: Option<SignedCheckpoint>,
    /// Findings, first one first; at most 100 are kept.
    pub damage: Vec<Damage>,
    /// Number of findings.
    pub damage_count: u64,
    /// Durable entries that are not under this checkpoint (the owner may have published them meanwhile).
    pub unpublished: u64,
    /// An unfinished record at the end of the write-ahead log: being written, or left by a crash.
    pub unfinished: Option<Torn>,
    /// Tiles beyond the checkpoint: being written, or left by a crash. The next opening writes them again.
    pub unpublished_files: u64,
}

impl Report {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.damage_count == 0
    }

    fn found(&mut self, damage: Damage) {
        self.damage_count += 1;
        if self.damage.len() < MAX_DAMAGE {
            self.damage.push(damage);
        }
    }
}

/// Verifies the log of a home. `progress` gets the entries done and their number.
///
/// # Errors
/// When the home cannot be read, or the earlier checkpoint is not one of this log. Damage is no error: it stands in
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
    let key = Key { storage, verifier, origin };
    let earlier = options.earlier.as_deref().map(|note| SignedCheckpoint::open(note, verifier, origin));
    let earlier = earlier.transpose().map_err(|source| LedgerError::Checkpoint { source })?;
    let mut report = Report::default();
    let edge = match trees::RightEdge::snapshot(&key)? {
        Ok(edge) => edge,
        Err(why) => {
            report.found(Damage::Checkpoint { why });
            return Ok(report);
        }
    };
    let size = edge.checkpoint.size();
    if let Some(earlier) = earlier.as_ref().filter(|earlier| earlier.size() > size) {
        report.found(Damage::Shortened { earlier: earlier.size(), now: size });
    }
    trees::check(storage, &edge, earlier.as_ref(), &mut report, progress)?;
    let beyond = walk::check(storage, &edge, &mut report)?;
    let durable = durable_size(&key, size, &mut report)?;
    walk::judge_beyond(&beyond, durable, &mut report);
    report.unpublished = durable - size;
    report.checkpoint = Some(edge.checkpoint);
    Ok(report)
}

/// Where the checkpoint is, and what it must be.
struct Key<'a> {
    storage: &'a dyn Storage,
    verifier: &'a NoteVerifier,
    origin: &'a str,
}

impl Key<'_> {
    /// The published checkpoint; the inner error is a finding.
    fn checkpoint(&self) -> Result<Result<SignedCheckpoint, String>, LedgerError> {
        let note = match self.storage.read(PATH) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Err("missing".to_owned()));
            }
            note => note.attempt("read", PATH)?,
        };
        Ok(SignedCheckpoint::open_bytes(note, self.verifier, self.origin).map_err(|error| explain(&error)))
    }
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

/// How many entries are durable, at least `size`. The owner may free segments while they are read: then the
/// checkpoint has moved on, and reading starts again from there.
fn durable_size(key: &Key<'_>, size: u64, report: &mut Report) -> Result<u64, LedgerError> {
    let mut from = size;
    for attempt in 0.. {
        match replay(key.storage, from, &mut |_| ()) {
            Ok(found) => {
                report.unfinished = found.torn;
                // Segments that were freed before they were read are under the checkpoint that is there now.
                return Ok(key.checkpoint()?.map_or(found.end, |now| now.size().max(found.end)));
            }
            Err(error) if attempt >= 5 => {
                report.found(Damage::WriteAheadLog { why: error.to_string() });
                break;
            }
            Err(_) => {
                std::thread::sleep(std::time::Duration::from_millis(20));
                from = key.checkpoint()?.map_or(from, |now| now.size().max(from));
            }
        }
    }
    Ok(from)
}

/// First place at which two sequences of hashes differ.
fn first_difference(found: &[Hash], expected: &[Hash]) -> Option<usize> {
    found.iter().zip(expected).position(|(a, b)| a != b)
}
