//! Unix: every name is resolved relative to its open parent, so that nobody can exchange a folder for a symbolic
//! link behind the walker's back.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::Arc;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use seal::EntryPath;

use super::{Met, Walk};
use crate::error::EvidenceError;

/// Without `O_NONBLOCK` a FIFO put in the place of a file would block the open for ever.
const FILE: OFlag = OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);
const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A file that was seen in an open folder and is not open itself yet.
pub(crate) struct Pending {
    folder: Arc<OwnedFd>,
    name: Vec<u8>,
}

impl Pending {
    /// Opens what has the name now, unless it is a symbolic link. Whether it is a regular file is for the caller to see.
    pub(super) fn open(&self, path: &EntryPath) -> Result<File, EvidenceError> {
        openat(&*self.folder, self.name.as_slice(), FILE, Mode::empty())
            .map(File::from)
            .map_err(|e| replaced(path, e))
    }
}

pub(super) fn walk(root: &Path, walk: &mut Walk<'_, '_>) -> Result<(), EvidenceError> {
    // The caller named the root: here a symbolic link is followed.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let folder = open(root, flags, Mode::empty()).map_err(|e| EvidenceError::read(root, e.into()))?;
    below(&Arc::new(folder), None, walk)
}

/// Recursion is bounded by the depth of a path ([`seal::MAX_DEPTH`]).
fn below(
    folder: &Arc<OwnedFd>,
    parent: Option<&EntryPath>,
    walk: &mut Walk<'_, '_>,
) -> Result<(), EvidenceError> {
    for (name, kind) in names(folder, parent, walk)? {
        if walk.stopped() {
            break;
        }
        let Some(path) = walk.path(parent, &name) else { continue };
        let met = match kind {
            Some(Type::File) => Ok(Met::File(Pending { folder: Arc::clone(folder), name: name.clone() })),
            _ => meet(folder, &name, &path),
        };
        let descend = matches!(met, Ok(Met::Directory(_)));
        walk.meet(path.clone(), met);
        if descend {
            let inner = openat(&**folder, name.as_slice(), DIRECTORY, Mode::empty());
            below(&Arc::new(inner.map_err(|e| failed(&path, e))?), Some(&path), walk)?;
        }
    }
    Ok(())
}

fn failed(path: &EntryPath, errno: Errno) -> EvidenceError {
    EvidenceError::read(Path::new(path.as_str()), io::Error::from(errno))
}

/// What a folder lists, and what each is where the file system says it there.
type Names = Vec<(Vec<u8>, Option<Type>)>;

fn names(folder: &OwnedFd, parent: Option<&EntryPath>, walk: &Walk<'_, '_>) -> Result<Names, EvidenceError> {
    let failed =
        |e: io::Error| EvidenceError::read(parent.map_or(Path::new("."), |p| Path::new(p.as_str())), e);
    let mut dir = folder.try_clone().and_then(|fd| Ok(Dir::from_fd(fd)?)).map_err(failed)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry.map_err(|e| failed(e.into()))?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push((name.to_vec(), entry.file_type()));
            walk.check_count(names.len())?;
        }
    }
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(names)
}

fn meet(folder: &Arc<OwnedFd>, name: &[u8], path: &EntryPath) -> Result<Met, EvidenceError> {
    let seen = fstatat(&**folder, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|e| failed(path, e))?;
    match kind(&seen) {
        SFlag::S_IFREG => Ok(Met::File(Pending { folder: Arc::clone(folder), name: name.to_vec() })),
        SFlag::S_IFLNK => {
            let target = readlinkat(&**folder, name).map_err(|e| failed(path, e))?.into_vec();
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
