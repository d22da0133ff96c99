//! A destination for large files that goes past the system's cache where the file system lets it.
//!
//! A signed program is written once and not read again here. Through the cache each of its pages is allocated, copied
//! to and written back, which takes more processor time than hashing it; `O_DIRECT` (open(2)) spares all of that and
//! leaves the cache to others. What is not aligned, and whatever a file system refuses, is written the usual way.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// Smaller files are not worth a second descriptor.
#[cfg(target_os = "linux")]
const LARGE: u64 = 1 << 20;

/// A file that is written from its start to its end, and then mended in places.
pub(super) struct Destination {
    file: File,
    #[cfg(target_os = "linux")]
    direct: Option<File>,
    #[cfg(target_os = "linux")]
    at: u64,
}

impl Destination {
    /// `file`, which stands at `path` and will have about `size` bytes.
    #[cfg(target_os = "linux")]
    pub(super) fn new(file: File, path: &Path, size: u64) -> Self {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = nix::fcntl::OFlag::O_DIRECT | nix::fcntl::OFlag::O_NOFOLLOW;
        let open = || File::options().write(true).custom_flags(flags.bits()).open(path).ok();
        let direct = if size >= LARGE { open() } else { None };
        Self { file, direct, at: 0 }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn new(file: File, _: &Path, _: u64) -> Self {
        Self { file }
    }

    /// Makes what was written survive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn write_direct(&mut self, bytes: &[u8]) -> Option<usize> {
        use std::os::unix::fs::FileExt as _;
        const BLOCK: usize = authenticode::pass::ALIGNMENT;
        let whole = bytes.len() / BLOCK * BLOCK;
        let aligned = self.at.is_multiple_of(BLOCK as u64) && bytes.as_ptr().align_offset(BLOCK) == 0;
        if whole == 0 || !aligned {
            return None;
        }
        match self.direct.as_ref()?.write_at(&bytes[..whole], self.at) {
            Ok(written) if written > 0 => Some(written),
            // Another block size, no such writing here, a full disk: the usual way works, or says why it does not.
            _ => {
                self.direct = None;
                None
            }
        }
    }
}

#[cfg(target_os = "linux")]
impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let written = match self.write_direct(bytes) {
            Some(written) => written,
            None => self.file.write_at(bytes, self.at)?,
        };
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
impl Seek for Destination {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            other => self.file.seek(other)?,
        };
        Ok(self.at)
    }
}

#[cfg(not(target_os = "linux"))]
impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(not(target_os = "linux"))]
impl Seek for Destination {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Through whatever the file system does: aligned pieces, an odd end, then mending at the front.
    #[test]
    fn what_is_written_is_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let size = 3 * 1024 * 1024 + 4711;
        let store: Vec<u8> = (0..size + 4096).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let from = store.as_ptr().align_offset(4096);
        let content = &store[from..from + size];
        let mut copy = Destination::new(File::create(&path).unwrap(), &path, LARGE);
        for piece in content.chunks(1 << 20) {
            copy.write_all(piece).unwrap();
        }
        copy.write_all(b"end").unwrap();
        copy.seek(SeekFrom::Start(100)).unwrap();
        copy.write_all(b"mended").unwrap();
        copy.sync().unwrap();
        let mut expected = [content, b"end"].concat();
        expected[100..106].copy_from_slice(b"mended");
        assert!(std::fs::read(&path).unwrap() == expected);
    }
}
