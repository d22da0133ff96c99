//! Reads entries and hashes back from the files under a checkpoint.

use std::collections::HashMap;
use std::io;
use std::marker::PhantomData;

use tlog::tile::Level;
use tlog::{Hash, HashReader, TILE_WIDTH, Tile};

use crate::edge::{Place, tile_path};
use crate::error::{IoContext as _, LedgerError};
use crate::storage::Storage;

pub(crate) fn damaged(path: &str, why: impl Into<String>) -> LedgerError {
    LedgerError::Damaged { path: path.to_owned(), why: why.into() }
}

/// A bundle as it stands in the tree of `size` leaves. The full file stands in for a partial one that was removed
/// because a later checkpoint completed it.
pub(crate) fn read_tile<H: Place>(
    storage: &dyn Storage,
    tile: Tile,
) -> Result<(String, Vec<u8>), LedgerError> {
    let path = tile_path::<H>(tile);
    match storage.read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !tile.is_full() => {
            let path = tile_path::<H>(Tile::full(tile.level, tile.index));
            let bytes = present(storage.read(&path), &path)?;
            Ok((path, bytes))
        }
        bytes => Ok((path.clone(), present(bytes, &path)?)),
    }
}

/// A file that the checkpoint implies: that it is not there is damage, and no weakness of this machine.
fn present(bytes: io::Result<Vec<u8>>, path: &str) -> Result<Vec<u8>, LedgerError> {
    match bytes {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(path, "it is missing")),
        bytes => bytes.attempt("read", path),
    }
}

/// The hashes of a tile.
pub(crate) fn read_hashes<H: Place>(storage: &dyn Storage, tile: Tile) -> Result<Vec<Hash>, LedgerError> {
    let (path, bytes) = read_tile::<H>(storage, tile)?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    match hashes.get(..usize::from(tile.width)) {
        Some(hashes) if rest.is_empty() => Ok(hashes.to_vec()),
        _ => Err(damaged(&path, format!("{} bytes are not {} hashes", bytes.len(), tile.width))),
    }
}

/// The entries of the bundle `index` in a tree of `size` leaves.
pub(crate) fn read_entries(
    storage: &dyn Storage,
    index: u64,
    size: u64,
) -> Result<Vec<Vec<u8>>, LedgerError> {
    let width = Tile::width_in(Level::Entries, index, size);
    let tile = Tile { level: Level::Entries, index, width };
    let (path, bytes) = read_tile::<tlog::Sha256>(storage, tile)?;
    let entries: Result<Vec<_>, _> =
        tlog::bundle::entries(&bytes).take(width.into()).map(|entry| entry.map(<[u8]>::to_vec)).collect();
    match entries {
        Ok(entries) if entries.len() == usize::from(width) => Ok(entries),
        Ok(entries) => Err(damaged(&path, format!("{} entries, not {width}", entries.len()))),
        Err(error) => Err(damaged(&path, error.to_string())),
    }
}

/// Hashes of the stored tree of `size` leaves, for proofs. Keeps the tiles it has read.
pub(crate) struct StoredTree<'a, H> {
    storage: &'a dyn Storage,
    size: u64,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
    hash: PhantomData<H>,
}

impl<'a, H: Place> StoredTree<'a, H> {
    pub(crate) fn new(storage: &'a dyn Storage, size: u64) -> Self {
        Self { storage, size, tiles: HashMap::new(), hash: PhantomData }
    }
}

impl<H: Place> HashReader for StoredTree<'_, H> {
    type Error = LedgerError;

    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, LedgerError> {
        // Height 8: a subtree of level 8·l + b stands over 2^b consecutive hashes of one tile of level l.
        let (tile_level, within) = (level / 8, level % 8);
        let first = index << within;
        let (number, offset) = (first / TILE_WIDTH, usize::try_from(first % TILE_WIDTH).unwrap_or(0));
        if !self.tiles.contains_key(&(tile_level, number)) {
            let level = Level::Hashes(tile_level);
            let width = Tile::width_in(level, number, self.size);
            if width == 0 {
                return Err(LedgerError::OutOfRange { index, size: self.size });
            }
            let tile = Tile { level, index: number, width };
            self.tiles.insert((tile_level, number), read_hashes::<H>(self.storage, tile)?);
        }
        let hashes =
            self.tiles.get(&(tile_level, number)).and_then(|tile| tile.get(offset..offset + (1 << within)));
        hashes.map(H::subtree).ok_or(LedgerError::OutOfRange { index, size: self.size })
    }
}
