use std::marker::PhantomData;

use crate::{Hash, TreeHash};

/// The right edge of a tree: roots of its complete subtrees from the largest to the smallest, one for each bit
/// that is set in the size. Enough to append and to know the root, in at most 64 hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier<H> {
    size: u64,
    roots: Vec<Hash>,
    hash: PhantomData<H>,
}

impl<H: TreeHash> Default for Frontier<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: TreeHash> Frontier<H> {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, roots: Vec::new(), hash: PhantomData }
    }

    /// The frontier of a tree of `size` leaves, from the roots of its complete subtrees, largest first.
    /// `None` when their number is not the number of bits set in `size`.
    #[must_use]
    pub fn from_roots(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots, hash: PhantomData })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                node = H::node(&left, &node);
            }
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// Root of the tree, RFC 6962 §2.1.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(&last) = roots.next() else { return H::empty() };
        roots.fold(last, |right, left| H::node(left, &right))
    }
}
