//! The first layout: one file for each tile and bundle below `log/tile` and `log/sm3`, and a write-ahead log in `wal/`
//! whose entries were copied into bundles. Read once, to be rewritten.
//!
//! The entries go into segments of the current layout, the hashes are computed again and must lead to the signed
//! checkpoint. Nothing of the old files is removed before the new ones are durable and `log/format` says so.

use std::io;
use std::sync::Arc;

use tlog::tile::Level;
use tlog::{Sha256, Sm3, TILE_WIDTH, Tile};

use crate::checkpoint::SignedCheckpoint;
use crate::error::{IoContext as _, LedgerError};
use crate::leaves::Leaves;
use crate::options::Options;
use crate::read::damaged;
use crate::recover::find_checkpoint;
use crate::segment;
use crate::segment::map::Map;
use crate::segment::record::{self, FIRST_RECORD, Salt};
use crate::segment::writer::{Failure, Writer};
use crate::storage::Storage;
use crate::tree::{RowWriter, Trees};

const WAL: &str = "wal";
const OLD: [&str; 3] = ["log/tile", "log/sm3", WAL];
/// Leaves that are rewritten at a time.
const STEP: usize = 1 << 12;

fn is_there(storage: &dyn Storage, dir: &str) -> bool {
    storage.list(dir).is_ok()
}

/// Rewrites what there is in the first layout. `false` when there is nothing.
pub(super) fn rewrite(storage: &Arc<dyn Storage>, options: &Options) -> Result<bool, LedgerError> {
    if !OLD.iter().any(|dir| is_there(&**storage, dir)) {
        return Ok(false);
    }
    remove_attempt(&**storage)?;
    let segments = wal_segments(&**storage)?;
    let own = options.signer.verifier();
    let Some(found) = find_checkpoint(&**storage, &own, &options.retired, &options.origin)? else {
        let used = is_there(&**storage, OLD[0]) || is_there(&**storage, OLD[1]) || !segments.is_empty();
        return if used { Err(damaged(crate::checkpoint::PATH, "it is missing")) } else { Ok(false) };
    };
    let mut copy = Copy::new(storage, options, &found);
    for index in 0..found.size().div_ceil(TILE_WIDTH) {
        for entry in old_bundle(&**storage, index, found.size())? {
            copy.push(&entry)?;
        }
    }
    copy.flush()?;
    copy.check(&found)?;
    for number in segments {
        copy.wal_segment(number)?;
    }
    copy.finish()?;
    Ok(true)
}

/// Removes the old files. Nothing depends on it.
pub(super) fn remove(storage: &dyn Storage) -> Result<(), LedgerError> {
    for dir in OLD {
        if is_there(storage, dir) {
            remove_tree(storage, dir)?;
        }
    }
    Ok(())
}

fn remove_tree(storage: &dyn Storage, dir: &str) -> Result<(), LedgerError> {
    for name in storage.list(dir).attempt("list", dir)? {
        let path = format!("{dir}/{}", name.name);
        if name.is_dir {
            remove_tree(storage, &path)?;
        } else {
            storage.remove(&path).attempt("remove", &path)?;
        }
    }
    storage.remove_dir(dir).attempt("remove", dir)
}

/// What an earlier attempt left.
fn remove_attempt(storage: &dyn Storage) -> Result<(), LedgerError> {
    for name in storage.list(segment::DIR).attempt("list", segment::DIR)? {
        let path = format!("{}/{}", segment::DIR, name.name);
        storage.remove(&path).attempt("remove", &path)?;
    }
    if is_there(storage, "log/tiles") { remove_tree(storage, "log/tiles") } else { Ok(()) }
}

/// The entries of a bundle in a tree of `size` leaves; the full file stands in for a partial one.
fn old_bundle(storage: &dyn Storage, index: u64, size: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
    let width = Tile::width_in(Level::Entries, index, size);
    let partial = Tile { level: Level::Entries, index, width };
    let mut path = format!("log/{partial}");
    let bytes = match storage.read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path = format!("log/{}", Tile::full(Level::Entries, index));
            storage.read(&path).attempt("read", &path)?
        }
        bytes => bytes.attempt("read", &path)?,
    };
    let entries: Result<Vec<_>, _> =
        tlog::bundle::entries(&bytes).take(width.into()).map(|entry| entry.map(<[u8]>::to_vec)).collect();
    match entries {
        Ok(entries) if entries.len() == usize::from(width) => Ok(entries),
        _ => Err(damaged(&path, format!("it has not {width} entries"))),
    }
}

