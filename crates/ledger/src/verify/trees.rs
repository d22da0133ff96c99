//! Builds both trees again from the entries and compares every tile.

use std::collections::HashMap;
use std::io;

use tlog::tile::Level;
use tlog::{Hash, Sha256, Sm3, TILE_WIDTH, Tile, TreeHash as _};

use super::{ATTEMPTS, Damage, Key, Report, first_difference};
use crate::checkpoint::SignedCheckpoint;
use crate::edge::{Files, Place, TreeEdge, tile_path};
use crate::error::{IoContext as _, LedgerError};
use crate::storage::Storage;

/// The checkpoint and the partial tiles it implies, read together: the owner removes a partial tile after it has
/// published a checkpoint that does not need it, so files read between two equal checkpoints belong to it.
pub(super) struct RightEdge {
    pub(super) checkpoint: SignedCheckpoint,
    files: HashMap<String, Vec<u8>>,
}

impl RightEdge {
    pub(super) fn snapshot(key: &Key<'_>) -> Result<Result<Self, String>, LedgerError> {
        let mut checkpoint = match key.checkpoint()? {
            Ok(checkpoint) => checkpoint,
            Err(why) => return Ok(Err(why)),
        };
        for _ in 0..ATTEMPTS {
            let files = read_edge(key.storage, checkpoint.size())?;
            match key.checkpoint()? {
                Ok(again) if again == checkpoint => return Ok(Ok(Self { checkpoint, files })),
                Ok(again) => checkpoint = again,
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Err("it changes too fast to be read together with its tiles".to_owned()))
    }

    /// The bytes of a tile; `None` when it is missing.
    pub(super) fn read(&self, storage: &dyn Storage, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.files.get(path) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => read_present(storage, path),
        }
    }
}

fn read_present(storage: &dyn Storage, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
    match storage.read(path) {
        // A directory where a file must be, or a file where a directory must be: the file is missing.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        bytes => bytes.attempt("read", path).map(Some),
    }
}

fn read_edge(storage: &dyn Storage, size: u64) -> Result<HashMap<String, Vec<u8>>, LedgerError> {
    let mut files = HashMap::new();
    for tile in Tile::right_edge(size) {
        let mut paths = vec![tile_path::<Sha256>(tile)];
        if matches!(tile.level, Level::Hashes(_)) {
            paths.push(tile_path::<Sm3>(tile));
        }
        for path in paths {
            if let Some(bytes) = read_present(storage, &path)? {
                files.insert(path, bytes);
            }
        }
    }
    Ok(files)
}

struct Check<'a> {
    storage: &'a dyn Storage,
    edge: &'a RightEdge,
    size: u64,
    earlier: Option<&'a SignedCheckpoint>,
    report: &'a mut Report,
    sha256: TreeEdge<Sha256>,
    sm3: TreeEdge<Sm3>,
    /// Tiles that the entries imply and that are still to be compared.
    implied: Files,
}

pub(super) fn check(
    storage: &dyn Storage,
    edge: &RightEdge,
    earlier: Option<&SignedCheckpoint>,
    report: &mut Report,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), LedgerError> {
    let (sha256, sm3, implied) = (TreeEdge::new(), TreeEdge::new(), Files::new());
    let size = edge.checkpoint.size();
    let mut check = Check { storage, edge, size, earlier, report, sha256, sm3, implied };
    check.compare_earlier();
    for bundle in 0..size.div_ceil(TILE_WIDTH) {
        check.bundle(bundle)?;
        check.compare_implied()?;
        progress(size.min((bundle + 1) * TILE_WIDTH), size);
    }
    check.sha256.partials(0, &mut check.implied);
    check.sm3.partials(0, &mut check.implied);
    check.compare_implied()?;
    let signed = &edge.checkpoint.checkpoint;
    for (tree, root, signed) in
        [("sha256", check.sha256.root(), Some(signed.root)), ("sm3", check.sm3.root(), signed.sm3_root)]
    {
        // After other damage the root may rest on hashes taken from tiles: it would only say the same again.
        if Some(root) != signed && check.report.holds() {
            check.report.found(Damage::Root { tree });
        }
    }
    Ok(())
}

