//! Reads entries and hashes back, and the resources of c2sp.org/tlog-tiles.

use std::collections::HashMap;
use std::marker::PhantomData;

use tlog::tile::Level;
use tlog::{Hash, HashReader, Sha256, TILE_WIDTH, Tile};

use crate::error::LedgerError;
use crate::segment::map::Map;
use crate::storage::Storage;
use crate::tree::{Place, read_row};

pub(crate) fn damaged(path: &str, why: impl Into<String>) -> LedgerError {
    LedgerError::Damaged { path: path.to_owned(), why: why.into() }
}

/// The hashes of a tile: a slice of its row.
pub(crate) fn read_tile<H: Place>(
    storage: &dyn Storage,
    tile: Tile,
    level: u8,
) -> Result<Vec<Hash>, LedgerError> {
    let from = tile.index.saturating_mul(TILE_WIDTH);
    read_row::<H>(storage, level, from, from + u64::from(tile.width))
}

/// A resource of c2sp.org/tlog-tiles by its path below the log's prefix, in the tree of `size` leaves: a tile of the
/// standard tree, full or partial, or an entry bundle. `None` when there is none, or its entries were pruned.
pub(crate) fn read_resource(
    storage: &dyn Storage,
    map: &Map,
    path: &str,
    size: u64,
) -> Result<Option<Vec<u8>>, LedgerError> {
    let Ok(tile) = Tile::parse(path) else { return Ok(None) };
    // Partial tiles of every earlier checkpoint are there: they are beginnings of the same row.
    if Tile::width_in(tile.level, tile.index, size) < tile.width {
        return Ok(None);
    }
    match tile.level {
        Level::Hashes(level) => Ok(Some(read_tile::<Sha256>(storage, tile, level)?.as_flattened().to_vec())),
        Level::Entries => bundle(storage, map, tile),
    }
}

fn bundle(storage: &dyn Storage, map: &Map, tile: Tile) -> Result<Option<Vec<u8>>, LedgerError> {
    let first = tile.index * TILE_WIDTH;
    let end = first + u64::from(tile.width);
    let mut bytes = Vec::new();
    let reached =
        map.read(storage, first..end, &mut |_, entry| tlog::bundle::push(&mut bytes, entry).is_some())?;
    Ok((reached == end).then_some(bytes))
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
            self.tiles.insert((tile_level, number), read_tile::<H>(self.storage, tile, tile_level)?);
        }
        let hashes =
            self.tiles.get(&(tile_level, number)).and_then(|tile| tile.get(offset..offset + (1 << within)));
        hashes.map(H::subtree).ok_or(LedgerError::OutOfRange { index, size: self.size })
    }
}
