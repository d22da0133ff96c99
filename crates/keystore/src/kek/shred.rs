//! A file replaced so that the old bytes do not simply stay in the free space of the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::KeystoreError;
use crate::files::{self, Access, Existing};

/// Zeros that are written at a time.
const STRIDE: usize = 64 * 1024;

/// Replaces the owner-only file at `path` (written aside, synced, renamed) and then overwrites the blocks of the
/// old one. On a file system that copies on write, and inside a solid-state disk, the old bytes may live on
/// elsewhere: overwriting is the second lock, never the only one.
///
/// # Errors
/// The file system's answer. When only the overwriting failed, the new file stands.
pub fn replace_and_shred(path: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    let old = match OpenOptions::new().write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        old => Some(old.map_err(KeystoreError::io("open", path))?),
    };
    files::write(path, bytes, Access::Owner, Existing::Replace)?;
    match old {
        None => Ok(()),
        Some(mut old) => overwrite(&mut old).map_err(KeystoreError::io("overwrite the old", path)),
    }
}

/// Destroys what an interrupted [`replace_and_shred`] left beside `path`: it may hold what was to be destroyed. For whoever
/// is the only one to replace that file.
///
/// # Errors
/// The file system's answer.
pub fn shred_left_over(path: &Path) -> Result<(), KeystoreError> {
    let dir = path.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."));
    let asides: Vec<_> = files::names(dir)?.into_iter().filter(|name| files::is_aside(name, path)).collect();
    for aside in asides.iter().map(|name| dir.join(name)) {
        let shred = || {
            overwrite(&mut OpenOptions::new().write(true).open(&aside)?)?;
            std::fs::remove_file(&aside)
        };
        shred().map_err(KeystoreError::io("destroy", &aside))?;
    }
    if asides.is_empty() { Ok(()) } else { files::sync_dir_of(path) }
}

fn overwrite(file: &mut File) -> io::Result<()> {
    let mut left = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let zeros = vec![0u8; STRIDE];
    while left > 0 {
        let now = usize::try_from(left.min(STRIDE as u64)).unwrap_or(STRIDE);
        file.write_all(&zeros[..now])?;
        left -= now as u64;
    }
    file.sync_all()?;
    file.set_len(0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read as _;

    #[test]
    fn what_an_interruption_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let stays = ["secret", ".secret.1-2.tmp.bak", ".secrets.1-2.tmp", ".secret.1-x.tmp", ".secret.tmp"];
        for name in stays.into_iter().chain([".secret.4711-0.tmp"]) {
            fs::write(at(name), b"key").unwrap();
        }
        let mut held = File::open(at(".secret.4711-0.tmp")).unwrap();
        shred_left_over(&at("secret")).unwrap();
        let mut rest = Vec::new();
        held.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"", "its blocks were let go as they were");
        assert!(!at(".secret.4711-0.tmp").exists() && stays.iter().all(|name| at(name).exists()));
        shred_left_over(&at("none/secret")).unwrap();
    }

    #[test]
    fn who_still_holds_the_old_file_reads_nothing_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        replace_and_shred(&path, &[7; 100_000]).unwrap();
        let mut held = File::open(&path).unwrap();
        fs::hard_link(&path, folder.path().join("other")).unwrap();
        replace_and_shred(&path, b"new").unwrap();
        let mut rest = Vec::new();
        held.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
