//! What the ledger asks of a file system, so that crashes can be simulated.
//!
//! Each storage supplies: files below one root, named by relative `/` paths; writes that are durable only after a
//! sync of the file; creations, renames and removals that are durable only after a sync of the directory they
//! happened in; a rename that replaces its target at once. Nothing else is assumed, in particular no order
//! between un-synced operations and no whole write larger than a 512-byte sector.

mod disk;
#[cfg(test)]
pub(crate) mod sim;

use std::io;

pub(crate) use disk::Disk;

/// The places in the code that ask for durability. The crash tests take each away in turn and must notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub(crate) enum Site {
    /// `log/` and `wal/` themselves, before anything is put into them.
    Home,
    /// The header of a new WAL segment, before a record follows it.
    SegmentHeader,
    /// The name of a new WAL segment, before a record in it is acknowledged.
    SegmentName,
    /// The records of a group, before they are acknowledged.
    Records,
    /// The contents of tiles and bundles, before a checkpoint covers them.
    TileContents,
    /// The names of tiles, bundles and their directories, before a checkpoint covers them.
    TileNames,
    /// The content of the next checkpoint, before it gets its name.
    CheckpointContents,
    /// The name of the next checkpoint, before what it replaces is let go.
    CheckpointName,
    /// The name of a checkpoint found at opening: a killed owner may have renamed without the sync.
    CheckpointFound,
}

#[cfg(test)]
impl Site {
    pub(crate) const ALL: [Self; 9] = [
        Self::Home,
        Self::SegmentHeader,
        Self::SegmentName,
        Self::Records,
        Self::TileContents,
        Self::TileNames,
        Self::CheckpointContents,
        Self::CheckpointName,
        Self::CheckpointFound,
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
    /// Reserves space up to `length`; what was never written reads as zeroes.
    fn allocate(&self, length: u64) -> io::Result<()>;
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, site: Site) -> io::Result<()>;
}

pub(crate) trait Storage: Send + Sync {
    fn list(&self, dir: &str) -> io::Result<Vec<Name>>;
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// Creates a file, or empties the one that is there.
    fn create(&self, path: &str) -> io::Result<Box<dyn Stored>>;
    /// Creates and writes files, and syncs their contents.
    fn write_files(&self, site: Site, files: &[(String, Vec<u8>)]) -> io::Result<()>;
    fn make_dir(&self, path: &str) -> io::Result<()>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, path: &str) -> io::Result<()>;
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    fn sync_dir(&self, site: Site, path: &str) -> io::Result<()>;
}

/// The directory that a path is in; the root is the empty path.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
