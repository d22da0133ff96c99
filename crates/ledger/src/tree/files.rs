//! The files of the rows: `log/tiles/<tree>/<level>/<8 hex digits>`, 32 bytes a hash, 2^20 hashes a file.
//!
//! Order: hashes are written behind those that a checkpoint covers, never over them; the contents are synced, then the
//! names. What stands behind the checkpoint's hashes belongs to nobody and is written again after a crash.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use tlog::tile::MAX_LEVEL;
use tlog::{Hash, Sha256, Sm3, TreeHash};

use super::Tree;
use crate::error::{IoContext as _, LedgerError};
use crate::integrate::make_dir;
use crate::read::damaged;
use crate::storage::{Site, Storage, Stored, parent};

/// Hashes in a file: 4,096 tiles, 32 MiB.
pub(crate) const HASHES: u64 = 1 << 20;
const HASH: u64 = 32;

/// Where the hashes of a tree stand, below the home.
pub(crate) trait Place: TreeHash {
    const DIR: &'static str;
}

impl Place for Sha256 {
    const DIR: &'static str = "log/tiles/sha256";
}

impl Place for Sm3 {
    const DIR: &'static str = "log/tiles/sm3";
}

/// The file that holds hash `number · 2^20` of a row and those behind it.
pub(crate) fn file_path<H: Place>(level: u8, number: u64) -> String {
    format!("{}/{level}/{number:08x}", H::DIR)
}

/// Reads hashes of a row.
pub(crate) fn read_row<H: Place>(
    storage: &dyn Storage,
    level: u8,
    from: u64,
    to: u64,
) -> Result<Vec<Hash>, LedgerError> {
    let mut hashes = Vec::new();
    let mut at = from;
    while at < to {
        let number = at / HASHES;
        let here = to.min((number + 1) * HASHES) - at;
        let path = file_path::<H>(level, number);
        let length = usize::try_from(here * HASH).unwrap_or(usize::MAX);
        let bytes = match storage.read_at(&path, (at - number * HASHES) * HASH, length) {
            // That a file is not there which the checkpoint implies is damage, and no weakness of this machine.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(damaged(&path, "it is missing"))
            }
            bytes => bytes.attempt("read", &path),
        }?;
        if bytes.len() != length {
            return Err(damaged(
                &path,
                format!("it ends before hash {}", (at - number * HASHES) + bytes.len() as u64 / HASH),
            ));
        }
        hashes.extend_from_slice(bytes.as_chunks::<32>().0);
        at += here;
    }
    Ok(hashes)
}

/// Writes the rows of one tree.
pub(crate) struct RowWriter<H> {
    storage: Arc<dyn Storage>,
    /// For each level, how many hashes are durable.
    durable: [u64; MAX_LEVEL as usize + 1],
    /// For each level, how many are written.
    written: [u64; MAX_LEVEL as usize + 1],
    open: BTreeMap<(u8, u64), Box<dyn Stored>>,
    /// Directories whose own name is known to be durable, and those in which names changed since the last sync.
    known: HashSet<String>,
    touched: BTreeSet<String>,
    hash: std::marker::PhantomData<H>,
}

impl<H: Place> RowWriter<H> {
    /// A writer behind a tree whose hashes are durable.
    pub(crate) fn new(storage: Arc<dyn Storage>, tree: &Tree<H>) -> Self {
        let mut durable = [0; MAX_LEVEL as usize + 1];
        (0..=MAX_LEVEL).zip(&mut durable).for_each(|(level, count)| *count = tree.count(level));
        Self {
            storage,
            durable,
            written: durable,
            open: BTreeMap::new(),
            known: HashSet::from(["log".to_owned()]),
            touched: BTreeSet::new(),
            hash: std::marker::PhantomData,
        }
    }

    /// Writes what is not yet written. After a failure everything that is not durable will be written again.
    pub(crate) fn write(&mut self, tree: &Tree<H>) -> Result<(), LedgerError> {
        let written = self.try_write(tree);
        if written.is_err() {
            self.written = self.durable;
            self.open.clear();
        }
        written
    }

    fn try_write(&mut self, tree: &Tree<H>) -> Result<(), LedgerError> {
        for level in 0..=MAX_LEVEL {
            let mut from = self.written[usize::from(level)];
            let mut hashes = tree.since(level, from);
            while !hashes.is_empty() {
                let number = from / HASHES;
                let room = usize::try_from((number + 1) * HASHES - from).unwrap_or(usize::MAX);
                let (here, rest) = hashes.split_at(hashes.len().min(room));
                self.write_here(level, from, here)?;
                (from, hashes) = (from + here.len() as u64, rest);
            }
            self.written[usize::from(level)] = from;
        }
        Ok(())
    }

    fn write_here(&mut self, level: u8, from: u64, hashes: &[Hash]) -> Result<(), LedgerError> {
        let number = from / HASHES;
        let path = file_path::<H>(level, number);
        if !self.open.contains_key(&(level, number)) {
            let file = self.open_file(&path)?;
            self.open.insert((level, number), file);
        }
        let file = &self.open[&(level, number)];
        file.write_at((from - number * HASHES) * HASH, hashes.as_flattened()).attempt("write hashes", &path)
    }

    fn open_file(&mut self, path: &str) -> Result<Box<dyn Stored>, LedgerError> {
        let dir = parent(path);
        self.make_dirs(dir)?;
        match self.storage.open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let file = self.storage.create(path).attempt("make", path)?;
                self.touched.insert(dir.to_owned());
                Ok(file)
            }
            file => {
                // Also when it was there: an owner that was killed may have made it without the sync.
                self.touched.insert(dir.to_owned());
                file.attempt("open", path)
            }
        }
    }

    fn make_dirs(&mut self, dir: &str) -> Result<(), LedgerError> {
        if dir.is_empty() || self.known.contains(dir) {
            return Ok(());
        }
        self.make_dirs(parent(dir))?;
        make_dir(&*self.storage, dir)?;
        self.touched.insert(parent(dir).to_owned());
        self.known.insert(dir.to_owned());
        Ok(())
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&mut self, tree: &mut Tree<H>) -> Result<(), LedgerError> {
        for ((level, number), file) in &self.open {
            if self.written[usize::from(*level)] > self.durable[usize::from(*level)] {
                let path = file_path::<H>(*level, *number);
                file.sync(Site::Hashes).attempt("sync", &path).map_err(LedgerError::poisoned_by)?;
            }
        }
        while let Some(dir) = self.touched.first() {
            let synced = self.storage.sync_dir(Site::HashNames, dir).attempt("sync the directory", dir);
            synced.map_err(LedgerError::poisoned_by)?;
            self.touched.pop_first();
        }
        self.durable = self.written;
        let durable = self.durable;
        self.open.retain(|(level, number), _| *number == durable[usize::from(*level)] / HASHES);
        (0..=MAX_LEVEL).for_each(|level| tree.release(level, durable[usize::from(level)]));
        Ok(())
    }
}
