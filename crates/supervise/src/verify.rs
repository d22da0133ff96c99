//! What is asked of the caller before a program may run: its verdict on the image that was mapped.

use std::path::PathBuf;
use std::time::SystemTime;

use gm::DualDigest;

/// A file that the kernel mapped for execution, measured while the process stood in its exec-stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Measured {
    /// Where the kernel says the file is. A name only: the digests are those of the mapped inode.
    pub path: PathBuf,
    /// Length in bytes.
    pub size: u64,
    /// The permission bits, `0o7777` at most.
    pub mode: u32,
    /// When the content was last modified, as the file system tells it.
    pub modified: Option<SystemTime>,
    /// SHA-256 and SM3 of the whole content.
    pub digest: DualDigest,
}

/// What is about to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// The executable itself.
    pub executable: Measured,
    /// The dynamic loader that the kernel mapped beside it (ELF `PT_INTERP`); `None` for a static program.
    pub loader: Option<Measured>,
}

/// The caller's decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may run.
    Accepted {
        /// On what grounds, for the record.
        grounds: String,
    },
    /// It is killed before its first instruction.
    Refused {
        /// Why, for the record.
        reason: String,
    },
}

/// Judges an image. Asked at every start, restarts included.
pub trait Verify {
    /// The verdict on `image`. The process waits, stopped, and cannot run before this returns.
    fn verdict(&self, image: &Image) -> Verdict;
}

impl<F: Fn(&Image) -> Verdict> Verify for F {
    fn verdict(&self, image: &Image) -> Verdict {
        self(image)
    }
}
