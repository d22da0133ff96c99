//! What opening does: find the checkpoint, check the right edge against it, replay the write-ahead log, publish.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use signing::note::NoteVerifier;
use tlog::tile::{Level, MAX_LEVEL};
use tlog::{Sha256, Sm3, TILE_WIDTH, Tile, TreeHash as _};

use crate::checkpoint::{NEXT, PATH, SignedCheckpoint};
use crate::edge::{Edge, Place, TreeEdge};
use crate::error::{IoContext as _, LedgerError};
use crate::integrate::{Integrator, make_dir};
use crate::options::Options;
use crate::read::{damaged, read_entries, read_hashes};
use crate::storage::{Site, Storage};
use crate::wal;
use crate::wal::replay::{Replay, Torn, replay};

/// What was found and mended at opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// The home had no log yet.
    pub created: bool,
    /// Size of the checkpoint that was found.
    pub checkpoint_size: u64,
    /// Leaves replayed from the write-ahead log and put under a new checkpoint.
    pub replayed: u64,
    /// An unfinished last record, which was dropped: it had not been acknowledged.
    pub torn: Option<Torn>,
}

pub(crate) struct Recovered {
    pub(crate) recovery: Recovery,
    pub(crate) integrator: Integrator,
    pub(crate) published: SignedCheckpoint,
    pub(crate) next_segment: u64,
}

pub(crate) fn recover(storage: Arc<dyn Storage>, options: Options) -> Result<Recovered, LedgerError> {
    if !options.create {
        check_presence(&*storage)?;
    }
    for dir in ["log", wal::DIR] {
        make_dir(&*storage, dir)?;
    }
    storage.sync_dir(Site::Home, "").attempt("sync the directory", "")?;
    let own = options.signer.verifier();
    let mut integrator = Integrator {
        storage: Arc::clone(&storage),
        origin: options.origin,
        signer: options.signer,
        edge: Edge::new(),
        known: HashSet::from(["log".to_owned()]),
        touched: BTreeSet::new(),
        staged: Vec::new(),
        failed: None,
    };
    let found = find_checkpoint(&*storage, &own, &options.retired, &integrator.origin)?;
    let created = found.is_none();
    let found = match found {
        Some(found) => found,
        None => begin(&integrator)?,
    };
    integrator.edge = load_edge(&*storage, &found)?;
    let mut leaves = Vec::new();
    let replayed = replay(&*storage, found.size(), &mut |leaf| leaves.push(leaf.to_vec()))?;
    remove_unpublished(&*storage, found.size(), &mut integrator.touched)?;
    let published = if leaves.is_empty() {
        integrator.sign_again(&found, &own)?
    } else {
        integrator.extend(&found, leaves.iter().map(Vec::as_slice))?
    };
    remove_segments(&*storage, &replayed);
    let recovery = Recovery {
        created,
        checkpoint_size: found.size(),
        replayed: leaves.len() as u64,
        torn: replayed.torn,
    };
    Ok(Recovered { recovery, integrator, published, next_segment: replayed.next_number })
}

/// That there is a log, before anything is made in its place.
fn check_presence(storage: &dyn Storage) -> Result<(), LedgerError> {
    match storage.read(PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(PATH, "it is missing")),
        _ => Ok(()), // whatever else is wrong with it is found where it is used
    }
}

