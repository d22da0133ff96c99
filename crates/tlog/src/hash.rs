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

    /// Root of the complete subtree over `hashes`, whose number must be a power of two.
    ///
    /// # Panics
    /// When the number of hashes is not a power of two: a caller's bug, never a matter of input.
    #[must_use]
    fn subtree(hashes: &[Hash]) -> Hash {
        assert!(hashes.len().is_power_of_two(), "a complete subtree has a power of two of leaves");
        let mut row = hashes.to_vec();
        while row.len() > 1 {
            for i in 0..row.len() / 2 {
                row[i] = Self::node(&row[2 * i], &row[2 * i + 1]);
            }
            row.truncate(row.len() / 2);
        }
        row[0]
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
}
