//! `custody-tree-v1`: the Merkle tree over the entries, once under SHA-256 and once under SM3.
//!
//! Hashing follows RFC 6962 §2.1: `H(0x00 ‖ leaf)`, `H(0x01 ‖ left ‖ right)`, split at the largest power of two
//! below the count, and the empty tree is `H("")`. The leaf's bytes are [`leaf_input`].

use std::collections::HashMap;

use gm::DualDigest;
use sha2::Digest as _;

use crate::entry::{Entry, EntryKind};
use crate::error::SealError;

/// The algorithm's name in a statement.
pub const ALGORITHM: &str = "custody-tree-v1";
/// Most entries of one artefact: about 330 MB of statement.
pub const MAX_ENTRIES: usize = 1_000_000;

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// Entries in the order of their paths' bytes, each path once, and their two roots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    entries: Vec<Entry>,
    roots: DualDigest,
}

impl Tree {
    /// Sorts and checks the entries, and computes the roots.
    ///
    /// # Errors
    /// When an entry contradicts itself, two have one path, or one stands below a file or a symbolic link.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, SealError> {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Self::from_sorted(entries)
    }

    /// As [`Tree::new`] for what was read from a statement, where the order is part of the format.
    pub(crate) fn from_sorted(entries: Vec<Entry>) -> Result<Self, SealError> {
        if entries.len() > MAX_ENTRIES {
            return Err(SealError::Limit { what: "entries", limit: MAX_ENTRIES });
        }
        if !entries.is_sorted_by(|a, b| a.path <= b.path) {
            return Err(SealError::Malformed("its entries are not sorted by path"));
        }
        entries.iter().try_for_each(Entry::check)?;
        check_duplicates(&entries)?;
        check_parents(&entries)?;
        let roots = roots(&entries);
        Ok(Self { entries, roots })
    }

    /// The entries, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry at `path`.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|e| e.path.as_str().cmp(path)).ok()?;
        self.entries.get(at)
    }

    /// The roots of the SHA-256 tree and of the SM3 tree.
    #[must_use]
    pub fn roots(&self) -> DualDigest {
        self.roots
    }

    /// Groups of paths that differ only in the case of their letters: one file on Windows and on macOS.
    #[must_use]
    pub fn case_collisions(&self) -> Vec<Vec<&str>> {
        let mut groups: HashMap<String, Vec<&str>> = HashMap::new();
        for entry in &self.entries {
            groups.entry(entry.path.as_str().to_lowercase()).or_default().push(entry.path.as_str());
        }
        let mut collisions: Vec<_> = groups.into_values().filter(|group| group.len() > 1).collect();
        collisions.sort();
        collisions
    }
}

fn check_duplicates(sorted: &[Entry]) -> Result<(), SealError> {
    match sorted.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some(pair) => Err(SealError::Duplicate { path: pair[0].path.to_string() }),
        None => Ok(()),
    }
}

/// Unpacking `link -> /etc` and then `link/passwd` would write outside the tree; no honest archive needs it.
fn check_parents(entries: &[Entry]) -> Result<(), SealError> {
    let leaves: HashMap<&str, EntryKind> = entries
        .iter()
        .filter(|e| e.kind != EntryKind::Directory)
        .map(|e| (e.path.as_str(), e.kind))
        .collect();
    for entry in entries {
        if let Some((parent, kind)) = entry.path.ancestors().find_map(|a| leaves.get_key_value(a)) {
            let parent = crate::escape(parent.as_bytes());
            return Err(SealError::NotADirectory { path: entry.path.to_string(), parent, kind: *kind });
        }
    }
    Ok(())
}

/// The bytes that a leaf hash takes after its `0x00`: `u32` path length ‖ path ‖ `u8` type ‖ `u32` mode ‖ `u64`
/// size ‖ SHA-256 ‖ SM3, integers big-endian. Both digests stand in the leaves of both trees, so that either root
/// alone binds everything an entry lists.
#[must_use]
pub fn leaf_input(entry: &Entry) -> Vec<u8> {
    let path = entry.path.as_str().as_bytes();
    let mut out = Vec::with_capacity(4 + path.len() + 1 + 4 + 8 + 64);
    // A path is at most 4096 bytes long, so its length fits.
    out.extend(u32::try_from(path.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(path);
    out.push(entry.kind.octet());
    out.extend(entry.mode.to_be_bytes());
    out.extend(entry.size.to_be_bytes());
    out.extend(entry.digest.sha256);
    out.extend(entry.digest.sm3);
    out
}

fn roots(entries: &[Entry]) -> DualDigest {
    let leaves: Vec<DualDigest> = entries
        .iter()
        .map(|entry| {
            let mut both = gm::Dual::new();
            both.update(&[LEAF]);
            both.update(&leaf_input(entry));
            both.finalize()
        })
        .collect();
    let sha256: Vec<_> = leaves.iter().map(|leaf| leaf.sha256).collect();
    let sm3: Vec<_> = leaves.iter().map(|leaf| leaf.sm3).collect();
    DualDigest { sha256: root(&sha256, hash_sha256), sm3: root(&sm3, hash_sm3) }
}

type Hash = fn(&[&[u8]]) -> [u8; 32];

fn root(leaves: &[[u8; 32]], hash: Hash) -> [u8; 32] {
    match leaves {
        [] => hash(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            hash(&[&[NODE], &root(left, hash), &root(right, hash)])
        }
    }
}

fn hash_sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = sha2::Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn hash_sm3(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = gm::Sm3::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize()
}

#[cfg(test)]
mod tests;
