//! What the caller decides about reading.

use std::sync::Arc;

use gmdevice::Device;
use seal::{Exclude, Format};

use crate::image::Images;

/// How much an artefact may hold. What exceeds a limit is refused with the limit's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes that an archive may unpack to, all entries together.
    pub bytes: u64,
    /// Entries of a directory or an archive.
    pub entries: u64,
    /// How many times larger than the archive its content may be. Applies from 16 MiB of content on: small
    /// archives of zeros are no danger.
    pub ratio: u64,
}

impl Default for Limits {
    /// 16 GiB, a million entries, 200 times: a Go release unpacks to three times its size, text to ten times.
    fn default() -> Self {
        Self { bytes: 16 << 30, entries: 1_000_000, ratio: 200 }
    }
}

/// What the bytes of a file are taken for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Form {
    /// What they look like.
    #[default]
    Detect,
    /// A file, whatever it holds.
    File,
    /// An archive of this format, whatever it looks like.
    Archive(Format),
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How much is too much.
    pub limits: Limits,
    /// What to take a file for.
    pub form: Form,
    /// What to leave out of a directory.
    pub exclude: Exclude,
    /// Whether damage becomes a fault of its entry instead of an error.
    pub tolerant: bool,
    /// The block size and the size of the sealed container, for a comparison of blocks.
    pub sealed_container: Option<(u64, u64)>,
    /// Whether only the entries of an archive count: its own bytes are then not hashed, and what it holds is observed
    /// like a directory. Hashing one stream of a gigabyte takes several times as long as all its entries.
    pub entries_only: bool,
    /// Whether archives inside are looked into, one level.
    pub nested: bool,
    /// What is wanted of Windows programs among the entries.
    pub images: Images,
    /// Who computes SM3 of contents, when it is not this process.
    pub sm3: Option<Arc<Device>>,
    /// Threads that hash; 0 is one for each processor, at most 4.
    pub threads: usize,
}

impl Options {
    /// The options under which the artefact of `seal` is read for a comparison with it.
    #[must_use]
    pub fn for_comparison(seal: &seal::Seal, limits: Limits) -> Self {
        let (form, sealed_container) = match seal.subject() {
            seal::Subject::Archive { container, .. } => {
                (Form::Archive(container.format), Some((container.block_size, container.size)))
            }
            // A file in the place of a directory is a difference, whatever it holds.
            seal::Subject::File | seal::Subject::Directory => (Form::File, None),
        };
        let exclude = seal.exclude().clone();
        let nested = seal.nested();
        Self { limits, form, exclude, tolerant: true, sealed_container, nested, ..Self::default() }
    }

    /// The same for a comparison of entries alone: an archive stands for what it would unpack to.
    #[must_use]
    pub fn for_entries(seal: &seal::Seal, limits: Limits) -> Self {
        let whole = Self::for_comparison(seal, limits);
        match seal.subject() {
            seal::Subject::File => whole,
            _ => Self { form: Form::Detect, sealed_container: None, entries_only: true, ..whole },
        }
    }

    pub(crate) fn workers(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get().min(4)),
            n => n,
        }
    }
}