/// Numbers of the old segments, in order: 16 hexadecimal digits.
fn wal_segments(storage: &dyn Storage) -> Result<Vec<u64>, LedgerError> {
    let names = match storage.list(WAL) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.attempt("list", WAL)?,
    };
    let number = |name: &str| u64::from_str_radix(name.strip_suffix(".wal")?, 16).ok();
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(&name.name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The salt in the header block of an old segment: `CUSTWAL1`, the number, the salt, a checksum, zeroes.
fn old_salt(bytes: &[u8], number: u64) -> Option<Salt> {
    let header = bytes.get(..FIRST_RECORD)?;
    let checksum = u32::from_le_bytes(header[32..36].try_into().ok()?);
    let whole = header.starts_with(b"CUSTWAL1")
        && header[8..16] == number.to_le_bytes()
        && checksum == crc32c::crc32c(&header[..32])
        && header[36..].iter().all(|&b| b == 0);
    whole.then(|| header[16..32].try_into().ok()).flatten()
}

/// The log as it is written anew.
struct Copy<'a> {
    storage: &'a Arc<dyn Storage>,
    trees: Trees,
    rows: (RowWriter<Sha256>, Option<RowWriter<Sm3>>),
    writer: Writer,
    step: Leaves,
    /// Entries that were taken.
    end: u64,
}

impl<'a> Copy<'a> {
    fn new(storage: &'a Arc<dyn Storage>, options: &Options, found: &SignedCheckpoint) -> Self {
        let which = if found.sm3_root().is_some() { crate::Trees::Both } else { crate::Trees::Sha256 };
        let trees = Trees::new(which);
        let second = trees.sm3.as_ref().map(|tree| RowWriter::new(Arc::clone(storage), tree));
        let rows = (RowWriter::new(Arc::clone(storage), &trees.sha256), second);
        let map = Arc::new(Map::default());
        let writer = Writer::new(Arc::clone(storage), map, options.segment_bytes, None);
        Self { storage, trees, rows, writer, step: Leaves::new(), end: 0 }
    }

    fn push(&mut self, entry: &[u8]) -> Result<(), LedgerError> {
        self.step.push(entry);
        self.end += 1;
        if self.step.len() >= STEP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LedgerError> {
        if self.step.is_empty() {
            return Ok(());
        }
        let step = [std::mem::take(&mut self.step)];
        self.writer.append(self.trees.size(), &step).map_err(|failure| match failure {
            Failure::Clean(error) | Failure::Unknown(error) => error,
        })?;
        self.trees.append(&step[0]);
        if self.trees.size().is_multiple_of(1 << 17) { self.write_hashes() } else { Ok(()) }
    }

    fn write_hashes(&mut self) -> Result<(), LedgerError> {
        self.rows.0.write(&self.trees.sha256)?;
        self.rows.0.sync(&mut self.trees.sha256)?;
        if let (Some(rows), Some(tree)) = (&mut self.rows.1, &mut self.trees.sm3) {
            rows.write(tree)?;
            rows.sync(tree)?;
        }
        Ok(())
    }

    /// That the entries lead to what was signed.
    fn check(&self, found: &SignedCheckpoint) -> Result<(), LedgerError> {
        let same = self.trees.sha256.root() == found.checkpoint.root
            && self.trees.sm3_root().as_ref() == found.sm3_root();
        if same {
            Ok(())
        } else {
            Err(damaged("log/tile/entries", "the entries do not lead to the checkpoint's roots"))
        }
    }

    /// Takes the entries of an old segment that are behind those taken already.
    fn wal_segment(&mut self, number: u64) -> Result<(), LedgerError> {
        let path = format!("{WAL}/{number:016x}.wal");
        let bytes = self.storage.read(&path).attempt("read", &path)?;
        let after = |offset: usize| bytes.get(offset..).unwrap_or_default();
        let wrong = |offset: usize| LedgerError::WalDamaged { path: path.clone(), offset: offset as u64 };
        let mut offset = FIRST_RECORD;
        let Some(salt) = old_salt(&bytes, number) else {
            return if after(offset).iter().all(|&b| b == 0) { Ok(()) } else { Err(wrong(0)) };
        };
        while let Some(record) = record::read(after(offset), &salt) {
            if record.first > self.end {
                return Err(LedgerError::WalGap { from: self.end, to: record.first });
            }
            let known = usize::try_from(self.end - record.first).unwrap_or(usize::MAX);
            for entry in record.leaves().skip(known) {
                self.push(entry)?;
            }
            offset += record.length();
        }
        if record::any_in(after(offset), &salt) { Err(wrong(offset)) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), LedgerError> {
        self.flush()?;
        self.write_hashes()?;
        self.writer.trim();
        Ok(())
    }
}
