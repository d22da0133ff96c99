//! Writing past the page cache (`O_DIRECT`, open(2)).
//!
//! What is written so is seen by every reader, and a sync of the file makes it durable as everything else. A file system
//! that does not know it, or asks for larger blocks, is written to in the usual way.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Fewer bytes than this are written through the cache: there the copy costs less than waiting for the disk twice.
const WORTH: usize = 16 << 10;

/// A file, opened once more.
pub(super) struct Direct {
    file: Option<File>,
    refused: AtomicBool,
}

impl Direct {
    /// Opens a file that is there.
    pub(super) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).ok();
        Self { file, refused: AtomicBool::new(false) }
    }

    /// Writes whole blocks; `None` when that cannot be done here.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Option<io::Result<()>> {
        let file =
            self.file.as_ref().filter(|_| bytes.len() >= WORTH && !self.refused.load(Ordering::Relaxed))?;
        match file.write_all_at(bytes, offset) {
            // EINVAL: its blocks are larger, or it does not do what opening promised.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.refused.store(true, Ordering::Relaxed);
                None
            }
            written => Some(written),
        }
    }
}
