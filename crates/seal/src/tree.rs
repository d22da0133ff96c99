//! `custody-tree-v1`: the Merkle tree over the entries, once under SHA-256 and once under SM3.
//!
//! Hashing follows RFC 6962 §2.1: `H(0x00 ‖ leaf)`, `H(0x01 ‖ left ‖ right)`, split at the largest power of two
//! below the count, and the empty tree is `H("")`. The leaf's bytes are [`leaf_input`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher as _;

use gm::DualDigest;

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

    /// The same, for whoever takes them elsewhere.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
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
        // By a hash of each spelling in lower case: the spellings themselves would take as much memory as the entries.
        let state = std::hash::RandomState::new();
        let key = |entry: &Entry| state.hash_one(lower_case(entry.path.as_str()));
        let mut keys: Vec<(u64, &str)> = self.entries.iter().map(|e| (key(e), e.path.as_str())).collect();
        keys.sort_unstable();
        let mut collisions = Vec::new();
        for same in keys.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
            let mut groups: HashMap<_, Vec<&str>> = HashMap::new();
            for (_, path) in same {
                groups.entry(lower_case(path)).or_default().push(path);
            }
            collisions.extend(groups.into_values().filter(|group| group.len() > 1));
        }
        collisions.sort();
        collisions
    }
}

fn lower_case(path: &str) -> Cow<'_, str> {
    match path.bytes().any(|byte| !byte.is_ascii() || byte.is_ascii_uppercase()) {
        true => path.to_lowercase().into(),
        false => path.into(),
    }
}

fn check_duplicates(sorted: &[Entry]) -> Result<(), SealError> {
    match sorted.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some(pair) => Err(SealError::Duplicate { path: pair[0].path.to_string() }),
        None => Ok(()),
    }
}

/// Unpacking `link -> /etc` and then `link/passwd` would write outside the tree; no honest archive needs it.
fn check_parents(sorted: &[Entry]) -> Result<(), SealError> {
    let at = |path: &str| sorted.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok();
    let mut folder = "";
    for entry in sorted {
        let above = entry.path.as_str().rsplit_once('/').map_or("", |(above, _)| above);
        if above == folder {
            continue; // Neighbours mostly stand in one folder, and its parents were looked at.
        }
        folder = above;
        let found = entry.path.ancestors().filter_map(at).map(|at| &sorted[at]);
        if let Some(parent) = found.into_iter().find(|parent| parent.kind != EntryKind::Directory) {
            let (path, parent, kind) = (entry.path.to_string(), parent.path.to_string(), parent.kind);
            return Err(SealError::NotADirectory { path, parent, kind });
        }
    }
    Ok(())
}

/// The bytes that a leaf hash takes after its `0x00`: `u32` path length ‖ path ‖ `u8` type ‖ `u32` mode ‖ `u64`
/// size ‖ SHA-256 ‖ SM3, integers big-endian. Both digests stand in the leaves of both trees, so that either root
/// alone binds everything an entry lists.
#[must_use]
pub fn leaf_input(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + entry.path.as_str().len() + 1 + 4 + 8 + 64);
    write_leaf(&mut out, entry);
    out
}

fn write_leaf(out: &mut Vec<u8>, entry: &Entry) {
    let path = entry.path.as_str().as_bytes();
    // A path is at most 4096 bytes long, so its length fits.
    out.extend(u32::try_from(path.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(path);
    out.push(entry.kind.octet());
    out.extend(entry.mode.to_be_bytes());
    out.extend(entry.size.to_be_bytes());
    out.extend(entry.digest.sha256);
    out.extend(entry.digest.sm3);
}

/// Leaves that are hashed together, in the lanes of `gm`; a power of two, so that they are a full tree.
const BATCH: usize = 1024;

/// Both roots, from the left to the right: of what was seen, only the full trees are kept that no other was joined to.
fn roots(entries: &[Entry]) -> DualDigest {
    let (mut sha256, mut sm3) = (Peaks::new(SHA256), Peaks::new(SM3));
    let mut text = Vec::new();
    for batch in entries.chunks(BATCH) {
        text.clear();
        let mut ends = Vec::with_capacity(batch.len());
        for entry in batch {
            write_leaf(&mut text, entry);
            ends.push(text.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let leaves: Vec<&[u8]> = starts.zip(&ends).map(|(start, end)| &text[start..*end]).collect();
        sha256.push_all(&leaves);
        sm3.push_all(&leaves);
    }
    DualDigest { sha256: sha256.root(), sm3: sm3.root() }
}

type Hash = [u8; 32];

/// The ways of one hash.
#[derive(Clone, Copy)]
struct Ways {
    /// Of a prefix and each of several messages.
    leaves: fn(&[u8], &[&[u8]], &mut [Hash]),
    /// Of a prefix and each two neighbours.
    pairs: fn(&[u8], &[Hash], &mut [Hash]),
}

const SHA256: Ways = Ways {
    leaves: |prefix, leaves, out| gm::sha256::digest_prefixed(prefix, leaves, out),
    pairs: gm::sha256::digest_pairs,
};
const SM3: Ways = Ways {
    leaves: |prefix, leaves, out| gm::sm3::digest_prefixed(prefix, leaves, out),
    pairs: gm::sm3::digest_pairs,
};

/// Roots of full trees, from the largest to the smallest, each with the number of its leaves as a power of two.
struct Peaks {
    hash: Ways,
    peaks: Vec<(u32, Hash)>,
}

impl Peaks {
    fn new(hash: Ways) -> Self {
        Self { hash, peaks: Vec::new() }
    }

    /// Takes the next leaves: [`BATCH`] of them, or fewer and none after them.
    fn push_all(&mut self, leaves: &[&[u8]]) {
        let mut row = vec![[0; 32]; leaves.len()];
        (self.hash.leaves)(&[LEAF], leaves, &mut row);
        let mut rest = row.as_mut_slice();
        while let Some(power) = rest.len().checked_ilog2() {
            let (full, behind) = rest.split_at_mut(1 << power);
            self.push(power, full);
            rest = behind;
        }
    }

    /// Joins the hashes of `1 << power` leaves to one, and that to what stands before it.
    fn push(&mut self, power: u32, row: &mut [Hash]) {
        let mut above = vec![[0; 32]; row.len() / 2];
        for level in (0..power).rev() {
            (self.hash.pairs)(&[NODE], &row[..2 << level], &mut above[..1 << level]);
            row[..1 << level].copy_from_slice(&above[..1 << level]);
        }
        let mut new = (power, row[0]);
        while let Some((_, left)) = self.peaks.pop_if(|(power, _)| *power == new.0) {
            new = (new.0 + 1, self.join(left, new.1));
        }
        self.peaks.push(new);
    }

    fn join(&self, left: Hash, right: Hash) -> Hash {
        let mut node = [[0; 32]];
        (self.hash.pairs)(&[NODE], &[left, right], &mut node);
        node[0]
    }

    /// Splitting at the largest power of two below the count (RFC 6962 §2.1) is joining from the right.
    fn root(mut self) -> Hash {
        let Some((_, mut root)) = self.peaks.pop() else {
            let mut empty = [[0; 32]];
            (self.hash.leaves)(&[], &[&[]], &mut empty);
            return empty[0];
        };
        while let Some((_, left)) = self.peaks.pop() {
            root = self.join(left, root);
        }
        root
    }
}

#[cfg(test)]
mod tests;
