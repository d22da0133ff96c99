//! Small files that the caller names: opened without waiting, and refused when they are no files.

use std::fs::{File, FileType};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Opens the file at `path`. A pipe that nobody writes to would be waited for for ever, and a device need not end; what
/// the caller handed over open (`/dev/stdin`, the `/dev/fd/63` of a shell's `<(…)`) is the caller's to end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if is_handed_over(path) {
        return File::open(path);
    }
    let file = open_at_once(path)?;
    match kind(file.metadata()?.file_type()) {
        None => Ok(file),
        Some(kind) => Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {kind}, and no file"))),
    }
}

/// Whether the caller named the wrong thing; otherwise the machine does not let it be read.
pub(crate) fn is_misnamed(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | InvalidInput | IsADirectory | NotADirectory | InvalidFilename)
}

/// Whether `path` names a descriptor that this process was started with.
pub(crate) fn is_handed_over(path: &Path) -> bool {
    ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd"]
        .iter()
        .any(|own| path.starts_with(own))
}

/// What stands there instead of a file.
fn kind(found: FileType) -> Option<&'static str> {
    match found {
        found if found.is_file() => None,
        found if found.is_dir() => Some("a directory"),
        _ => Some("a device, a pipe or a socket"),
    }
}

#[cfg(unix)]
fn open_at_once(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
    // A socket does not open at all, with an error that does not say what it is.
    if path.metadata()?.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is a socket, and no file"));
    }
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    File::options().read(true).custom_flags(flags.bits()).open(path)
}

#[cfg(not(unix))]
fn open_at_once(path: &Path) -> io::Result<File> {
    if path.metadata()?.is_dir() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is a directory, and no file"));
    }
    File::open(path)
}
