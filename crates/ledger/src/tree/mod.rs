//! The trees over the entries: what must be known to append, and the files of their hashes.
//!
//! For each tree and each level of tiles (every eighth level of the tree) there is one row of hashes that only grows,
//! cut into files of 4,096 tiles. A tile, full or partial, is a slice of it.

mod edge;
mod files;

pub(crate) use edge::{Tree, Trees};
pub(crate) use files::{HASHES, Place, RowWriter, file_path, read_row};
