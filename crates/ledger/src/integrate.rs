//! Moves durable leaves from the write-ahead log into tiles and publishes the checkpoint over them.
//!
//! Order on disk: tile contents synced, tile names synced, checkpoint written aside and synced, renamed, the name
//! synced; only then is a WAL segment or an outgrown partial tile removed. Tiles are written in place: until a
//! checkpoint covers them nobody reads them, and recovery writes them again.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use signing::note::{NoteSigner, NoteVerifier};
use tlog::Tile;
use tlog::tile::Level;

use crate::checkpoint::{NEXT, PATH, SignedCheckpoint};
use crate::edge::{Edge, Files, tile_path};
use crate::error::{IoContext as _, LedgerError};
use crate::shared::Shared;
use crate::storage::{Site, Storage, parent};
use crate::wal::segment_path;
use crate::wal::writer::Retired;

/// Leaves whose tiles are written and synced together: bounds the memory that staged files take.
const STEP: usize = 1 << 16;

pub(crate) struct Integrator {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) origin: String,
    pub(crate) signer: NoteSigner,
    pub(crate) edge: Edge,
    /// Directories whose own name is known to be durable.
    pub(crate) known: HashSet<String>,
    /// Directories in which names changed since the last sync.
    pub(crate) touched: BTreeSet<String>,
    /// Files written since the last checkpoint.
    pub(crate) staged: Vec<String>,
    /// A failure after which the state of the disk is unknown: a sync that is tried again may claim what it has not
    /// done, so nothing more is published.
    pub(crate) failed: Option<LedgerError>,
}

impl Integrator {
    /// Publishes a checkpoint over everything that is durable.
    pub(crate) fn run(&mut self, shared: &Shared) -> Result<Arc<SignedCheckpoint>, LedgerError> {
        let (published, batches) = shared.pending();
        let mut leaves = batches.iter().flat_map(|batch| batch.leaves.iter().map(Vec::as_slice)).peekable();
        if leaves.peek().is_none() {
            return Ok(published);
        }
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let extended = self.extend(&published, leaves);
        if let Err(error) = &extended
            && !error.may_pass()
        {
            self.failed = Some(LedgerError::poisoned_by(error.clone()));
        }
        let checkpoint = Arc::new(extended?);
        let free = shared.published_now(&checkpoint);
        self.clean_up(published.size(), &free);
        Ok(checkpoint)
    }

