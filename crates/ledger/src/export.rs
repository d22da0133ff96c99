//! The log as plain files, in the layout of c2sp.org/tlog-tiles.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use tlog::tile::{Level, MAX_LEVEL};
use tlog::{TILE_WIDTH, Tile};

use crate::checkpoint::SignedCheckpoint;
use crate::error::LedgerError;
use crate::read::read_resource;
use crate::segment::map::Map;
use crate::storage::Storage;

/// Writes every tile and bundle of the tree, and the checkpoint last. Bundles whose entries were pruned are left out.
pub(crate) fn export(
    storage: &dyn Storage,
    map: &Map,
    checkpoint: &SignedCheckpoint,
    folder: &Path,
) -> Result<(), LedgerError> {
    let fail = |path: &Path, source| LedgerError::io("export to", path.display().to_string(), source);
    fs::create_dir_all(folder).map_err(|e| fail(folder, e))?;
    if fs::read_dir(folder).map_err(|e| fail(folder, e))?.next().is_some() {
        return Err(fail(folder, std::io::ErrorKind::DirectoryNotEmpty.into()));
    }
    let size = checkpoint.size();
    for level in std::iter::once(Level::Entries).chain((0..=MAX_LEVEL).map(Level::Hashes)) {
        for index in 0..Tile::hashes_in_level(level, size).div_ceil(TILE_WIDTH) {
            let tile = Tile { level, index, width: Tile::width_in(level, index, size) };
            let path = folder.join(tile.to_string());
            let Some(bytes) = read_resource(storage, map, &tile.to_string(), size)? else { continue };
            write(&path, &bytes).map_err(|e| fail(&path, e))?;
        }
    }
    let path = folder.join("checkpoint");
    write(&path, checkpoint.note.as_bytes()).map_err(|e| fail(&path, e))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::File::create_new(path)?.write_all(bytes)
}
