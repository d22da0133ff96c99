//! Room for one checkpoint, set aside while there is room: an owner that was killed on a full disk has to publish what it
//! finds before it can serve anybody, and could not.
//!
//! The file holds nothing. It is freed when opening fails for want of space, and made again by the next owner that finds
//! room. Nothing depends on it being durable: whoever loses power on a full disk waits for room as before.

use std::io::{self, Write as _};
use std::path::Path;

use crate::storage::Storage;

/// Below the home, beside `log/`.
const PATH: &str = "reserve";
/// The hashes of some 16,000 entries in both trees (64 bytes each), and a checkpoint. On a full disk no more than the
/// last second's entries are without one.
const BYTES: usize = 1 << 20;

/// Makes it, where there is none. Its absence costs nothing but what it is for.
pub(crate) fn make(home: &Path) {
    let path = home.join(PATH);
    if path.metadata().is_ok_and(|data| data.len() == BYTES as u64) {
        return;
    }
    let written = write(&path);
    if written.is_err() {
        let _ = std::fs::remove_file(&path); // half of it is of no use to anybody
    }
}

fn write(path: &Path) -> io::Result<()> {
    // Not zeroes: a file system that compresses would set nothing aside.
    let mut bytes = vec![0; BYTES];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(&bytes)
}

/// Gives the room back; whether there was any.
pub(crate) fn free(storage: &dyn Storage) -> bool {
    storage.remove(PATH).is_ok()
}
