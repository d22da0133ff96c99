//! Audit paths, RFC 6962 §2.1.1 and §2.1.2, built over a reader of complete subtrees; verified by the algorithms
//! of RFC 9162 §2.1.3.2 and §2.1.4.2.

use crate::{Hash, TlogError, TreeHash};

/// Paths longer than this cannot belong to a tree of 2^64 leaves (a consistency path has one hash more).
pub const MAX_PATH: usize = 65;

/// Reads roots of complete subtrees, wherever they are kept.
pub trait HashReader {
    /// Why a hash cannot be read.
    type Error: From<TlogError>;

    /// Root of the complete subtree over leaves `index << level .. (index + 1) << level`.
    ///
    /// # Errors
    /// When the subtree is not within the stored tree, or cannot be read.
    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// Largest power of two below `n`; `n` is at least 2.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// Root over the leaves `from..to`, `from` being aligned as the recursion of RFC 6962 §2.1 leaves it.
fn range_root<H: TreeHash, R: HashReader>(reader: &mut R, from: u64, to: u64) -> Result<Hash, R::Error> {
    let mut complete = Vec::new();
    let mut at = from;
    while at < to {
        let bits = 63 - (to - at).leading_zeros();
        complete.push(reader.hash(u8::try_from(bits).unwrap_or(63), at >> bits)?);
        at += 1 << bits;
    }
    let mut roots = complete.into_iter().rev();
    let Some(last) = roots.next() else { return Ok(H::empty()) };
    Ok(roots.fold(last, |right, left| H::node(&left, &right)))
}

/// Root of the tree at `size`.
///
/// # Errors
/// Those of the reader.
pub fn root_at<H: TreeHash, R: HashReader>(reader: &mut R, size: u64) -> Result<Hash, R::Error> {
    range_root::<H, R>(reader, 0, size)
}

/// The inclusion path of the leaf `index` in the tree of `size` leaves, leaf's sibling first.
///
/// # Errors
/// [`TlogError::OutOfRange`] when the leaf is not in that tree, and those of the reader.
pub fn inclusion_path<H: TreeHash, R: HashReader>(
    reader: &mut R,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, R::Error> {
    if index >= size {
        return Err(TlogError::OutOfRange { what: "leaf", value: index, size }.into());
    }
    let (mut from, mut to, mut path) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(range_root::<H, R>(reader, middle, to)?);
            to = middle;
        } else {
            path.push(range_root::<H, R>(reader, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The consistency path from the tree of `old` leaves to the tree of `new` leaves. Empty when `old` is 0 or `new`.
///
/// # Errors
/// [`TlogError::OutOfRange`] when `old` is larger than `new`, and those of the reader.
pub fn consistency_path<H: TreeHash, R: HashReader>(
    reader: &mut R,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, R::Error> {
    if old > new {
        return Err(TlogError::OutOfRange { what: "size", value: old, size: new }.into());
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    // SUBPROOF of RFC 6962 §2.1.2; `whole` is its boolean: the old tree is the subtree looked at.
    let (mut from, mut to, mut whole, mut path) = (0, new, true, Vec::new());
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(range_root::<H, R>(reader, middle, to)?);
            to = middle;
        } else {
            path.push(range_root::<H, R>(reader, from, middle)?);
            from = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(range_root::<H, R>(reader, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks an inclusion path, RFC 9162 §2.1.3.2.
///
/// # Errors
/// [`TlogError::OutOfRange`] or [`TlogError::ProofFails`].
pub fn verify_inclusion<H: TreeHash>(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), TlogError> {
    if index >= size {
        return Err(TlogError::OutOfRange { what: "leaf", value: index, size });
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return Err(TlogError::ProofFails { what: "inclusion" });
        }
        if node & 1 == 1 || node == last {
            hash = H::node(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = H::node(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(TlogError::ProofFails { what: "inclusion" }) }
}

/// Checks a consistency path, RFC 9162 §2.1.4.2. A tree is consistent with the empty tree and with itself by
/// the empty path alone.
///
/// # Errors
/// [`TlogError::OutOfRange`] or [`TlogError::ProofFails`].
pub fn verify_consistency<H: TreeHash>(
    old: u64,
    new: u64,
    path: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), TlogError> {
    let fails = TlogError::ProofFails { what: "consistency" };
    if old > new {
        return Err(TlogError::OutOfRange { what: "size", value: old, size: new });
    }
    if old == new {
        return if path.is_empty() && old_root == new_root { Ok(()) } else { Err(fails) };
    }
    if old == 0 {
        return if path.is_empty() && *old_root == H::empty() { Ok(()) } else { Err(fails) };
    }
    let mut siblings = path.iter();
    let seed = if old.is_power_of_two() { old_root } else { siblings.next().ok_or(fails.clone())? };
    let (mut node, mut last) = (old - 1, new - 1);
    let shift = node.trailing_ones();
    node = node.checked_shr(shift).unwrap_or(0);
    last = last.checked_shr(shift).unwrap_or(0);
    let (mut first, mut second) = (*seed, *seed);
    for sibling in siblings {
        if last == 0 {
            return Err(fails);
        }
        if node & 1 == 1 || node == last {
            first = H::node(sibling, &first);
            second = H::node(sibling, &second);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            second = H::node(&second, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && first == *old_root && second == *new_root { Ok(()) } else { Err(fails) }
}
