use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Name, Site, Storage, Stored};

/// Real files below a home.
pub(crate) struct Disk {
    root: PathBuf,
}

/// Batches of at least this many files are synced by one `syncfs` instead of one `fsync` each: measured in
/// `docs/design/0002-tiles-on-disk.md`.
const SYNC_TOGETHER: usize = 24;

impl Disk {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    fn create_file(&self, path: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(self.at(path))
    }

    fn write_file(&self, path: &str, bytes: &[u8]) -> io::Result<File> {
        let mut file = self.create_file(path)?;
        file.write_all(bytes)?;
        Ok(file)
    }
}

struct DiskFile(File);

impl Stored for DiskFile {
    #[cfg(target_os = "linux")]
    fn allocate(&self, length: u64) -> io::Result<()> {
        use nix::errno::Errno;
        use nix::fcntl::{FallocateFlags, fallocate};
        let length = i64::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            // A file system without reservation: the file gets its length, a full disk shows at the write.
            Err(Errno::EOPNOTSUPP) => self.0.set_len(length.unsigned_abs()),
            other => other.map_err(io::Error::from),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    #[cfg(unix)]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn sync(&self, _: Site) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Storage for Disk {
    fn list(&self, dir: &str) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.at(dir))? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            names.push(Name { name: entry.file_name().to_string_lossy().into_owned(), is_dir });
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.at(path))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn Stored>> {
        Ok(Box::new(DiskFile(self.create_file(path)?)))
    }

    fn write_files(&self, _: Site, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        if cfg!(target_os = "linux") && files.len() >= SYNC_TOGETHER {
            // Opened before the writes: the descriptor then sees every write-back error that comes after.
            let root = File::open(&self.root)?;
            for (path, bytes) in files {
                self.write_file(path, bytes)?;
            }
            return sync_file_system(&root);
        }
        for (path, bytes) in files {
            self.write_file(path, bytes)?.sync_data()?;
        }
        Ok(())
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        std::fs::create_dir(self.at(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.at(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        std::fs::remove_dir(self.at(path))
    }

    #[cfg(unix)]
    fn sync_dir(&self, _: Site, path: &str) -> io::Result<()> {
        File::open(self.at(path))?.sync_all()
    }

    // Windows has no sync of a directory; NTFS journals names by itself.
    #[cfg(not(unix))]
    fn sync_dir(&self, _: Site, _: &str) -> io::Result<()> {
        Ok(())
    }
}

/// Linux reports write-back errors of the whole file system here since 5.8.
#[cfg(target_os = "linux")]
fn sync_file_system(root: &File) -> io::Result<()> {
    nix::unistd::syncfs(root).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
