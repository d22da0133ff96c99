//! Unix: every name is resolved relative to its open parent, so that nobody can exchange a folder for a symbolic
//! link behind the walker's back.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use seal::EntryPath;

use super::{Met, Walk};
use crate::error::EvidenceError;

/// Without `O_NONBLOCK` a FIFO put in the place of a file would block the open for ever.
const FILE: OFlag = OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);
const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

pub(super) fn walk(root: &Path, walk: &mut Walk<'_, '_>) -> Result<(), EvidenceError> {
    // The caller named the root: here a symbolic link is followed.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = Dir::open(root, flags, Mode::empty()).map_err(|e| EvidenceError::read(root, e.into()))?;
    below(dir, None, walk)
}

/// Recursion is bounded by the depth of a path ([`seal::MAX_DEPTH`]).
fn below(mut dir: Dir, parent: Option<&EntryPath>, walk: &mut Walk<'_, '_>) -> Result<(), EvidenceError> {
    for name in names(&mut dir, parent, walk)? {
        if walk.stopped() {
            break;
        }
        let Some(path) = walk.path(parent, &name) else { continue };
        let met = meet(&dir, &name, &path);
        let descend = matches!(met, Ok(Met::Directory(_)));
        walk.meet(path.clone(), met);
        if descend {
            let inner =
                Dir::openat(&dir, name.as_slice(), DIRECTORY, Mode::empty()).map_err(|e| failed(&path, e))?;
            below(inner, Some(&path), walk)?;
        }
    }
    Ok(())
}

fn failed(path: &EntryPath, errno: Errno) -> EvidenceError {
    EvidenceError::read(Path::new(path.as_str()), io::Error::from(errno))
}

fn names(
    dir: &mut Dir,
    parent: Option<&EntryPath>,
    walk: &Walk<'_, '_>,
) -> Result<Vec<Vec<u8>>, EvidenceError> {
    let shown = || parent.map_or(Path::new("."), |p| Path::new(p.as_str()));
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry.map_err(|e| EvidenceError::read(shown(), e.into()))?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
            walk.check_count(names.len())?;
        }
    }
    names.sort();
    Ok(names)
}

fn meet(dir: &Dir, name: &[u8], path: &EntryPath) -> Result<Met, EvidenceError> {
    let seen = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|e| failed(path, e))?;
    match kind(&seen) {
        SFlag::S_IFREG => {
            let file = openat(dir, name, FILE, Mode::empty()).map_err(|e| replaced(path, e))?;
            let opened = fstat(&file).map_err(|e| failed(path, e))?;
            if (seen.st_dev, seen.st_ino) != (opened.st_dev, opened.st_ino) {
                return Err(EvidenceError::Unstable { path: path.to_string() });
            }
            Ok(Met::File(File::from(file)))
        }
        SFlag::S_IFLNK => {
            let target = readlinkat(dir, name).map_err(|e| failed(path, e))?.into_vec();
            String::from_utf8(target)
                .map(Met::Symlink)
                .map_err(|_| EvidenceError::entry(path.as_str(), "its target is not UTF-8"))
        }
        SFlag::S_IFDIR => Ok(Met::Directory(seen.st_mode)),
        other => Err(EvidenceError::Special { path: path.to_string(), kind: special(other) }),
    }
}

/// The symbolic link that `O_NOFOLLOW` refuses was a file a moment ago.
fn replaced(path: &EntryPath, errno: Errno) -> EvidenceError {
    match errno {
        Errno::ELOOP | Errno::ENXIO => EvidenceError::Unstable { path: path.to_string() },
        other => failed(path, other),
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn special(kind: SFlag) -> &'static str {
    match kind {
        SFlag::S_IFIFO => "FIFO",
        SFlag::S_IFSOCK => "socket",
        SFlag::S_IFBLK => "block device",
        SFlag::S_IFCHR => "character device",
        _ => "special file",
    }
}
