//! What opening does: find the checkpoint, check the right edge against it, read the segments behind it, publish.

use std::io;
use std::sync::Arc;

use signing::note::NoteVerifier;
use tlog::{Sha256, Sm3};

use crate::checkpoint::{NEXT, PATH, SignedCheckpoint};
use crate::error::{IoContext as _, LedgerError};
use crate::format;
use crate::integrate::{Integrator, make_dir};
use crate::options::Options;
use crate::read::damaged;
use crate::segment;
use crate::segment::map::Map;
use crate::segment::scan::Torn;
use crate::segment::writer::Open;
use crate::storage::{Site, Storage};
use crate::tree::{Tree, Trees, read_row};

pub(crate) mod segments;

/// What was found and mended at opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// The home had no log yet.
    pub created: bool,
    /// Size of the checkpoint that was found.
    pub checkpoint_size: u64,
    /// Leaves found behind the checkpoint and put under a new one.
    pub replayed: u64,
    /// An unfinished last record, which was dropped: it had not been acknowledged.
    pub torn: Option<Torn>,
    /// The log stood in the layout of an earlier version and was rewritten.
    pub migrated: bool,
}

pub(crate) struct Recovered {
    pub(crate) recovery: Recovery,
    pub(crate) integrator: Integrator,
    pub(crate) published: SignedCheckpoint,
    pub(crate) map: Arc<Map>,
    /// The segment that is written on.
    pub(crate) open: Option<Open>,
}

pub(crate) fn recover(storage: Arc<dyn Storage>, options: Options) -> Result<Recovered, LedgerError> {
    if !options.create {
        check_presence(&*storage)?;
    }
    let migrated = format::prepare(&storage, &options)?;
    let own = options.signer.verifier();
    let found = find_checkpoint(&*storage, &own, &options.retired, &options.origin)?;
    let created = found.is_none();
    let trees = match &found {
        Some(found) => load_trees(&*storage, found)?,
        None => Trees::new(options.trees),
    };
    let (size, minimum) = found.as_ref().map_or((0, 0), |found| (found.size(), found.minimum()));
    let map = Arc::new(Map::default());
    let signer = (options.origin, options.signer);
    let mut integrator = Integrator::new(Arc::clone(&storage), Arc::clone(&map), signer, trees, minimum);
    let found = match found {
        Some(found) => found,
        // The checkpoint of the empty log is durable before the first segment is made.
        None => integrator.extend()?,
    };
    let loaded = segments::load(&*storage, &map, size, minimum, &mut integrator.trees)?;
    let replayed = integrator.trees.size() - size;
    let mut publish =
        || if replayed == 0 { integrator.sign_again(&found, &own) } else { integrator.extend() };
    let published = match publish() {
        // What an attempt wrote of the hashes is written again.
        Err(LedgerError::Full { .. }) if crate::reserve::free(&*storage) => publish()?,
        published => published?,
    };
    integrator.close_segments()?;
    let _ = storage.remove(NEXT); // left by an owner that died; written anew each time
    let recovery = Recovery { created, checkpoint_size: size, replayed, torn: loaded.torn, migrated };
    Ok(Recovered { recovery, integrator, published, map, open: loaded.open })
}

/// That there is a log, before anything is made in its place.
fn check_presence(storage: &dyn Storage) -> Result<(), LedgerError> {
    match storage.length(PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(PATH, "it is missing")),
        _ => Ok(()), // whatever else is wrong with it is found where it is used
    }
}

/// Makes the folders of a log, and makes durable what names a killed owner left in them.
pub(crate) fn make_dirs(storage: &dyn Storage) -> Result<(), LedgerError> {
    for dir in ["log", segment::DIR] {
        make_dir(storage, dir)?;
    }
    for dir in ["", "log"] {
        storage.sync_dir(Site::Home, dir).attempt("sync the directory", dir)?;
    }
    Ok(())
}

/// The checkpoint of the home; `None` when the home has no log.
pub(crate) fn find_checkpoint(
    storage: &dyn Storage,
    own: &NoteVerifier,
    retired: &[NoteVerifier],
    origin: &str,
) -> Result<Option<SignedCheckpoint>, LedgerError> {
    match storage.read(PATH) {
        Ok(note) => {
            let opened = SignedCheckpoint::open_bytes(note.clone(), own, origin).or_else(|error| {
                let mut by_retired = retired
                    .iter()
                    .filter_map(|key| SignedCheckpoint::open_bytes(note.clone(), key, origin).ok());
                by_retired.next().ok_or(error)
            });
            opened.map(Some).map_err(|source| LedgerError::Checkpoint { source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let tiles = storage.list("log/tiles").is_ok_and(|names| !names.is_empty());
            let segments = storage.list(segment::DIR).attempt("list", segment::DIR)?;
            if tiles || !segments.is_empty() { Err(damaged(PATH, "it is missing")) } else { Ok(None) }
        }
        Err(error) => Err(LedgerError::io("read", PATH, error)),
    }
}

/// Reads the right edge of the trees and checks it against the checkpoint.
fn load_trees(storage: &dyn Storage, found: &SignedCheckpoint) -> Result<Trees, LedgerError> {
    const WRONG: &str = "the hashes at the right edge do not lead to the checkpoint's root";
    let size = found.size();
    let sha256 = Tree::<Sha256>::load(size, |level, from, to| read_row::<Sha256>(storage, level, from, to))?;
    if sha256.root() != found.checkpoint.root {
        return Err(damaged("log/tiles/sha256", WRONG));
    }
    let sm3 = found.sm3_root().map(|root| {
        let tree = Tree::<Sm3>::load(size, |level, from, to| read_row::<Sm3>(storage, level, from, to))?;
        if tree.root() == *root { Ok(tree) } else { Err(damaged("log/tiles/sm3", WRONG)) }
    });
    Ok(Trees { sha256, sm3: sm3.transpose()? })
}
