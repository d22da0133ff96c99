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

    #[test]
    fn a_small_batch_is_synced_file_by_file() {
        let home = home_with_device();
        let disk = Disk::new(home.path());
        let files = |last: &str| ["a", "b", last].map(|name| (name.to_owned(), vec![1])).to_vec();
        assert!(is_refused(disk.write_files(Site::TileContents, &files("null"))));
        disk.write_files(Site::TileContents, &files("c")).unwrap();
    }

    /// `/proc` has directories that answer a sync with `EINVAL`.
    #[test]
    fn a_sync_of_a_directory_reaches_it() {
        assert!(is_refused(Disk::new(Path::new("/proc")).sync_dir(Site::TileNames, "self")));
        let home = tempfile::tempdir().unwrap();
        Disk::new(home.path()).sync_dir(Site::TileNames, "").unwrap();
    }

    /// Of `syncfs` only a tracer sees that it was called.
    #[test]
    fn a_large_batch_is_synced_with_its_file_system() {
        const HOME: &str = "CUSTODY_SYNCFS_TEST_HOME";
        if let Some(home) = std::env::var_os(HOME) {
            let files: Vec<_> = (0..SYNC_TOGETHER).map(|n| (n.to_string(), vec![1])).collect();
            Disk::new(Path::new(&home)).write_files(Site::TileContents, &files).unwrap();
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let trace = home.path().join("trace");
        let name = "storage::disk::tests::a_large_batch_is_synced_with_its_file_system";
        let traced = std::process::Command::new("strace")
            .args(["-f", "-e", "trace=syncfs", "-o"])
            .arg(&trace)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(HOME, home.path())
            .output();
        match traced {
            Ok(output) if output.status.success() => {
                let calls = std::fs::read_to_string(trace).unwrap();
                assert!(
                    calls.lines().any(|call| call.contains("syncfs(") && call.ends_with("= 0")),
                    "{calls}"
                );
            }
            Ok(output) => eprintln!("SKIPPED: strace: {}", String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => eprintln!("SKIPPED: strace is not available: {error}"),
        }
    }
}
