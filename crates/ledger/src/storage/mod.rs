//! What the ledger asks of a file system, so that crashes can be simulated.
//!
//! Each storage supplies: files below one root, named by relative `/` paths; writes that are durable only after a
//! sync of the file; creations, renames and removals that are durable only after a sync of the directory they
//! happened in; a rename that replaces its target at once. Nothing else is assumed, in particular no order
//! between un-synced operations and no whole write larger than a 512-byte sector.

#[cfg(target_os = "linux")]
mod direct;
mod disk;
#[cfg(target_os = "linux")]
mod immutable;
#[cfg(test)]
pub(crate) mod sim;

use std::io;

pub(crate) use disk::Disk;

/// The places in the code that ask for durability. The crash tests take each away in turn and must notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub(crate) enum Site {
    /// The folders of a log, before anything is put into them or read from them: a killed owner may have renamed a
    /// checkpoint without the sync.
    Home,
    /// The header of a new segment, before a record follows it.
    SegmentHeader,
    /// The name of a new segment, before a record in it is acknowledged.
    SegmentName,
    /// The records of a group, before they are acknowledged.
    Records,
    /// Records found at opening that no checkpoint covers: a killed owner may have written them without the sync.
    RecordsFound,
    /// The index at the end of a segment, before the segment is cut to its length.
    SegmentEnd,
    /// The hashes of both trees, before a checkpoint covers them.
    Hashes,
    /// The names of the files of hashes and of their folders, before a checkpoint covers them.
    HashNames,
    /// The content of the next checkpoint, before it gets its name.
    CheckpointContents,
    /// The name of the next checkpoint, before what it replaces is let go.
    CheckpointName,
    /// The content of a compressed segment, before it gets its name.
    PackedContents,
    /// The name of a compressed segment, before the plain one is removed.
    PackedName,
}

#[cfg(test)]
impl Site {
    pub(crate) const ALL: [Self; 12] = [
        Self::Home,
        Self::SegmentHeader,
        Self::SegmentName,
        Self::Records,
        Self::RecordsFound,
        Self::SegmentEnd,
        Self::Hashes,
        Self::HashNames,
        Self::CheckpointContents,
        Self::CheckpointName,
        Self::PackedContents,
        Self::PackedName,
    ];
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
}

/// An open file that is written.
pub(crate) trait Stored: Send {
    /// Sets the length: what was never written reads as zeroes, what is beyond is gone. Reserves no space.
    fn set_length(&self, length: u64) -> io::Result<()>;
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// As [`Stored::write_at`], of whole blocks ([`crate::segment::blocks`]): the storage may keep no copy of them.
    fn write_blocks(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(offset, bytes)
    }
    fn sync(&self, site: Site) -> io::Result<()>;
}

pub(crate) trait Storage: Send + Sync {
    fn list(&self, dir: &str) -> io::Result<Vec<Name>>;
    fn length(&self, path: &str) -> io::Result<u64>;
    /// Bytes from `offset` on: `length` of them, or fewer where the file ends.
    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// As [`Storage::read`], in the place of what `bytes` held.
    fn read_into(&self, path: &str, bytes: &mut Vec<u8>) -> io::Result<()> {
        *bytes = self.read(path)?;
        Ok(())
    }
    /// Creates a file, or empties the one that is there.
    fn create(&self, path: &str) -> io::Result<Box<dyn Stored>>;
    /// Opens a file that is there.
    fn open(&self, path: &str) -> io::Result<Box<dyn Stored>>;
    fn make_dir(&self, path: &str) -> io::Result<()>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, path: &str) -> io::Result<()>;
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    fn sync_dir(&self, site: Site, path: &str) -> io::Result<()>;
    /// Makes a file unchangeable for everyone, root included, until it is taken back; whether it was not so before.
    fn protect(&self, path: &str, on: bool) -> io::Result<bool>;
}

/// The directory that a path is in; the root is the empty path.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
