//! Roots and proofs against `ct-merkle`, an implementation of RFC 6962 that shares nothing with this one: over SHA-256 of
//! RustCrypto, and over SM3 of RustCrypto where the tree here uses `gm`.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::collections::HashMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Digest;
use tlog::{
    Frontier, Hash, HashReader, Sha256, Sm3, TlogError, TreeHash, consistency_path, inclusion_path, root_at,
    verify_consistency, verify_inclusion,
};

/// Subtrees straight from the definition, each computed once.
struct Leaves<H>(Vec<Hash>, HashMap<(u8, u64), Hash>, std::marker::PhantomData<H>);

impl<H: TreeHash> Leaves<H> {
    fn of(entries: &[Vec<u8>]) -> Self {
        let leaves = entries.iter().map(|entry| H::leaf(entry)).collect();
        Self(leaves, HashMap::new(), std::marker::PhantomData)
    }
}

impl<H: TreeHash> HashReader for Leaves<H> {
    type Error = TlogError;

    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, TlogError> {
        if level == 0 {
            return Ok(self.0[usize::try_from(index).unwrap()]);
        }
        if let Some(known) = self.1.get(&(level, index)) {
            return Ok(*known);
        }
        let (left, right) = (self.hash(level - 1, 2 * index)?, self.hash(level - 1, 2 * index + 1)?);
        let node = H::node(&left, &right);
        self.1.insert((level, index), node);
        Ok(node)
    }
}

fn theirs<D: Digest>(entries: &[Vec<u8>]) -> MemoryBackedTree<D, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    entries.iter().for_each(|entry| tree.push(entry.clone()));
    tree
}

fn root_of<D: Digest>(root: &RootHash<D>) -> Hash {
    root.as_bytes().as_slice().try_into().unwrap()
}

fn agree<H: TreeHash, D: Digest>(entries: &[Vec<u8>], old: usize, index: usize) {
    let (size, entry) = (entries.len(), &entries[index]);
    let [old64, size64, index64] = [old, size, index].map(|n| n as u64);
    let mut ours = Leaves::<H>::of(entries);
    let mut frontier = Frontier::<H>::new();
    entries.iter().for_each(|entry| frontier.push(H::leaf(entry)));
    let (new_tree, old_tree) = (theirs::<D>(entries), theirs::<D>(&entries[..old]));
    let (new_root, old_root) = (root_of(&new_tree.root()), root_of(&old_tree.root()));
    assert_eq!(frontier.root(), new_root);
    assert_eq!(root_at::<H, _>(&mut ours, size64).unwrap(), new_root);
    assert_eq!(root_at::<H, _>(&mut ours, old64).unwrap(), old_root);

    let path = inclusion_path::<H, _>(&mut ours, index64, size64).unwrap();
    assert_eq!(path.concat(), new_tree.prove_inclusion(index).as_bytes());
    verify_inclusion::<H>(&H::leaf(entry), index64, size64, &path, &new_root).unwrap();
    let proof = |path: &[Hash]| InclusionProof::<D>::try_from_bytes(path.concat());
    new_tree.root().verify_inclusion(entry, index64, &proof(&path).unwrap()).unwrap();

    let grown = consistency_path::<H, _>(&mut ours, old64, size64).unwrap();
    verify_consistency::<H>(old64, size64, &grown, &old_root, &new_root).unwrap();
    if old < size {
        assert_eq!(grown.concat(), new_tree.prove_consistency(size - old).as_bytes());
        let proof = ConsistencyProof::<D>::try_from_bytes(grown.concat()).unwrap();
        new_tree.root().verify_consistency(&old_tree.root(), &proof).unwrap();
    }

    // What one refuses, the other refuses: a flipped bit in any hash.
    for at in 0..path.len() {
        let mut wrong = path.clone();
        wrong[at][at % 32] ^= 1;
        assert!(verify_inclusion::<H>(&H::leaf(entry), index64, size64, &wrong, &new_root).is_err());
        assert!(new_tree.root().verify_inclusion(entry, index64, &proof(&wrong).unwrap()).is_err());
    }
    for at in 0..grown.len() {
        let mut wrong = grown.clone();
        wrong[at][at % 32] ^= 1;
        assert!(verify_consistency::<H>(old64, size64, &wrong, &old_root, &new_root).is_err());
        let wrong = ConsistencyProof::<D>::try_from_bytes(wrong.concat()).unwrap();
        assert!(new_tree.root().verify_consistency(&old_tree.root(), &wrong).is_err());
    }
}

fn entries(size: usize) -> Vec<Vec<u8>> {
    (0..size).map(|n| vec![u8::try_from(n % 251).unwrap(); n % 70]).collect()
}

#[test]
fn every_small_tree_agrees() {
    for size in 1..=40 {
        for old in 1..=size {
            let index = (old * 7) % size;
            agree::<Sha256, sha2::Sha256>(&entries(size), old, index);
            agree::<Sm3, sm3::Sm3>(&entries(size), old, index);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Sizes around the edges of tiles too.
    #[test]
    fn larger_trees_agree(
        size in prop_oneof![1usize..2000, 250usize..262, 510usize..515, 1020usize..1030],
        old in any::<prop::sample::Index>(),
        index in any::<prop::sample::Index>(),
    ) {
        let (old, index) = (old.index(size) + 1, index.index(size));
        agree::<Sha256, sha2::Sha256>(&entries(size), old, index);
        agree::<Sm3, sm3::Sm3>(&entries(size), old, index);
    }
}
