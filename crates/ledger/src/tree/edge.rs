//! The right edge of a tree in memory: for each level, the hashes that are not yet durable, and those of its partial
//! tile.

use std::marker::PhantomData;

use tlog::tile::{Level, MAX_LEVEL};
use tlog::{Frontier, Hash, Sha256, Sm3, TILE_WIDTH, Tile};

use super::Place;
use crate::leaves::Leaves;

const WIDTH: usize = 256;

/// The end of a row: its hashes from `base` on, which is the beginning of a tile.
#[derive(Clone, Default)]
struct Row {
    base: u64,
    hashes: Vec<Hash>,
}

impl Row {
    fn count(&self) -> u64 {
        self.base + self.hashes.len() as u64
    }

    fn within(&self, index: u64) -> usize {
        usize::try_from(index.saturating_sub(self.base)).unwrap_or(usize::MAX).min(self.hashes.len())
    }
}

/// The edge of one tree.
#[derive(Clone)]
pub(crate) struct Tree<H> {
    rows: Vec<Row>,
    hash: PhantomData<H>,
}

impl<H: Place> Tree<H> {
    pub(crate) fn new() -> Self {
        Self { rows: vec![Row::default(); usize::from(MAX_LEVEL) + 1], hash: PhantomData }
    }

    /// The edge of a stored tree; `read` gives the hashes of a row from one index up to another.
    pub(crate) fn load<E>(
        size: u64,
        mut read: impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let mut tree = Self::new();
        for (level, row) in (0..=MAX_LEVEL).zip(&mut tree.rows) {
            let count = Tile::hashes_in_level(Level::Hashes(level), size);
            row.base = count / TILE_WIDTH * TILE_WIDTH;
            if count > row.base {
                row.hashes = read(level, row.base, count)?;
            }
        }
        Ok(tree)
    }

    pub(crate) fn size(&self) -> u64 {
        self.rows[0].count()
    }

    /// Appends leaf hashes, and above them the roots of the tiles that became full.
    pub(crate) fn append(&mut self, leaves: &[Hash]) {
        let mut new = leaves.to_vec();
        for row in &mut self.rows {
            let full_before = row.within(row.count() / TILE_WIDTH * TILE_WIDTH);
            row.hashes.extend_from_slice(&new);
            let full_now = row.within(row.count() / TILE_WIDTH * TILE_WIDTH);
            if full_now == full_before {
                return;
            }
            new = H::subtrees(&row.hashes[full_before..full_now], WIDTH);
        }
    }

    /// How many hashes a row has.
    pub(crate) fn count(&self, level: u8) -> u64 {
        self.rows[usize::from(level)].count()
    }

    /// The hashes of a row from `from` on; those before must still be held.
    pub(crate) fn since(&self, level: u8, from: u64) -> &[Hash] {
        let row = &self.rows[usize::from(level)];
        &row.hashes[row.within(from)..]
    }

    /// Lets go of full tiles whose hashes lie below `durable`.
    pub(crate) fn release(&mut self, level: u8, durable: u64) {
        let row = &mut self.rows[usize::from(level)];
        let keep = durable.min(row.count()) / TILE_WIDTH * TILE_WIDTH;
        if keep > row.base {
            row.hashes.drain(..row.within(keep));
            row.base = keep;
        }
    }

    /// The root, RFC 6962 §2.1.
    pub(crate) fn root(&self) -> Hash {
        let mut roots = Vec::new();
        for row in self.rows.iter().rev() {
            let mut rest = &row.hashes[row.within(row.count() / TILE_WIDTH * TILE_WIDTH)..];
            while !rest.is_empty() {
                let (subtree, tail) = rest.split_at(1 << rest.len().ilog2());
                roots.push(H::subtree(subtree));
                rest = tail;
            }
        }
        Frontier::<H>::from_roots(self.size(), roots).map_or_else(H::empty, |frontier| frontier.root())
    }
}

/// The trees of a log: the standard one, and the second if the log was created with it.
#[derive(Clone)]
pub(crate) struct Trees {
    pub(crate) sha256: Tree<Sha256>,
    pub(crate) sm3: Option<Tree<Sm3>>,
}

impl Trees {
    pub(crate) fn new(which: crate::Trees) -> Self {
        let sm3 = (which == crate::Trees::Both).then(Tree::new);
        Self { sha256: Tree::new(), sm3 }
    }

    pub(crate) fn size(&self) -> u64 {
        self.sha256.size()
    }

    /// Hashes leaves and appends them to both trees.
    pub(crate) fn append(&mut self, leaves: &Leaves) {
        let leaves: Vec<&[u8]> = leaves.iter().collect();
        self.append_slices(&leaves);
    }

    /// As [`Trees::append`].
    pub(crate) fn append_slices(&mut self, leaves: &[&[u8]]) {
        let mut hashes = vec![Hash::default(); leaves.len()];
        <Sha256 as tlog::TreeHash>::leaves(leaves, &mut hashes);
        self.sha256.append(&hashes);
        if let Some(sm3) = &mut self.sm3 {
            <Sm3 as tlog::TreeHash>::leaves(leaves, &mut hashes);
            sm3.append(&hashes);
        }
    }

    pub(crate) fn sm3_root(&self) -> Option<Hash> {
        self.sm3.as_ref().map(Tree::root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_grouping_of_leaves_gives_the_root_of_the_frontier() {
        let leaf = |i: u32| i.to_be_bytes();
        for group in [1usize, 7, 255, 256, 257, 5000] {
            let mut trees = Trees::new(crate::Trees::Both);
            let (mut sha256, mut sm3) = (Frontier::<Sha256>::new(), Frontier::<Sm3>::new());
            let leaves: Vec<[u8; 4]> = (0..70_000).map(leaf).collect();
            for leaves in leaves[..if group == 1 { 600 } else { 70_000 }].chunks(group) {
                trees.append(&leaves.iter().collect());
                for leaf in leaves {
                    sha256.push(<Sha256 as tlog::TreeHash>::leaf(leaf));
                    sm3.push(<Sm3 as tlog::TreeHash>::leaf(leaf));
                }
                let size = trees.size();
                if size.is_multiple_of(3) {
                    (0..=MAX_LEVEL).for_each(|level| trees.sha256.release(level, size));
                }
            }
            assert_eq!((trees.sha256.root(), trees.sm3_root()), (sha256.root(), Some(sm3.root())), "{group}");
        }
    }
}
