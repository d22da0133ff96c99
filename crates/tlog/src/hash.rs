use sha2::Digest as _;

/// A 256-bit hash of the tree.
pub type Hash = [u8; 32];

/// Prefix of a leaf's hash input, RFC 6962 §2.1.
const LEAF: u8 = 0x00;
/// Prefix of an inner node's hash input, RFC 6962 §2.1.
const NODE: u8 = 0x01;

/// The hashing of a tree, RFC 6962 §2.1, over some 256-bit hash.
pub trait TreeHash: Copy + Default + Send + Sync + 'static {
    /// Lower-case name, as it stands in files.
    const NAME: &'static str;
    /// Hash of the concatenated parts.
    fn digest(parts: &[&[u8]]) -> Hash;

    /// Hash of a leaf.
    #[must_use]
    fn leaf(data: &[u8]) -> Hash {
        Self::digest(&[&[LEAF], data])
    }

    /// Hash of an inner node.
    #[must_use]
    fn node(left: &Hash, right: &Hash) -> Hash {
        Self::digest(&[&[NODE], left, right])
    }

    /// Root of the tree without leaves: the hash of nothing.
    #[must_use]
    fn empty() -> Hash {
        Self::digest(&[])
    }

    /// Hashes of many leaves: `out[i]` is that of `leaves[i]`. Hashes that work on several messages at once do so.
    ///
    /// # Panics
    /// When `out` and `leaves` differ in length.
    fn leaves(leaves: &[&[u8]], out: &mut [Hash]) {
        assert_eq!(leaves.len(), out.len(), "one hash for each leaf");
        for (leaf, out) in leaves.iter().zip(out) {
            *out = Self::leaf(leaf);
        }
    }

    /// The row above: `out[i]` is the node over `row[2i]` and `row[2i + 1]`.
    ///
    /// # Panics
    /// When `out` does not hold half of `row`.
    fn row_above(row: &[Hash], out: &mut [Hash]) {
        let (pairs, rest) = row.as_chunks::<2>();
        assert!(rest.is_empty() && pairs.len() == out.len(), "one node for each two hashes");
        for ([left, right], out) in pairs.iter().zip(out) {
            *out = Self::node(left, right);
        }
    }

    /// Roots of complete subtrees of `width` leaves each, which stand one after another in `hashes`.
    ///
    /// # Panics
    /// When `width` is not a power of two, or `hashes` not a row of such subtrees: a caller's bug.
    #[must_use]
    fn subtrees(hashes: &[Hash], width: usize) -> Vec<Hash> {
        assert!(width.is_power_of_two(), "a complete subtree has a power of two of leaves");
        assert!(hashes.len().is_multiple_of(width), "subtrees of {width} leaves");
        if width == 1 {
            return hashes.to_vec();
        }
        let mut row = vec![Hash::default(); hashes.len() / 2];
        Self::row_above(hashes, &mut row);
        let mut above = row.clone();
        let mut width = width / 2;
        while width > 1 {
            above.truncate(row.len() / 2);
            Self::row_above(&row, &mut above);
            std::mem::swap(&mut row, &mut above);
            width /= 2;
        }
        row
    }

    /// Root of the complete subtree over `hashes`, whose number must be a power of two.
    ///
    /// # Panics
    /// When the number of hashes is not a power of two: a caller's bug, never a matter of input.
    #[must_use]
    fn subtree(hashes: &[Hash]) -> Hash {
        Self::subtrees(hashes, hashes.len())[0]
    }
}

/// SHA-256: the standard tree.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Sha256;

/// SM3: the second tree.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Sm3;

impl TreeHash for Sha256 {
    const NAME: &'static str = "sha256";

    fn digest(parts: &[&[u8]]) -> Hash {
        let mut hasher = sha2::Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    fn leaves(leaves: &[&[u8]], out: &mut [Hash]) {
        gm::sha256::digest_prefixed(&[LEAF], leaves, out);
    }

    fn row_above(row: &[Hash], out: &mut [Hash]) {
        assert_eq!(row.len(), 2 * out.len(), "one node for each two hashes");
        gm::sha256::digest_pairs(&[NODE], row, out);
    }
}

impl TreeHash for Sm3 {
    const NAME: &'static str = "sm3";

    fn digest(parts: &[&[u8]]) -> Hash {
        let mut hasher = gm::Sm3::new();
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }

    fn leaves(leaves: &[&[u8]], out: &mut [Hash]) {
        gm::sm3::digest_prefixed(&[LEAF], leaves, out);
    }

    fn row_above(row: &[Hash], out: &mut [Hash]) {
        assert_eq!(row.len(), 2 * out.len(), "one node for each two hashes");
        gm::sm3::digest_pairs(&[NODE], row, out);
    }
}
