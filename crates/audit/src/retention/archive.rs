//! Where copies of closed segments go before anything is pruned: the seam for object stores, and one archive of our own,
//! a folder on another file system.
//!
//! An archive answers only when the copy is as durable there as it will be; then the owner records `LEDGER.ARCHIVED`,
//! and only what is recorded so counts when the ledger is pruned.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The operator puts this file into the folder of an archive: an empty place where nothing is mounted is not one.
pub const MARKER: &str = "custody-archive";

/// A closed segment as it is handed to an archive.
#[derive(Clone, Copy, Debug)]
pub struct Closed<'a> {
    /// The log's identity.
    pub origin: &'a str,
    /// Index of its first entry.
    pub first: u64,
    /// Index after its last.
    pub end: u64,
    /// Its file's name, `0000000000000000.seg.zst`.
    pub name: &'a str,
    /// The file.
    pub file: &'a Path,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// The signed checkpoint that covers it: with all segments it is enough to verify them.
    pub checkpoint: &'a str,
}

/// Takes copies of closed segments. `Err` is for the operator to read; the segment is offered again later.
pub trait Archive: Send + Sync {
    /// Its name in `[archive]`.
    fn name(&self) -> &str;

    /// Keeps a copy; answers where, when the copy will not be lost. A segment may come twice.
    ///
    /// # Errors
    /// Why there is no copy.
    fn keep(&self, segment: &Closed<'_>) -> io::Result<String>;
}

/// A folder, best on another machine's file system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folder {
    /// Its name in `[archive]`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Archive for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn keep(&self, segment: &Closed<'_>) -> io::Result<String> {
        if !self.path.join(MARKER).is_file() {
            let why = format!("there is no file `{MARKER}` in {}: is it mounted?", self.path.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
        let folder = self.path.join(segment.origin.chars().map(plain).collect::<String>());
        make_private(&folder)?;
        let target = folder.join(segment.name);
        if sha256(&target).is_ok_and(|found| found == segment.sha256) {
            return Ok(target.display().to_string());
        }
        let mut source = File::open(segment.file)?;
        put(&target, &folder, &mut |output| io::copy(&mut source, output).map(|_| ()))?;
        // What was written is read again: a cache that lies is the disk's matter, a torn copy is ours.
        if sha256(&target)? != segment.sha256 {
            return Err(io::Error::other("the copy is not what was copied"));
        }
        put(&folder.join("checkpoint"), &folder, &mut |output| {
            output.write_all(segment.checkpoint.as_bytes())
        })?;
        Ok(target.display().to_string())
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Aside, synced, renamed, the name synced.
fn put(path: &Path, folder: &Path, write: &mut dyn FnMut(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut output = options.open(&aside)?;
    write(&mut output)?;
    output.sync_all()?;
    std::fs::rename(&aside, path)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder; // NTFS journals names by itself
    Ok(())
}

/// SHA-256 of a file.
pub(crate) fn sha256(path: &Path) -> io::Result<[u8; 32]> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 256 << 10]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole_or_there_is_none() {
        let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = home.path().join("0000000000000000.seg");
        std::fs::write(&file, vec![7; 700_000]).unwrap();
        let segment = Closed {
            origin: "custody.local/bank/1",
            first: 0,
            end: 9,
            name: "0000000000000000.seg",
            file: &file,
            sha256: sha256(&file).unwrap(),
            checkpoint: "note",
        };
        let archive = Folder { name: "nas".into(), path: place.path().to_owned() };
        assert!(archive.keep(&segment).unwrap_err().to_string().contains("mounted"));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        std::fs::write(place.path().join(MARKER), "").unwrap();
        let kept = PathBuf::from(archive.keep(&segment).unwrap());
        assert_eq!(sha256(&kept).unwrap(), segment.sha256);
        assert_eq!(kept, place.path().join("custody.local_bank_1/0000000000000000.seg"));
        // A copy that rotted is put right; one that cannot be right is none.
        std::fs::write(&kept, "x").unwrap();
        archive.keep(&segment).unwrap();
        assert_eq!(sha256(&kept).unwrap(), segment.sha256);
        let wrong = Closed { sha256: [0; 32], ..segment };
        assert!(archive.keep(&wrong).unwrap_err().to_string().contains("not what was copied"));
    }
}
