//! Hashes durable leaves into the trees, publishes checkpoints over them, and closes segments.
//!
//! Order on disk: hashes synced, their names synced, checkpoint written aside and synced, renamed, the name synced;
//! only then is a segment closed. Hashes are written behind those that the last checkpoint covers, so until the next
//! one covers them nobody reads them, and an attempt that failed is simply written again.

use std::io;
use std::sync::Arc;

use signing::note::{NoteSigner, NoteVerifier};
use tlog::{Sha256, Sm3};

use crate::checkpoint::{NEXT, PATH, SignedCheckpoint};
use crate::error::{IoContext as _, LedgerError};
use crate::segment::map::{Map, Segment, Stage};
use crate::segment::writer::now;
use crate::shared::Shared;
use crate::storage::{Site, Storage};
use crate::tree::{RowWriter, Trees};

/// Leaves that are hashed at a time.
const STEP: usize = 1 << 14;
/// Hashes of so many leaves are written and synced before a checkpoint is due: one large sync would hold up those that
/// acknowledgements wait for.
const WRITE_AT: u64 = 1 << 17;

pub(crate) struct Integrator {
    storage: Arc<dyn Storage>,
    pub(crate) map: Arc<Map>,
    origin: String,
    signer: NoteSigner,
    pub(crate) trees: Trees,
    rows: (RowWriter<Sha256>, Option<RowWriter<Sm3>>),
    /// Leaves whose hashes are durable.
    written: u64,
    /// Entries below this index are pruned.
    pub(crate) minimum: u64,
    /// A failure after which the state of the disk is unknown: a sync that is tried again may claim what it has not
    /// done, so nothing more is published.
    failed: Option<LedgerError>,
}

