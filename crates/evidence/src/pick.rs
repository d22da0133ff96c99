//! The contents of a few files of an archive, for whoever has to look into them: read as [`crate::collect`] reads, and kept in
//! memory as far as they fit.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use seal::{Entry, EntryPath};

use crate::error::EvidenceError;
use crate::options::Options;
use crate::unpack::Sink;
use crate::{Progress, file};

/// The contents of those files of the archive at `path` that are `wanted`, as far as all of them together are no longer than
/// `most`. One that does not fit any more is left out, and so is a hard link to a file that is not wanted itself.
///
/// # Errors
/// When it is no archive, cannot be read, breaks a rule of its format, or exceeds a limit.
pub fn pick(
    path: &Path,
    wanted: &BTreeSet<EntryPath>,
    most: usize,
    options: &Options,
    progress: Progress<'_>,
) -> Result<BTreeMap<EntryPath, Vec<u8>>, EvidenceError> {
    let mut picked = Picked { wanted, room: most, open: None, kept: BTreeMap::new() };
    let options = Options { tolerant: false, nested: false, entries_only: true, ..options.clone() };
    file::observe_into(path, &options, progress, &mut picked)?;
    Ok(picked.kept)
}

struct Picked<'a> {
    wanted: &'a BTreeSet<EntryPath>,
    /// Bytes that may still be kept.
    room: usize,
    /// The file that is being read; nothing once it did not fit.
    open: Option<(EntryPath, Option<Vec<u8>>)>,
    kept: BTreeMap<EntryPath, Vec<u8>>,
}

impl Sink for Picked<'_> {
    fn content(&mut self, path: &EntryPath, piece: &[u8]) -> io::Result<()> {
        if !self.wanted.contains(path) {
            return Ok(());
        }
        let begun = self.open.take().filter(|(open, _)| open == path);
        let (path, kept) = begun.unwrap_or_else(|| (path.clone(), Some(Vec::new())));
        let kept = kept.filter(|kept| kept.len() + piece.len() <= self.room).map(|mut kept| {
            kept.extend_from_slice(piece);
            kept
        });
        self.open = Some((path, kept));
        Ok(())
    }

    fn same_as(&mut self, path: &EntryPath, earlier: &EntryPath) -> io::Result<()> {
        let copy =
            self.kept.get(earlier).filter(|kept| kept.len() <= self.room && self.wanted.contains(path));
        self.open = Some((path.clone(), copy.cloned()));
        Ok(())
    }

    /// Only what was read to its end, and is sound, is kept.
    fn complete(&mut self, entry: &Entry) -> io::Result<()> {
        if let Some((path, Some(kept))) = self.open.take().filter(|(path, _)| *path == entry.path) {
            self.room -= kept.len();
            self.kept.insert(path, kept);
        }
        Ok(())
    }
}
