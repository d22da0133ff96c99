//! Systems without directories opened by descriptor: names are resolved from the root each time, so that a folder
//! exchanged for a link *while* it is read is not noticed. `docs/formats/seal.md` says so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use seal::EntryPath;

use super::{Met, Walk};
use crate::error::EvidenceError;

/// Mode where the system keeps none.
const DIRECTORY_MODE: u32 = 0o755;

/// A file that was seen and is not open yet.
pub(crate) struct Pending(PathBuf);

impl Pending {
    pub(super) fn open(&self, _: &EntryPath) -> Result<File, EvidenceError> {
        File::open(&self.0).map_err(|e| EvidenceError::read(&self.0, e))
    }
}

pub(super) fn walk(root: &Path, walk: &mut Walk<'_, '_>) -> Result<(), EvidenceError> {
    below(root, None, walk)
}

/// Recursion is bounded by the depth of a path ([`seal::MAX_DEPTH`]).
fn below(dir: &Path, parent: Option<&EntryPath>, walk: &mut Walk<'_, '_>) -> Result<(), EvidenceError> {
    let failed = |e| EvidenceError::read(dir, e);
    let mut names = fs::read_dir(dir)
        .and_then(|entries| entries.map(|e| Ok(e?.file_name())).collect::<Result<Vec<_>, _>>())
        .map_err(failed)?;
    walk.check_count(names.len())?;
    names.sort();
    for name in names {
        if walk.stopped() {
            break;
        }
        let Some(path) = walk.path(parent, name.as_encoded_bytes()) else { continue };
        let full = dir.join(&name);
        let met = meet(&full, &path);
        let descend = matches!(met, Ok(Met::Directory(_)));
        walk.meet(path.clone(), met);
        if descend {
            below(&full, Some(&path), walk)?;
        }
    }
    Ok(())
}

fn meet(full: &Path, path: &EntryPath) -> Result<Met, EvidenceError> {
    let failed = |e| EvidenceError::read(full, e);
    let kind = fs::symlink_metadata(full).map_err(failed)?.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(full).map_err(failed)?;
        // One spelling on every system.
        return match target.to_str() {
            Some(target) => Ok(Met::Symlink(target.replace('\\', "/"))),
            None => Err(EvidenceError::entry(path.as_str(), "its target is not UTF-8")),
        };
    }
    match () {
        () if kind.is_file() => Ok(Met::File(Pending(full.to_owned()))),
        () if kind.is_dir() => Ok(Met::Directory(DIRECTORY_MODE)),
        () => Err(EvidenceError::Special { path: path.to_string(), kind: "special file" }),
    }
}