    /// Writes the tiles over further leaves and publishes a checkpoint. After a failure that may pass, the trees in
    /// memory are as they were and the files of the attempt are gone, so that the next one writes all of them again.
    pub(crate) fn extend<'a>(
        &mut self,
        published: &SignedCheckpoint,
        leaves: impl Iterator<Item = &'a [u8]>,
    ) -> Result<SignedCheckpoint, LedgerError> {
        self.discard_staged()?;
        let extended = self.try_extend(published, leaves);
        match &extended {
            Ok(_) => self.staged.clear(),
            Err(error) if error.may_pass() => {
                let _ = self.discard_staged(); // the next attempt begins with it
            }
            Err(_) => {}
        }
        extended
    }

    /// Removes what a failed attempt wrote: it may be cut short, and the next attempt, over more leaves, may not
    /// write the same files.
    fn discard_staged(&mut self) -> Result<(), LedgerError> {
        while let Some(path) = self.staged.last() {
            match self.storage.remove(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.attempt("remove", path)?,
            }
            self.staged.pop();
        }
        Ok(())
    }

    fn try_extend<'a>(
        &mut self,
        published: &SignedCheckpoint,
        leaves: impl Iterator<Item = &'a [u8]>,
    ) -> Result<SignedCheckpoint, LedgerError> {
        let mut edge = self.edge.clone();
        let mut files = Files::new();
        let mut step = Vec::new();
        for leaf in leaves {
            step.push(leaf);
            if step.len() == STEP {
                edge.extend(&std::mem::take(&mut step), &mut files);
                self.write(std::mem::take(&mut files))?;
            }
        }
        edge.extend(&step, &mut files);
        edge.partials(published.size(), &mut files);
        self.write(files)?;
        self.sync_names()?;
        let (root, sm3_root) = (edge.sha256.root(), edge.sm3.root());
        let next = SignedCheckpoint::sign(&self.origin, &self.signer, edge.size(), root, sm3_root)?;
        self.publish(&next)?;
        self.edge = edge;
        Ok(next)
    }

    fn write(&mut self, files: Files) -> Result<(), LedgerError> {
        for (path, _) in &files {
            let dir = parent(path);
            self.make_dirs(dir)?;
            self.touched.insert(dir.to_owned());
            self.staged.push(path.clone());
        }
        let first = files.first().map_or("log", |(path, _)| path.as_str());
        self.storage.write_files(Site::TileContents, &files).attempt("write tiles", first)
    }

    fn make_dirs(&mut self, dir: &str) -> Result<(), LedgerError> {
        if dir.is_empty() || self.known.contains(dir) {
            return Ok(());
        }
        self.make_dirs(parent(dir))?;
        make_dir(&*self.storage, dir)?;
        // Also when it was there: an owner that was killed may have made it without the sync.
        self.touched.insert(parent(dir).to_owned());
        self.known.insert(dir.to_owned());
        Ok(())
    }

    fn sync_names(&mut self) -> Result<(), LedgerError> {
        while let Some(dir) = self.touched.first() {
            let synced = self.storage.sync_dir(Site::TileNames, dir).attempt("sync the directory", dir);
            synced.map_err(LedgerError::poisoned_by)?;
            self.touched.pop_first();
        }
        Ok(())
    }

    /// The same checkpoint by the log's own key: published anew when another key had signed it.
    pub(crate) fn sign_again(
        &self,
        found: &SignedCheckpoint,
        own: &NoteVerifier,
    ) -> Result<SignedCheckpoint, LedgerError> {
        if own.open(&found.note).is_ok() {
            return Ok(found.clone());
        }
        let (root, sm3_root) = (self.edge.sha256.root(), self.edge.sm3.root());
        let again = SignedCheckpoint::sign(&self.origin, &self.signer, found.size(), root, sm3_root)?;
        self.publish(&again)?;
        Ok(again)
    }

    /// Writes the checkpoint aside, syncs it, gives it its name, syncs the name.
    pub(crate) fn publish(&self, next: &SignedCheckpoint) -> Result<(), LedgerError> {
        // Not every file system keeps both halves of a rename between directories together: after a crash the old
        // name may still stand, for the file that is now the published checkpoint. That file must not be emptied.
        match self.storage.remove(NEXT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.attempt("remove", NEXT)?,
        }
        let files = [(NEXT.to_owned(), next.note.clone().into_bytes())];
        self.storage.write_files(Site::CheckpointContents, &files).attempt("write the checkpoint", NEXT)?;
        self.storage.rename(NEXT, PATH).attempt("publish the checkpoint", PATH)?;
        let synced = self.storage.sync_dir(Site::CheckpointName, "log").attempt("sync the directory", "log");
        synced.map_err(LedgerError::poisoned_by)
    }

    /// Removes what a checkpoint has made needless. Nothing depends on these removals: what comes back after a
    /// crash is removed at the next opening, or checked like any other file.
    fn clean_up(&self, before: u64, free: &[Retired]) {
        for segment in free {
            let _ = self.storage.remove(&segment_path(segment.number));
        }
        for tile in Tile::right_edge(before) {
            let full = Tile::full(tile.level, tile.index);
            if Tile::width_in(tile.level, tile.index, self.edge.size()) < full.width {
                continue;
            }
            self.remove_partials(&tile_path::<tlog::Sha256>(full));
            if matches!(tile.level, Level::Hashes(_)) {
                self.remove_partials(&tile_path::<tlog::Sm3>(full));
            }
        }
    }

    fn remove_partials(&self, full: &str) {
        let dir = format!("{full}.p");
        for name in self.storage.list(&dir).unwrap_or_default() {
            let _ = self.storage.remove(&format!("{dir}/{}", name.name));
        }
        let _ = self.storage.remove_dir(&dir);
    }
}

/// Makes a directory that may be there already.
pub(crate) fn make_dir(storage: &dyn Storage, dir: &str) -> Result<(), LedgerError> {
    match storage.make_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.attempt("make the directory", dir),
    }
}
