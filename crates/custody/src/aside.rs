//! Files written aside, synced, and renamed: whoever looks sees the old file or the new one, and after an error
//! nothing new at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Replaces `path` by a file with these bytes. When this returns, the file survives a loss of power.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let (aside, file) = create_aside(folder, path)?;
    let written = fill(file, bytes).and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&aside); // the first error is the one to tell
    }
    written?;
    sync_folder(folder)
}

/// A new file beside the target: a rename does not cross file systems.
fn create_aside(folder: &Path, path: &Path) -> io::Result<(PathBuf, File)> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    for attempt in 0..64 {
        let mut aside = std::ffi::OsString::from(".");
        aside.push(name);
        aside.push(format!(".{}-{attempt}.tmp", std::process::id()));
        let aside = folder.join(aside);
        match OpenOptions::new().write(true).create_new(true).open(&aside) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (aside, file)),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files left behind beside it"))
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// The new name is in the folder's own bytes.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows has no such call; `MoveFileEx` writes through.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
