//! Files written aside, synced, and renamed: whoever looks sees the old file or the new one, and after an error
//! nothing new at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::given;

/// Replaces `path` by a file with these bytes. When this returns, the file survives a loss of power.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Aside::new(path, bytes)?.place()
}

/// A whole file that does not stand in its place yet, and is gone with the value if it never does.
pub(crate) struct Aside {
    folder: PathBuf,
    aside: PathBuf,
    path: PathBuf,
}

impl Aside {
    /// Writes and syncs the bytes beside `path`.
    pub(crate) fn new(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let (written, file) = Self::open(path)?;
        fill(file, bytes)?;
        Ok(written)
    }

    /// An empty file beside `path`, to be written and synced by the caller before it is placed.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, File)> {
        refuse_special(path)?;
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let (aside, file) = create_aside(folder, path)?;
        Ok((Self { folder: folder.to_owned(), aside, path: path.to_owned() }, file))
    }

    /// Where the file stands until it is placed.
    pub(crate) fn aside(&self) -> &Path {
        &self.aside
    }

    /// Puts the file in its place.
    pub(crate) fn place(self) -> io::Result<()> {
        sync_folder(&self.rename()?)
    }

    /// Puts the file in its place; the new name survives a loss of power once the folder is synced with
    /// [`sync_folder`], which many files of one folder can share.
    pub(crate) fn rename(mut self) -> io::Result<PathBuf> {
        std::fs::rename(&self.aside, &self.path)?;
        self.aside.clear();
        Ok(std::mem::take(&mut self.folder))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // After a rename there is none.
        if !self.aside.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.aside); // whoever gave up has another error to tell
        }
    }
}

/// A rename would put a file where `/dev/null` was.
fn refuse_special(path: &Path) -> io::Result<()> {
    // Whatever is open behind it, a rename would replace the link itself, for everybody.
    if given::is_handed_over(path) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it stands for what this process has open; only a file can be replaced",
        ));
    }
    match path.metadata() {
        Ok(found) if !found.is_file() && !found.is_dir() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a device, a pipe or a socket; only a file can be replaced",
        )),
        _ => Ok(()),
    }
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
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows has no such call; `MoveFileEx` writes through.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn the_link_to_an_open_file_is_not_replaced() {
        let open = tempfile::tempfile().unwrap(); // a regular file, as behind `> report`
        for path in [format!("/dev/fd/{}", open.as_raw_fd()), "/dev/stdout".to_owned()] {
            let refused = refuse_special(Path::new(&path)).unwrap_err();
            assert!(refused.to_string().contains("has open"), "{path}: {refused}");
        }
    }
}
