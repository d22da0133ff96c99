//! Windows programs among the entries: what stays of them when they are signed.
//!
//! Authenticode writes a signature into the file that it signs, and leaves the places that it changes out of its digest.
//! A seal that has this digest beside the one of the content says of a program that was signed since whether it is still
//! the one that was sealed (`docs/formats/seal.md`, "Programs").

use gm::DualDigest;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, EntryKind, digest_text};
use crate::error::SealError;
use crate::path::EntryPath;
use crate::tree::Tree;

/// What Authenticode signs of an entry that is a PE image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The entry.
    pub path: EntryPath,
    /// The bytes that the digests are over, the fields left out and the filling counted.
    pub size: u64,
    /// The Authenticode digests under SHA-256 and SM3.
    #[serde(with = "digest_text")]
    pub digest: DualDigest,
}

/// Sorted, each path once, and each a file of the tree.
pub(crate) fn check(programs: &[Program], tree: &Tree) -> Result<(), SealError> {
    if programs.windows(2).any(|pair| pair[0].path >= pair[1].path) {
        return Err(SealError::Malformed("the programs are not sorted by path, each once"));
    }
    let is_file = |path: &EntryPath| tree.entry(path.as_str()).is_some_and(|e| e.kind == EntryKind::File);
    match programs.iter().all(|program| is_file(&program.path)) {
        true => Ok(()),
        false => Err(SealError::Malformed("a program is no file among the entries")),
    }
}

/// The tree whose roots a signature inside it can carry: every program enters by its Authenticode digests, which the
/// signature does not change (`docs/formats/authenticode.md`, "The tree").
///
/// # Errors
/// When the entries break a rule of the tree.
pub fn bound_tree(tree: &Tree, programs: &[Program]) -> Result<Tree, SealError> {
    let entries = tree.entries().iter().map(|entry| match find(programs, &entry.path) {
        Some(program) if entry.kind == EntryKind::File => {
            Entry::file(entry.path.clone(), entry.mode, program.size, program.digest)
        }
        _ => entry.clone(),
    });
    Tree::new(entries.collect())
}

/// The program at `path` in a sorted list.
pub(crate) fn find<'a>(programs: &'a [Program], path: &EntryPath) -> Option<&'a Program> {
    programs.binary_search_by(|program| program.path.cmp(path)).ok().map(|at| &programs[at])
}