impl Check<'_> {
    /// Checks one bundle against the level-0 tiles of both trees, and appends its leaves.
    fn bundle(&mut self, index: u64) -> Result<(), LedgerError> {
        let width = Tile::width_in(Level::Entries, index, self.size);
        let path = tile_path::<Sha256>(Tile { level: Level::Entries, index, width });
        let bytes = self.edge.read(self.storage, &path)?;
        let leaves = Tile { level: Level::Hashes(0), index, width };
        let sha256 = self.hashes::<Sha256>(leaves)?;
        let sm3 = self.hashes::<Sm3>(leaves)?;
        let mut entries = tlog::bundle::entries(bytes.as_deref().unwrap_or_default());
        let mut readable = bytes.is_some();
        if bytes.is_none() {
            self.report.found(Damage::Missing { path: path.clone() });
        }
        let (mut sha256_good, mut sm3_good) = (sha256.is_some(), sm3.is_some());
        for at in 0..usize::from(width) {
            let entry = if readable { entries.next() } else { None };
            let stored = [sha256.as_ref().map(|tile| tile[at]), sm3.as_ref().map(|tile| tile[at])];
            let leaf = match entry {
                Some(Ok(entry)) => Some([Sha256::leaf(entry), Sm3::leaf(entry)]),
                _ => None,
            };
            let number = index * TILE_WIDTH + at as u64;
            let same = |tree: usize| leaf.map(|leaf| leaf[tree]) == stored[tree];
            let (in_sha256, in_sm3) = (same(0), same(1));
            if readable && (leaf.is_none() || !(in_sha256 || in_sm3) && stored.iter().any(Option::is_some)) {
                let why = if leaf.is_none() { "it is cut off" } else { "its hash is in neither tree" };
                self.report.found(Damage::Entry { index: number, path: path.clone(), why: why.to_owned() });
                // Nothing after a damaged length can be read; the tiles stand in for the rest of the bundle.
                readable = false;
            } else if readable {
                for (tile, good, holds) in [
                    (tile_path::<Sha256>(leaves), &mut sha256_good, in_sha256),
                    (tile_path::<Sm3>(leaves), &mut sm3_good, in_sm3),
                ] {
                    if *good && !holds {
                        *good = false;
                        let why = format!("the hash of entry {number} is not that of the entry");
                        self.report.found(Damage::Tile { path: tile, why });
                    }
                }
            }
            let leaf = if readable { leaf } else { None };
            let pick = |tree: usize| leaf.map(|leaf| leaf[tree]).or(stored[tree]).unwrap_or_default();
            self.sha256.push(pick(0), &mut self.implied);
            self.sm3.push(pick(1), &mut self.implied);
            self.compare_earlier();
        }
        if readable && entries.next().is_some() {
            let why = format!("it holds more than {width} entries");
            self.report.found(Damage::Tile { path, why });
        }
        Ok(())
    }

    /// The hashes of a tile of level 0; `None`, with a finding, when it is missing or of another length.
    fn hashes<H: Place>(&mut self, tile: Tile) -> Result<Option<Vec<Hash>>, LedgerError> {
        let path = tile_path::<H>(tile);
        let Some(bytes) = self.edge.read(self.storage, &path)? else {
            self.report.found(Damage::Missing { path });
            return Ok(None);
        };
        if bytes.len() != usize::from(tile.width) * 32 {
            let why = format!("{} bytes are not {} hashes", bytes.len(), tile.width);
            self.report.found(Damage::Tile { path, why });
            return Ok(None);
        }
        Ok(Some(bytes.as_chunks::<32>().0.to_vec()))
    }

    /// Compares the tiles above level 0 that became known. Level 0 was compared with its bundle.
    fn compare_implied(&mut self) -> Result<(), LedgerError> {
        for (path, expected) in std::mem::take(&mut self.implied) {
            if path.starts_with("log/tile/0/") || path.starts_with("log/sm3/tile/0/") {
                continue;
            }
            let damage = match self.edge.read(self.storage, &path)? {
                Some(found) if found == expected => continue,
                None => Damage::Missing { path },
                Some(found) if found.len() != expected.len() => {
                    let why = format!("{} bytes are not {} hashes", found.len(), expected.len() / 32);
                    Damage::Tile { path, why }
                }
                Some(found) => {
                    let at = first_difference(found.as_chunks::<32>().0, expected.as_chunks::<32>().0);
                    let at = at.unwrap_or_default();
                    Damage::Tile { path, why: format!("hash {at} is not that of the tile below it") }
                }
            };
            self.report.found(damage);
        }
        Ok(())
    }

    /// At the size of the earlier checkpoint, the roots must be the ones it was signed with.
    fn compare_earlier(&mut self) {
        let Some(earlier) = self.earlier.filter(|earlier| earlier.size() == self.sha256.size()) else {
            return;
        };
        let size = earlier.size();
        if self.sha256.root() != earlier.checkpoint.root {
            self.report.found(Damage::Forked { earlier: size, tree: "sha256" });
        }
        if Some(&self.sm3.root()) != earlier.sm3_root() {
            self.report.found(Damage::Forked { earlier: size, tree: "sm3" });
        }
    }
}
