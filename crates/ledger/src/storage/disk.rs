use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Name, Site, Storage, Stored};

/// Real files below a home.
pub(crate) struct Disk {
    root: PathBuf,
}

/// A buffer for a read is not made larger than this before its bytes are there.
const READ_AT_ONCE: usize = 1 << 20;

impl Disk {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

struct DiskFile {
    file: File,
    #[cfg(target_os = "linux")]
    path: PathBuf,
    /// Opened when the first blocks are written: most files never are.
    #[cfg(target_os = "linux")]
    direct: std::sync::OnceLock<super::direct::Direct>,
}

impl DiskFile {
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "nothing is opened again there"))]
    fn new(file: File, path: PathBuf) -> Self {
        Self {
            file,
            #[cfg(target_os = "linux")]
            path,
            #[cfg(target_os = "linux")]
            direct: std::sync::OnceLock::new(),
        }
    }
}

impl Stored for DiskFile {
    // No space is reserved: on ext4, converting reserved blocks at each sync costs several times the write
    // (docs/design/0004). A full disk shows at the write, which leaves nothing behind.
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    #[cfg(unix)]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)
    }

    #[cfg(target_os = "linux")]
    fn write_blocks(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let direct = self.direct.get_or_init(|| super::direct::Direct::open(&self.path));
        direct.write(offset, bytes).unwrap_or_else(|| self.write_at(offset, bytes))
    }

    #[cfg(windows)]
    fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(&self.file, bytes, offset)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn sync(&self, _: Site) -> io::Result<()> {
        self.file.sync_data()
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

    fn read_into(&self, path: &str, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.clear();
        let mut file = File::open(self.at(path))?;
        // So that the memory is taken once: reading to the end would double it as it goes.
        bytes.try_reserve(usize::try_from(file.metadata()?.len()).unwrap_or(0))?;
        file.read_to_end(bytes).map(|_| ())
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.at(path))?.len())
    }

    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.at(path))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(length.min(READ_AT_ONCE));
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn Stored>> {
        let path = self.at(path);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        Ok(Box::new(DiskFile::new(file, path)))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Stored>> {
        let path = self.at(path);
        Ok(Box::new(DiskFile::new(OpenOptions::new().write(true).open(&path)?, path)))
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

    #[cfg(target_os = "linux")]
    fn protect(&self, path: &str, on: bool) -> io::Result<bool> {
        super::immutable::set(&File::open(self.at(path))?, on)
    }

    #[cfg(not(target_os = "linux"))]
    fn protect(&self, _: &str, _: bool) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The crash tests prove that each sync the ledger asks for is needed; these prove that asking reaches the kernel.
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// A home in which `null` is a device: it takes any write, and answers a sync with `EINVAL`.
    fn home_with_device() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", home.path().join("null")).unwrap();
        home
    }

    fn is_refused(answer: io::Result<()>) -> bool {
        answer.is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput)
    }

    #[test]
    fn a_sync_of_a_file_reaches_it() {
        let home = home_with_device();
        let disk = Disk::new(home.path());
        let file = disk.create("null").unwrap();
        file.write_at(0, b"x").unwrap();
        assert!(is_refused(file.sync(Site::Records)));
        disk.create("plain").unwrap().sync(Site::Records).unwrap();
    }

    /// `/proc` has directories that answer a sync with `EINVAL`.
    #[test]
    fn a_sync_of_a_directory_reaches_it() {
        assert!(is_refused(Disk::new(Path::new("/proc")).sync_dir(Site::HashNames, "self")));
        let home = tempfile::tempdir().unwrap();
        Disk::new(home.path()).sync_dir(Site::HashNames, "").unwrap();
    }
}
