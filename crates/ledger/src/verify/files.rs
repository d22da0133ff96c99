//! Every file under `log/` must be one that the checkpoint implies.

use std::collections::HashMap;
use std::io;

use tlog::tile::{Level, MAX_LEVEL};
use tlog::{Sha256, Sm3, Tile};

use super::{Damage, Report};
use crate::checkpoint::{self, SignedCheckpoint};
use crate::error::{IoContext as _, LedgerError};
use crate::format;
use crate::segment;
use crate::storage::{Name, Storage};
use crate::tree::{HASHES, Place};

/// Lengths of the files of hashes. Taken before the segments are read: an owner who writes meanwhile has made durable
/// every entry whose hash is in them.
pub(super) fn lengths(storage: &dyn Storage) -> Result<HashMap<String, u64>, LedgerError> {
    let mut lengths = HashMap::new();
    let mut dirs = vec!["log/tiles".to_owned()];
    while let Some(dir) = dirs.pop() {
        let names = match storage.list(&dir) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                continue;
            }
            names => names.attempt("list", &dir)?,
        };
        for name in names {
            let path = format!("{dir}/{}", name.name);
            if name.is_dir {
                dirs.push(path);
            } else {
                lengths.insert(path.clone(), storage.length(&path).attempt("read", &path)?);
            }
        }
    }
    Ok(lengths)
}

struct Walk<'a> {
    lengths: &'a HashMap<String, u64>,
    storage: &'a dyn Storage,
    checkpoint: &'a SignedCheckpoint,
    durable: u64,
    report: &'a mut Report,
}

/// Lists all files. Hashes beyond the checkpoint are allowed as far as there are durable entries for them.
pub(super) fn check(
    storage: &dyn Storage,
    checkpoint: &SignedCheckpoint,
    (durable, lengths): (u64, &HashMap<String, u64>),
    report: &mut Report,
) -> Result<(), LedgerError> {
    let mut walk = Walk { lengths, storage, checkpoint, durable, report };
    match storage.read(format::PATH) {
        Ok(found) if found == format::CURRENT.as_bytes() => {}
        Ok(found) => {
            let why = "it does not name this layout".to_owned();
            walk.report.found(Damage::Hash {
                path: format::PATH.to_owned(),
                bytes: 0..found.len() as u64,
                why,
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            walk.report.found(Damage::Missing { path: format::PATH.to_owned() });
        }
        Err(error) => return Err(LedgerError::io("read", format::PATH, error)),
    }
    for name in walk.list("log")? {
        let path = format!("log/{}", name.name);
        match (path.as_str(), name.is_dir) {
            (checkpoint::PATH | format::PATH, false) => {}
            (checkpoint::NEXT | format::NEXT, false) => walk.report.unpublished_files += 1,
            (segment::DIR, true) => walk.segments()?,
            ("log/tiles", true) => walk.trees()?,
            _ => walk.unexpected(path),
        }
    }
    Ok(())
}

impl Walk<'_> {
    fn list(&self, dir: &str) -> Result<Vec<Name>, LedgerError> {
        self.storage.list(dir).attempt("list", dir)
    }

    fn unexpected(&mut self, path: String) {
        self.report.found(Damage::Unexpected { path });
    }

    fn segments(&mut self) -> Result<(), LedgerError> {
        for name in self.list(segment::DIR)? {
            let path = format!("{}/{}", segment::DIR, name.name);
            let being_packed =
                name.name.strip_suffix(".new").is_some_and(|name| segment::parse_name(name).is_some());
            if name.is_dir || (segment::parse_name(&name.name).is_none() && !being_packed) {
                self.unexpected(path);
            } else if being_packed {
                self.report.unpublished_files += 1;
            }
        }
        Ok(())
    }

    fn trees(&mut self) -> Result<(), LedgerError> {
        let has_sm3 = self.checkpoint.sm3_root().is_some();
        for name in self.list("log/tiles")? {
            let path = format!("log/tiles/{}", name.name);
            if name.is_dir && (path == Sha256::DIR || (has_sm3 && path == Sm3::DIR)) {
                self.levels(&path)?;
            } else {
                self.unexpected(path);
            }
        }
        Ok(())
    }

    fn levels(&mut self, dir: &str) -> Result<(), LedgerError> {
        for name in self.list(dir)? {
            let path = format!("{dir}/{}", name.name);
            let level = (0..=MAX_LEVEL).find(|level| name.is_dir && level.to_string() == name.name);
            match level {
                Some(level) => self.row(&path, Level::Hashes(level))?,
                None => self.unexpected(path),
            }
        }
        Ok(())
    }

    /// The files of a row have the length that the checkpoint implies; behind it, as much as is durable.
    fn row(&mut self, dir: &str, level: Level) -> Result<(), LedgerError> {
        let hashes = |size: u64, number: u64| {
            Tile::hashes_in_level(level, size).saturating_sub(number.saturating_mul(HASHES)).min(HASHES)
        };
        for name in self.list(dir)? {
            let path = format!("{dir}/{}", name.name);
            let number = u64::from_str_radix(&name.name, 16).ok();
            let number = number.filter(|number| !name.is_dir && format!("{number:08x}") == name.name);
            let Some(number) = number else {
                self.unexpected(path);
                continue;
            };
            let Some(&length) = self.lengths.get(&path) else {
                self.report.unpublished_files += 1; // made meanwhile
                continue;
            };
            let (least, most) =
                (hashes(self.checkpoint.size(), number) * 32, hashes(self.durable, number) * 32);
            if length > most || (length == 0 && most == 0) {
                self.unexpected(path);
            } else if length > least {
                self.report.unpublished_files += 1;
            }
        }
        Ok(())
    }
}
