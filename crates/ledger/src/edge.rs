//! The right edge of the stored trees: what must be known to append, and the files that appending makes.

use tlog::tile::{Level, MAX_LEVEL};
use tlog::{Frontier, Hash, Sha256, Sm3, TILE_WIDTH, Tile, TreeHash};

/// Where the tiles of a hash stand, below the home.
pub(crate) trait Place: TreeHash {
    /// Directory that tile paths are relative to.
    const DIR: &'static str;
}

impl Place for Sha256 {
    const DIR: &'static str = "log";
}

impl Place for Sm3 {
    const DIR: &'static str = "log/sm3";
}

/// Path of a tile below the home.
pub(crate) fn tile_path<H: Place>(tile: Tile) -> String {
    format!("{}/{tile}", H::DIR)
}

/// Files to be written, with their contents.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// The partial tiles of one tree.
#[derive(Clone)]
pub(crate) struct TreeEdge<H> {
    size: u64,
    /// For each level, the hashes of its rightmost tile: 0 to 255.
    levels: Vec<Vec<Hash>>,
    hash: std::marker::PhantomData<H>,
}

impl<H: Place> TreeEdge<H> {
    pub(crate) fn new() -> Self {
        Self { size: 0, levels: vec![Vec::new(); usize::from(MAX_LEVEL) + 1], hash: std::marker::PhantomData }
    }

    /// The edge of a stored tree; `read` gives the hashes of a partial tile.
    pub(crate) fn load<E>(size: u64, mut read: impl FnMut(Tile) -> Result<Vec<Hash>, E>) -> Result<Self, E> {
        let mut edge = Self { size, ..Self::new() };
        for tile in Tile::right_edge(size) {
            if let Level::Hashes(level) = tile.level {
                edge.levels[usize::from(level)] = read(tile)?;
            }
        }
        Ok(edge)
    }

    /// Appends a leaf hash; tiles that became full are added to `files`.
    pub(crate) fn push(&mut self, leaf: Hash, files: &mut Files) {
        let mut node = leaf;
        self.size += 1;
        for level in 0..=MAX_LEVEL {
            let hashes = &mut self.levels[usize::from(level)];
            hashes.push(node);
            if (hashes.len() as u64) < TILE_WIDTH {
                return;
            }
            let index = Tile::hashes_in_level(Level::Hashes(level), self.size) / TILE_WIDTH - 1;
            files.push((tile_path::<H>(Tile::full(Level::Hashes(level), index)), hashes.concat()));
            node = H::subtree(hashes);
            hashes.clear();
        }
    }

    /// Adds the partial tiles that a tree of `published` leaves does not already have.
    pub(crate) fn partials(&self, published: u64, files: &mut Files) {
        for tile in Tile::right_edge(self.size) {
            let Level::Hashes(level) = tile.level else { continue };
            if Tile::width_in(tile.level, tile.index, published) != tile.width {
                files.push((tile_path::<H>(tile), self.levels[usize::from(level)].concat()));
            }
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Hashes of the rightmost partial tile of level 0.
    pub(crate) fn leaves(&self) -> &[Hash] {
        &self.levels[0]
    }

    pub(crate) fn root(&self) -> Hash {
        let mut roots = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = &hashes[..];
            while !rest.is_empty() {
                let (subtree, tail) = rest.split_at(1 << rest.len().ilog2());
                roots.push(H::subtree(subtree));
                rest = tail;
            }
        }
        Frontier::<H>::from_roots(self.size, roots).map_or_else(H::empty, |frontier| frontier.root())
    }
}

/// Hashing this many leaves takes some hundred times as long as starting a thread.
const WORTH_A_THREAD: usize = 2048;

/// Both trees and the rightmost entry bundle.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) sha256: TreeEdge<Sha256>,
    pub(crate) sm3: TreeEdge<Sm3>,
    /// The entries of the rightmost bundle, as they stand in it.
    pub(crate) bundle: Vec<u8>,
}

impl Edge {
    pub(crate) fn new() -> Self {
        Self { sha256: TreeEdge::new(), sm3: TreeEdge::new(), bundle: Vec::new() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.sha256.size
    }

    /// Appends leaves; bundles and tiles that became full are added to `files`. The second tree is hashed by another
    /// thread when there are enough leaves to pay for it.
    pub(crate) fn extend(&mut self, leaves: &[&[u8]], files: &mut Files) {
        if leaves.len() < WORTH_A_THREAD {
            leaves.iter().for_each(|leaf| self.sm3.push(Sm3::leaf(leaf), files));
            self.extend_standard(leaves, files);
            return;
        }
        let mut sm3 = std::mem::replace(&mut self.sm3, TreeEdge::new());
        let tiles = std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut tiles = Files::new();
                leaves.iter().for_each(|leaf| sm3.push(Sm3::leaf(leaf), &mut tiles));
                tiles
            });
            self.extend_standard(leaves, files);
            second.join().expect("hashing has nothing to fail at")
        });
        self.sm3 = sm3;
        files.extend(tiles);
    }

    /// The bundles and the SHA-256 tree.
    fn extend_standard(&mut self, leaves: &[&[u8]], files: &mut Files) {
        for leaf in leaves {
            tlog::bundle::push(&mut self.bundle, leaf)
                .expect("the length was checked when the leaf was offered");
            self.sha256.push(Sha256::leaf(leaf), files);
            if self.size().is_multiple_of(TILE_WIDTH) {
                let tile = Tile::full(Level::Entries, self.size() / TILE_WIDTH - 1);
                files.push((tile_path::<Sha256>(tile), std::mem::take(&mut self.bundle)));
            }
        }
    }

    /// Adds the partial bundle and tiles that a tree of `published` leaves does not already have.
    pub(crate) fn partials(&self, published: u64, files: &mut Files) {
        let width = self.size() % TILE_WIDTH;
        if width > 0 && self.size() != published {
            let index = self.size() / TILE_WIDTH;
            let tile = Tile { level: Level::Entries, index, width: u16::try_from(width).unwrap_or(0) };
            files.push((tile_path::<Sha256>(tile), self.bundle.clone()));
        }
        self.sha256.partials(published, files);
        self.sm3.partials(published, files);
    }
}
