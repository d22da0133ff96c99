//! The ledger as its files show it: without the lock, without the owner, without writing. Only what is under a
//! checkpoint is seen.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tlog::tile::Level;
use tlog::{Checkpoint, TILE_WIDTH, Tile};

use crate::query::{Filter, Sink, Source, search};
use crate::{AuditError, LogKeys};

/// A checkpoint file is never longer.
const MAX_CHECKPOINT: u64 = 64 * 1024;
/// How often a bundle is looked for again because the owner replaced it by a fuller one.
const ATTEMPTS: usize = 50;
/// How often a follower looks for a newer checkpoint.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(200);

/// A home's published files.
pub struct Files {
    home: PathBuf,
    /// Events under the checkpoint when this was opened.
    pub size: u64,
}

impl Files {
    /// Opens the newest checkpoint, which must be signed by the home's log key.
    ///
    /// # Errors
    /// When it cannot be read, or is not this log's.
    pub fn open(home: &Path) -> Result<Self, AuditError> {
        let verifier = LogKeys::of(home).verifier()?;
        let path = home.join("log/checkpoint");
        let note = read_small(&path)?;
        let opened = verifier.open(&note).map_err(|source| AuditError::Key { path, source })?;
        let size = Checkpoint::parse(&opened.text).map_err(ledger::LedgerError::from)?.size;
        Ok(Self { home: home.to_owned(), size })
    }

    /// Those under a checkpoint of `size` that was opened already.
    pub(crate) fn at(home: &Path, size: u64) -> Self {
        Self { home: home.to_owned(), size }
    }

    /// As [`crate::Session::query`], over what is under the checkpoint.
    ///
    /// # Errors
    /// As there.
    pub fn query(&self, filter: &Filter, sink: &mut Sink<'_>) -> Result<(), AuditError> {
        search(self, None, filter, sink)
    }

    /// As [`crate::Session::follow_as`], by looking for a newer checkpoint several times a second. Nothing is recorded.
    ///
    /// # Errors
    /// As [`Files::query`].
    pub fn follow(
        home: &Path,
        filter: &Filter,
        lines: u64,
        wanted: &dyn Fn() -> bool,
        sink: &mut Sink<'_>,
        idle: &mut dyn FnMut() -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let mut files = Self::open(home)?;
        let newest = Filter {
            limit: Some(lines.min(filter.limit.unwrap_or(u64::MAX))),
            reverse: true,
            ..filter.clone()
        };
        let mut there = Vec::new();
        files.query(&newest, &mut |found| {
            there.push(found);
            Ok(())
        })?;
        let mut left = filter.limit.map(|limit| limit.saturating_sub(there.len() as u64));
        there.into_iter().rev().try_for_each(&mut *sink)?;
        while wanted() && left != Some(0) {
            idle()?;
            std::thread::sleep(AGAIN);
            let seen = files.size;
            files = Self::open(home)?;
            let more = Filter { from: Some(seen), limit: left, ..filter.clone() };
            files.query(&more, &mut |found| {
                left = left.map(|left| left.saturating_sub(1));
                sink(found)
            })?;
        }
        Ok(())
    }

    /// The entries of a bundle.
    ///
    /// # Errors
    /// When there is no such file, or it is not a bundle of so many entries.
    pub fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, AuditError> {
        let width = Tile::width_in(Level::Entries, index, self.size);
        let (path, bytes) = self.read_bundle(index)?;
        let damaged = |why: String| {
            AuditError::Ledger(ledger::LedgerError::Damaged { path: path.display().to_string(), why })
        };
        let entries: Result<Vec<_>, _> =
            tlog::bundle::entries(&bytes).take(width.into()).map(|entry| entry.map(<[u8]>::to_vec)).collect();
        let entries = entries.map_err(|e| damaged(e.to_string()))?;
        if entries.len() != usize::from(width) {
            return Err(damaged(format!("{} entries, not {width}", entries.len())));
        }
        Ok(entries)
    }

    /// A bundle at least as full as the checkpoint says: the owner may meanwhile have replaced a partial one.
    fn read_bundle(&self, index: u64) -> Result<(PathBuf, Vec<u8>), AuditError> {
        let mut size = self.size;
        for attempt in 0.. {
            let width = Tile::width_in(Level::Entries, index, size);
            for width in [width, 256] {
                let tile = Tile { level: Level::Entries, index, width };
                let path = self.home.join("log").join(tile.to_string());
                match std::fs::read(&path) {
                    Ok(bytes) => return Ok((path, bytes)),
                    Err(e) if e.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                    Err(e) => return Err(AuditError::io("read", &path, e)),
                }
            }
            let now = Self::open(&self.home)?.size;
            if now == size {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            size = now.max(self.size);
        }
        Err(AuditError::Gone) // the loop only ends by returning
    }
}

impl Source for Files {
    fn range(&self) -> Range<u64> {
        0..self.size
    }

    fn read(&self, range: Range<u64>, each: &mut dyn FnMut(u64, Vec<u8>) -> bool) -> Result<(), AuditError> {
        for bundle in range.start / TILE_WIDTH..range.end.div_ceil(TILE_WIDTH) {
            for (index, entry) in (bundle * TILE_WIDTH..).zip(self.bundle(bundle)?) {
                if range.contains(&index) && !each(index, entry) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn read_small(path: &Path) -> Result<String, AuditError> {
    let fail = |e| AuditError::io("read", path, e);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_CHECKPOINT), &mut text).map_err(fail)?;
    Ok(text)
}