impl Integrator {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        map: Arc<Map>,
        (origin, signer): (String, NoteSigner),
        trees: Trees,
        minimum: u64,
    ) -> Self {
        let standard = RowWriter::new(Arc::clone(&storage), &trees.sha256);
        let second = trees.sm3.as_ref().map(|tree| RowWriter::new(Arc::clone(&storage), tree));
        let written = trees.size();
        Self { storage, map, origin, signer, trees, rows: (standard, second), written, minimum, failed: None }
    }

    /// Hashes what is durable; writes the hashes when they are many.
    pub(crate) fn hash(&mut self, shared: &Shared) -> Result<(), LedgerError> {
        let batches = shared.take_pending();
        let leaves: Vec<&[u8]> =
            batches.iter().flat_map(|batch| batch.leaves.iter().flat_map(|leaves| leaves.iter())).collect();
        leaves.chunks(STEP).for_each(|leaves| self.trees.append_slices(leaves));
        drop(leaves);
        shared.hashed(batches);
        if self.trees.size() - self.written >= WRITE_AT { self.guarded(Self::write) } else { Ok(()) }
    }

    /// Publishes a checkpoint over everything that is durable.
    pub(crate) fn run(&mut self, shared: &Shared) -> Result<Arc<SignedCheckpoint>, LedgerError> {
        let published = shared.published();
        self.hash(shared)?;
        if self.trees.size() == published.size() && self.minimum == published.minimum() {
            return Ok(published);
        }
        let checkpoint = Arc::new(self.guarded(Self::extend)?);
        shared.published_now(&checkpoint);
        self.guarded(Self::close_segments)?;
        Ok(checkpoint)
    }

    /// Nothing more after a failure that does not pass.
    fn guarded<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let done = act(self);
        if let Some(error) = done.as_ref().err().filter(|error| !error.may_pass()) {
            self.failed = Some(LedgerError::poisoned_by(error.clone()));
        }
        done
    }

    /// Makes the hashes durable.
    fn write(&mut self) -> Result<(), LedgerError> {
        self.rows.0.write(&self.trees.sha256)?;
        if let (Some(rows), Some(tree)) = (&mut self.rows.1, &self.trees.sm3) {
            rows.write(tree)?;
        }
        self.rows.0.sync(&mut self.trees.sha256)?;
        if let (Some(rows), Some(tree)) = (&mut self.rows.1, &mut self.trees.sm3) {
            rows.sync(tree)?;
        }
        self.written = self.trees.size();
        Ok(())
    }

    /// Writes the hashes and publishes a checkpoint over them.
    pub(crate) fn extend(&mut self) -> Result<SignedCheckpoint, LedgerError> {
        self.write()?;
        let next = self.sign()?;
        self.publish(&next)?;
        Ok(next)
    }

    fn sign(&self) -> Result<SignedCheckpoint, LedgerError> {
        let heads = (self.trees.size(), self.minimum);
        SignedCheckpoint::sign(
            &self.origin,
            &self.signer,
            heads,
            self.trees.sha256.root(),
            self.trees.sm3_root(),
        )
    }

    /// The same checkpoint by the log's own keys: published anew when another had signed it, or one of them had not.
    pub(crate) fn sign_again(
        &self,
        found: &SignedCheckpoint,
        own: &NoteVerifier,
    ) -> Result<SignedCheckpoint, LedgerError> {
        if own.open(&found.note).is_ok() && self.signer.has_signed(&found.note) {
            return Ok(found.clone());
        }
        let again = self.sign()?;
        self.publish(&again)?;
        Ok(again)
    }

    /// Writes the checkpoint aside, syncs it, gives it its name, syncs the name.
    fn publish(&self, next: &SignedCheckpoint) -> Result<(), LedgerError> {
        let aside = write_aside(&*self.storage, NEXT, next.note.as_bytes(), Site::CheckpointContents);
        aside.attempt("write the checkpoint", NEXT)?;
        self.storage.rename(NEXT, PATH).attempt("publish the checkpoint", PATH)?;
        let synced = self.storage.sync_dir(Site::CheckpointName, "log").attempt("sync the directory", "log");
        synced.map_err(LedgerError::poisoned_by)
    }

    /// Closes the segments that are full and wholly under the checkpoint, the oldest first.
    pub(crate) fn close_segments(&mut self) -> Result<(), LedgerError> {
        let size = self.written;
        for segment in self.map.all() {
            if segment.stage() == Stage::Retired && segment.end() <= size {
                self.close(&segment)?;
            }
        }
        Ok(())
    }

    /// As [`Integrator::close_segments`], for a caller who waits for it.
    pub(crate) fn close_all(&mut self) -> Result<(), LedgerError> {
        self.guarded(Self::close_segments)
    }

    fn close(&self, segment: &Segment) -> Result<(), LedgerError> {
        let closed = now();
        let (end, salt) = segment.to_end(closed);
        let bytes = end.to_bytes(&salt);
        let path = segment.path();
        let written = (|| {
            let file = self.storage.open(&path)?;
            // A byte more: the length stays even until the whole end is durable.
            file.write_at(end.at, &[&bytes[..], &[0]].concat())?;
            file.sync(Site::SegmentEnd)?;
            // Not synced: until it is durable the segment counts as one that is still to be closed.
            file.set_length(end.at + bytes.len() as u64)
        })();
        written.attempt("close a segment", &path)?;
        segment.closed(closed);
        Ok(())
    }
}

/// Writes a file that no one reads under this name, and syncs its content.
pub(crate) fn write_aside(storage: &dyn Storage, path: &str, bytes: &[u8], site: Site) -> io::Result<()> {
    // Not every file system keeps both halves of a rename together: after a crash the old name may still stand, for
    // the file that has its final name now. That file must not be emptied.
    match storage.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    let file = storage.create(path)?;
    file.write_at(0, bytes)?;
    file.sync(site)
}

/// Makes a directory that may be there already.
pub(crate) fn make_dir(storage: &dyn Storage, dir: &str) -> Result<(), LedgerError> {
    match storage.make_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.attempt("make the directory", dir),
    }
}
