//! Hashes directories, files and archives without unpacking them, under SHA-256 and SM3 in one pass.
//!
//! [`collect`] reads an artefact and gives [`Evidence`]: every entry with its digests, and for an archive the
//! digests of all its bytes and of its blocks. Evidence becomes a [`seal::Seal`], or is compared with one.
//! ZIP (stored, deflate, zip64), 7z, tar, tar.gz, tar.xz and tar.zst are told apart by their first bytes, never by name.
//!
//! It does **not** follow symbolic links, open devices, or trust a length that it has not read: what an archive
//! unpacks to is bounded by [`Limits`]. It does not guess either: an archive that two readers would understand
//! differently (local and central headers that disagree, overlapping entries, a name twice) is refused.
//! When [`Options::tolerant`] is set, as for a comparison, what is damaged becomes a fault of its entry and the
//! rest is still read.
//!
//! [`unpack`] writes what it reads into a folder, and lets nothing out of it.
//!
//! ```
//! let dir = std::env::temp_dir().join(format!("evidence-example-{}", std::process::id()));
//! std::fs::create_dir_all(dir.join("bin"))?;
//! std::fs::write(dir.join("bin/app"), "abc")?;
//! let evidence = evidence::collect(&dir, &evidence::Options::default(), &|_, _| {})?;
//! let seal = evidence.into_seal()?;
//! assert_eq!(seal.tree().entry("bin/app").map(|e| e.size), Some(3));
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod blocks;
mod budget;
mod collector;
mod compressed;
mod content;
mod detect;
mod directory;
mod engine;
mod error;
mod file;
mod hash;
mod image;
mod meter;
pub mod modules;
mod nest;
mod options;
mod pick;
mod sevenz;
mod source;
mod tape;
mod tar;
mod unpack;
mod whole;
mod zip;

#[doc(hidden)]
pub mod fuzzing;

use std::path::Path;

use collector::Found;
use gm::DualDigest;
use seal::{Observation, ObservedKind, Seal, SealError, Subject, Tree};

pub use error::{Blame, EvidenceError};
pub use image::{Image, Images};
pub use nest::Closed;
pub use options::{Form, Limits, Options};
pub use pick::pick;
pub use source::ReadAt;
pub use unpack::unpack;

/// Hears how many bytes were read, and of how many where that is known. Called from several threads.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Sync);

/// What was found at a path.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The last component of the path.
    pub name: String,
    /// What was left out.
    pub exclude: seal::Exclude,
    /// Everything found.
    pub observation: Observation,
    /// The Windows programs among the entries, sorted by path, where [`Options::images`] asks for them.
    pub images: Vec<Image>,
    /// Whether archives inside were looked into.
    pub nested: bool,
    /// Archives inside that were not looked into, where [`Options::nested`] asks for it.
    pub closed: Vec<Closed>,
}

/// Reads the artefact at `path`.
///
/// # Errors
/// When it cannot be read, breaks a rule of its format (unless [`Options::tolerant`]) or exceeds a limit.
pub fn collect(path: &Path, options: &Options, progress: Progress<'_>) -> Result<Evidence, EvidenceError> {
    let metadata = std::fs::metadata(path).map_err(|e| EvidenceError::read(path, e))?;
    let Found { observation, images, closed } = if metadata.is_dir() {
        let found = directory::observe(path, options, progress)?;
        if options.nested { below(path, options, found)? } else { found }
    } else {
        file::observe(path, options, progress)?
    };
    let exclude = match observation.kind {
        ObservedKind::Directory => options.exclude.clone(),
        _ => seal::Exclude::default(),
    };
    let nested = options.nested && observation.kind != ObservedKind::File;
    Ok(Evidence { name: file::name_of(path), exclude, observation, images, nested, closed })
}

/// What a folder's archives hold, too.
fn below(root: &Path, options: &Options, found: Found) -> Result<Found, EvidenceError> {
    let mut nest = nest::Nest::new(options);
    nest.look_below(root, &found.observation.entries)?;
    nest.into_found(found)
}

impl Evidence {
    /// SHA-256 and SM3 of all bytes; a directory has none.
    #[must_use]
    pub fn digest(&self) -> Option<DualDigest> {
        self.observation.digest
    }

    /// The seal of what was found.
    ///
    /// # Errors
    /// When a path appears twice, an entry stands below a file, or something could not be read.
    pub fn into_seal(self) -> Result<Seal, SealError> {
        let found = self.observation;
        if !found.faults.is_empty() || found.broken.is_some() {
            return Err(SealError::Malformed("a part of the artefact could not be read"));
        }
        let subject = match (found.kind, found.digest, found.container) {
            (ObservedKind::Directory, ..) => Subject::Directory,
            (ObservedKind::File, ..) => Subject::File,
            (ObservedKind::Archive(_), Some(digest), Some(container)) => {
                Subject::Archive { digest, container }
            }
            (ObservedKind::Archive(_), ..) => return Err(SealError::Malformed("an archive has digests")),
        };
        let seal = Seal::new(&self.name, subject, Tree::new(found.entries)?)?.excluding(self.exclude)?;
        if self.nested { seal.nesting() } else { Ok(seal) }
    }
}
