use crate::proof::{consistency_path, inclusion_path, root_at, verify_consistency, verify_inclusion};
use crate::{Frontier, Hash, HashReader, Sha256, Sm3, TlogError, TreeHash};

/// Reads subtrees straight from the leaves, by the definition.
struct Leaves<H>(Vec<Hash>, std::marker::PhantomData<H>);

impl<H: TreeHash> HashReader for Leaves<H> {
    type Error = TlogError;
    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, TlogError> {
        let (from, to) = ((index << level) as usize, ((index + 1) << level) as usize);
        Ok(H::subtree(&self.0[from..to]))
    }
}

/// MTH of RFC 6962 §2.1, word by word.
fn mth<H: TreeHash>(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => H::empty(),
        1 => leaves[0],
        n => {
            let k = 1 << (usize::BITS - 1 - (n - 1).leading_zeros());
            H::node(&mth::<H>(&leaves[..k]), &mth::<H>(&leaves[k..]))
        }
    }
}

fn every_proof_holds<H: TreeHash>() {
    let leaves: Vec<Hash> = (0..70u32).map(|i| H::leaf(&i.to_be_bytes())).collect();
    let mut reader = Leaves::<H>(leaves.clone(), std::marker::PhantomData);
    let roots: Vec<Hash> = (0..=leaves.len()).map(|n| mth::<H>(&leaves[..n])).collect();
    let mut tree = Frontier::<H>::new();
    for size in 0..=leaves.len() {
        assert_eq!(tree.root(), roots[size]);
        assert_eq!(root_at::<H, _>(&mut reader, size as u64).unwrap(), roots[size]);
        for index in 0..size {
            let mut path = inclusion_path::<H, _>(&mut reader, index as u64, size as u64).unwrap();
            let check = |path: &[Hash], index: usize, size: usize| {
                verify_inclusion::<H>(&leaves[index], index as u64, size as u64, path, &roots[size])
            };
            check(&path, index, size).unwrap();
            if let Some(last) = path.last_mut() {
                last[31] ^= 1;
                assert!(check(&path, index, size).is_err());
            }
            path.push([0; 32]);
            assert!(check(&path, index, size).is_err());
        }
        for old in 0..=size {
            let path = consistency_path::<H, _>(&mut reader, old as u64, size as u64).unwrap();
            let check = |path: &[Hash], old_root: &Hash| {
                verify_consistency::<H>(old as u64, size as u64, path, old_root, &roots[size])
            };
            check(&path, &roots[old]).unwrap();
            assert!(check(&path, &[7; 32]).is_err());
            assert!(check(&[&path[..], &[[0; 32]]].concat(), &roots[old]).is_err());
            if let Some((_, shorter)) = path.split_last() {
                assert!(check(shorter, &roots[old]).is_err());
            }
        }
        if let Some(leaf) = leaves.get(size) {
            tree.push(*leaf);
        }
    }
}

#[test]
fn every_proof_of_a_small_tree_holds_and_no_changed_one_does() {
    every_proof_holds::<Sha256>();
    every_proof_holds::<Sm3>();
}
