//! What is probed: a running process, or an executable with all that is and will be started from it.

use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Larger executables are refused.
const LARGEST: u64 = 2 << 30;

/// A target, with its executable read.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    process: Option<NonZeroU32>,
    bytes: Vec<u8>,
}

impl Target {
    /// One running process.
    ///
    /// # Errors
    /// [`Error::Target`] when there is no such process, or its executable may not be read.
    pub fn process(pid: NonZeroU32) -> Result<Self> {
        // The link leads to the file that runs, in its own mount namespace, also when the file was replaced.
        Self::open(PathBuf::from(format!("/proc/{pid}/exe")), Some(pid))
    }

    /// An executable: every process that runs it now or later.
    ///
    /// # Errors
    /// [`Error::Target`] when it cannot be read.
    pub fn executable(path: &Path) -> Result<Self> {
        let path =
            std::fs::canonicalize(path).map_err(|source| Error::Target { path: path.to_owned(), source })?;
        Self::open(path, None)
    }

    fn open(path: PathBuf, process: Option<NonZeroU32>) -> Result<Self> {
        let bytes = read(&path).map_err(|source| Error::Target { path: path.clone(), source })?;
        Ok(Self { path, process, bytes })
    }

    /// The path by which the kernel finds the executable.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process, if only one is probed.
    #[must_use]
    pub fn pid(&self) -> Option<NonZeroU32> {
        self.process
    }

    /// The executable.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The executable, understood.
    ///
    /// # Errors
    /// [`Error::NotGo`] when no Go toolchain built it.
    pub fn binary(&self) -> Result<gobinary::Binary<'_>> {
        gobinary::Binary::parse(&self.bytes).map_err(|error| self.not_go(error))
    }

    /// An error of `gobinary`, about this target.
    pub(crate) fn not_go(&self, source: gobinary::Error) -> Error {
        Error::NotGo { path: self.path.clone(), source }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a file of at most 2 GiB"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0));
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
