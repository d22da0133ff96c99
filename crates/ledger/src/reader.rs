//! The log as its files show it: without the lock, without the owner, without writing.

use std::ops::Range;
use std::path::Path;

use signing::note::NoteVerifier;
use tlog::{ConsistencyProof, InclusionProof, Sha256, Sm3};

use crate::checkpoint::{PATH, SignedCheckpoint};
use crate::error::{IoContext as _, LedgerError};
use crate::export::export;
use crate::read::{StoredTree, damaged, read_resource};
use crate::recover::segments::names;
use crate::segment::map::{Map, Segment, Stage, load_closed};
use crate::segment::scan::{Fault, scan};
use crate::segment::{Form, segment_path};
use crate::storage::{Disk, Storage};

/// How often a file is looked for again because the owner replaced it meanwhile.
const ATTEMPTS: usize = 20;

/// What is under the checkpoint of a home, at the moment it was opened.
pub struct Reader {
    storage: Disk,
    map: Map,
    checkpoint: SignedCheckpoint,
}

impl Reader {
    /// Opens the newest checkpoint, which must be signed by the log's key, and finds the segments.
    ///
    /// # Errors
    /// [`LedgerError::Checkpoint`], [`LedgerError::Damaged`], or when the home cannot be read.
    pub fn open(home: &Path, verifier: &NoteVerifier) -> Result<Self, LedgerError> {
        let storage = Disk::new(home);
        let note = match storage.read(PATH) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(PATH, "it is missing"));
            }
            note => note.attempt("read", PATH)?,
        };
        let checkpoint = SignedCheckpoint::open_bytes(note, verifier, verifier.name())
            .map_err(|source| LedgerError::Checkpoint { source })?;
        let mut attempt = 0;
        loop {
            match load(&storage, checkpoint.size()) {
                Ok(map) => return Ok(Self { storage, map, checkpoint }),
                Err(_) if attempt < ATTEMPTS => std::thread::sleep(std::time::Duration::from_millis(5)),
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Index of the first entry that is kept.
    #[must_use]
    pub fn minimum(&self) -> u64 {
        self.map.begin().unwrap_or_else(|| self.checkpoint.size())
    }

    /// Gives the entries of a range that are under the checkpoint to `sink`, in order, until it answers `false`;
    /// answers the index after the last one given. Pruned entries are passed over.
    ///
    /// # Errors
    /// A segment that cannot be read.
    pub fn for_each(
        &self,
        range: Range<u64>,
        sink: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<u64, LedgerError> {
        let range = range.start.max(self.minimum())..range.end.min(self.checkpoint.size());
        let (mut next, mut wanted) = (range.start, true);
        for attempt in 0.. {
            let read = self.map.read(&self.storage, next..range.end, &mut |index, entry| {
                next = index + 1;
                wanted = sink(index, entry);
                wanted
            });
            match read {
                Ok(_) => break,
                // The owner may have put a compressed segment in the place of the plain one.
                Err(_) if attempt < ATTEMPTS => self.look_again()?,
                Err(error) => return Err(error),
            }
        }
        Ok(next)
    }

    fn look_again(&self) -> Result<(), LedgerError> {
        std::thread::sleep(std::time::Duration::from_millis(5));
        for segment in load(&self.storage, self.checkpoint.size())?.all() {
            self.map.insert(segment);
        }
        Ok(())
    }

    /// As [`crate::Log::read_resource`].
    ///
    /// # Errors
    /// As there.
    pub fn read_resource(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        if path == "checkpoint" {
            return Ok(Some(self.checkpoint.note.clone().into_bytes()));
        }
        read_resource(&self.storage, &self.map, path, self.checkpoint.size())
    }

    /// The `.tlog-proof` of an entry, under the checkpoint that was found.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`] when the checkpoint does not cover it, or a tile that cannot be read.
    pub fn prove(&self, index: u64) -> Result<InclusionProof, LedgerError> {
        let size = self.checkpoint.size();
        let mut tree = StoredTree::<Sha256>::new(&self.storage, size);
        let path = tlog::inclusion_path::<Sha256, _>(&mut tree, index, size)?;
        Ok(InclusionProof { extra: None, index, path, note: self.checkpoint.note.clone() })
    }

    /// That the checkpoint that was found extends the log as it was at `old` leaves, in both trees.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`] when `old` is larger.
    pub fn prove_consistency(&self, old: u64) -> Result<ConsistencyProof, LedgerError> {
        let new = self.checkpoint.size();
        let mut tree = StoredTree::<Sha256>::new(&self.storage, new);
        let path = tlog::consistency_path::<Sha256, _>(&mut tree, old, new)?;
        let sm3_path = match self.checkpoint.sm3_root() {
            Some(_) => {
                let mut tree = StoredTree::<Sm3>::new(&self.storage, new);
                tlog::consistency_path::<Sm3, _>(&mut tree, old, new)?
            }
            None => Vec::new(),
        };
        Ok(ConsistencyProof { old, new, path, sm3_path, note: self.checkpoint.note.clone() })
    }

    /// Writes the log in the layout of c2sp.org/tlog-tiles into an empty or new folder: one file for each tile and
    /// bundle, and the checkpoint last. Any tlog client reads it, and any web server serves it.
    ///
    /// # Errors
    /// [`LedgerError::Io`], also when the folder is not empty.
    pub fn export(&self, folder: &Path) -> Result<(), LedgerError> {
        export(&self.storage, &self.map, &self.checkpoint, folder)
    }
}

fn load(storage: &dyn Storage, size: u64) -> Result<Map, LedgerError> {
    let map = Map::default();
    for (first, forms) in names(storage)? {
        if first >= size {
            break;
        }
        let form = forms.into_iter().max().unwrap_or(Form::Plain);
        if let Some(closed) = load_closed(storage, first, form)? {
            map.insert(std::sync::Arc::new(closed));
            continue;
        }
        let path = segment_path(first, form);
        let bytes = storage.read(&path).attempt("read", &path)?;
        match scan(&bytes, first, &mut |_, _| ()) {
            Ok(found) => {
                let (end, at) = (found.end, found.records_end);
                let open = Segment::plain(&found.header, end, at, found.marks, Stage::Open, 0);
                map.insert(std::sync::Arc::new(open));
            }
            Err(Fault::Unborn) => {}
            Err(Fault::Damaged(offset)) => return Err(LedgerError::WalDamaged { path, offset }),
        }
    }
    Ok(map)
}
