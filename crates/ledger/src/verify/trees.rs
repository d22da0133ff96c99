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

/// The level-0 tiles beside a bundle, SHA-256 first.
struct Stored {
    tile: Tile,
    hashes: [Option<Vec<Hash>>; 2],
    /// Whether a finding names the tile already.
    blamed: [bool; 2],
}

impl Stored {
    fn hash(&self, tree: usize, at: usize) -> Option<Hash> {
        self.hashes[tree].as_ref().and_then(|hashes| hashes.get(at)).copied()
    }
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
        let tile = Tile { level: Level::Hashes(0), index, width };
        let bytes = self.edge.read(self.storage, &path)?;
        let hashes = [self.hashes::<Sha256>(tile)?, self.hashes::<Sm3>(tile)?];
        let mut stored = Stored { tile, hashes, blamed: [false; 2] };
        if bytes.is_none() {
            self.report.found(Damage::Missing { path: path.clone() });
        }
        let mut entries = bytes.as_deref().map(tlog::bundle::entries);
        for at in 0..usize::from(width) {
            let entry = entries.as_mut().map(Iterator::next);
            let leaf = entry.and_then(|entry| self.judge(entry, at, &path, &mut stored));
            if leaf.is_none() {
                // Nothing after a damaged length can be read; the tiles stand in for the rest of the bundle.
                entries = None;
            }
            let [sha256, sm3] =
                leaf.unwrap_or_else(|| [0, 1].map(|tree| stored.hash(tree, at).unwrap_or_default()));
            self.sha256.push(sha256, &mut self.implied);
            self.sm3.push(sm3, &mut self.implied);
            self.compare_earlier();
        }
        if entries.is_some_and(|mut entries| entries.next().is_some()) {
            let why = format!("it holds more than {width} entries");
            self.report.found(Damage::Tile { path, why });
        }
        Ok(())
    }

    /// The hashes of an entry, when at least one tree knows it; otherwise the entry is damaged. A tree that does not
    /// know an entry that the other knows is damaged itself.
    fn judge(
        &mut self,
        entry: Option<Result<&[u8], tlog::TlogError>>,
        at: usize,
        path: &str,
        stored: &mut Stored,
    ) -> Option<[Hash; 2]> {
        let index = stored.tile.index * TILE_WIDTH + at as u64;
        let mut damaged = |why: &str| {
            let (path, why) = (path.to_owned(), why.to_owned());
            self.report.found(Damage::Entry { index, path, why });
            None
        };
        let Some(Ok(entry)) = entry else { return damaged("it is cut off") };
        let leaf = [Sha256::leaf(entry), Sm3::leaf(entry)];
        let known = [0, 1].map(|tree| stored.hash(tree, at).map(|hash| hash == leaf[tree]));
        if known.contains(&Some(false)) && !known.contains(&Some(true)) {
            return damaged("its hash is in neither tree");
        }
        for (tree, path) in
            [tile_path::<Sha256>(stored.tile), tile_path::<Sm3>(stored.tile)].into_iter().enumerate()
        {
            if known[tree] == Some(false) && !std::mem::replace(&mut stored.blamed[tree], true) {
                let why = format!("the hash of entry {index} is not that of the entry");
                self.report.found(Damage::Tile { path, why });
            }
        }
        Some(leaf)
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