/// The checkpoint of the home; `None` when the home has no log.
fn find_checkpoint(
    storage: &dyn Storage,
    own: &NoteVerifier,
    retired: &[NoteVerifier],
    origin: &str,
) -> Result<Option<SignedCheckpoint>, LedgerError> {
    match storage.read(PATH) {
        Ok(note) => {
            storage.sync_dir(Site::CheckpointFound, "log").attempt("sync the directory", "log")?;
            let opened = SignedCheckpoint::open_bytes(note.clone(), own, origin).or_else(|error| {
                let mut by_retired = retired
                    .iter()
                    .filter_map(|key| SignedCheckpoint::open_bytes(note.clone(), key, origin).ok());
                by_retired.next().ok_or(error)
            });
            opened.map(Some).map_err(|source| LedgerError::Checkpoint { source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The checkpoint of the empty log is durable before the first tile or segment is made.
            let log = storage.list("log").attempt("list", "log")?;
            let segments = storage.list(wal::DIR).attempt("list", wal::DIR)?;
            let used =
                !log.is_empty() || segments.iter().any(|name| wal::segment_number(&name.name).is_some());
            if used { Err(damaged(PATH, "it is missing")) } else { Ok(None) }
        }
        Err(error) => Err(LedgerError::io("read", PATH, error)),
    }
}

/// Publishes the checkpoint of the empty log.
fn begin(integrator: &Integrator) -> Result<SignedCheckpoint, LedgerError> {
    let (root, sm3_root) = (Sha256::empty(), Sm3::empty());
    let empty = SignedCheckpoint::sign(&integrator.origin, &integrator.signer, 0, root, sm3_root)?;
    integrator.publish(&empty)?;
    Ok(empty)
}

/// Reads the right edge of both trees and the last bundle, and checks them against the checkpoint.
fn load_edge(storage: &dyn Storage, found: &SignedCheckpoint) -> Result<Edge, LedgerError> {
    let size = found.size();
    let sha256 = TreeEdge::<Sha256>::load(size, |tile| read_hashes::<Sha256>(storage, tile))?;
    let sm3 = TreeEdge::<Sm3>::load(size, |tile| read_hashes::<Sm3>(storage, tile))?;
    if sha256.root() != found.checkpoint.root {
        return Err(damaged("log/tile", "the tiles at the right edge do not lead to the checkpoint's root"));
    }
    if Some(&sm3.root()) != found.sm3_root() {
        return Err(damaged(
            "log/sm3/tile",
            "the tiles at the right edge do not lead to the checkpoint's root",
        ));
    }
    let mut edge = Edge { sha256, sm3, bundle: Vec::new() };
    if !size.is_multiple_of(TILE_WIDTH) {
        let entries = read_entries(storage, size / TILE_WIDTH, size)?;
        let leaves: Vec<_> = entries.iter().map(|entry| Sha256::leaf(entry)).collect();
        if leaves != edge.sha256.leaves() {
            return Err(damaged("log/tile/entries", "the last bundle does not belong to the tree"));
        }
        for entry in &entries {
            tlog::bundle::push(&mut edge.bundle, entry).expect("an entry of a bundle fits a bundle");
        }
    }
    Ok(edge)
}

/// Removes tiles that an owner wrote and did not live to publish; their bytes may be torn. The directories are
/// noted, so that the removals are durable before the next checkpoint is.
fn remove_unpublished(
    storage: &dyn Storage,
    size: u64,
    touched: &mut BTreeSet<String>,
) -> Result<(), LedgerError> {
    let mut dirs = vec![(format!("{}/tile/entries", Sha256::DIR), Level::Entries)];
    for level in 0..=MAX_LEVEL {
        dirs.push((format!("{}/tile/{level}", Sha256::DIR), Level::Hashes(level)));
        dirs.push((format!("{}/tile/{level}", Sm3::DIR), Level::Hashes(level)));
    }
    for (dir, level) in dirs {
        Sweep { storage, level, size, touched }.dir(&dir, 0)?;
    }
    Ok(())
}

struct Sweep<'a> {
    storage: &'a dyn Storage,
    level: Level,
    size: u64,
    touched: &'a mut BTreeSet<String>,
}

impl Sweep<'_> {
    /// Goes through a directory whose names continue the number `prefix`, leaving out those wholly below the edge.
    fn dir(&mut self, dir: &str, prefix: u64) -> Result<(), LedgerError> {
        let names = match self.storage.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names.attempt("list", dir)?,
        };
        let edge = Tile::hashes_in_level(self.level, self.size) / TILE_WIDTH;
        for name in names {
            let path = format!("{dir}/{}", name.name);
            let digits = name.name.trim_start_matches('x').trim_end_matches(".p");
            let Ok(group) = digits.parse::<u64>() else { continue };
            let number = prefix.saturating_mul(1000).saturating_add(group);
            if name.name.starts_with('x') {
                if self.reaches(number, edge) {
                    self.dir(&path, number)?;
                }
            } else if number >= edge {
                self.tile(dir, &path, number, name.is_dir)?;
            }
        }
        Ok(())
    }

    /// Whether a number that continues `prefix` by one to six more groups can be at the edge or beyond.
    fn reaches(&self, prefix: u64, edge: u64) -> bool {
        let highest = |groups: u32| {
            let scale = 1000u64.saturating_pow(groups);
            prefix.saturating_mul(scale).saturating_add(scale - 1)
        };
        highest(6) >= edge
    }

    fn tile(&mut self, dir: &str, path: &str, number: u64, is_partial: bool) -> Result<(), LedgerError> {
        let width = Tile::width_in(self.level, number, self.size);
        if !is_partial {
            return self.remove(dir, path);
        }
        for name in self.storage.list(path).attempt("list", path)? {
            if name.name.parse::<u16>().is_ok_and(|w| w > width) {
                self.remove(path, &format!("{path}/{}", name.name))?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, dir: &str, path: &str) -> Result<(), LedgerError> {
        self.touched.insert(dir.to_owned());
        self.storage.remove(path).attempt("remove", path)
    }
}

/// Everything in the segments is under the checkpoint now. Nothing depends on the removal.
fn remove_segments(storage: &dyn Storage, replayed: &Replay) {
    for segment in &replayed.segments {
        let _ = storage.remove(&wal::segment_path(segment.number));
    }
    let _ = storage.remove(NEXT);
}
