//! Builds the trees again from the entries and compares every stored hash.

use std::io;
use std::ops::Range;

use tlog::tile::{Level, MAX_LEVEL};
use tlog::{Hash, Sha256, Sm3, Tile};

use super::{Damage, Report};
use crate::checkpoint::SignedCheckpoint;
use crate::error::LedgerError;
use crate::storage::Storage;
use crate::tree::{HASHES, Place, Tree, file_path, read_row};

/// An entry that is checked: its bytes, and where they stand.
pub(super) struct Entry<'a> {
    pub(super) bytes: &'a [u8],
    /// With its length.
    pub(super) place: Range<u64>,
}

/// One tree: what follows from the entries, beside what is stored.
struct One<H> {
    tree: Tree<H>,
    /// For each level above 0, how many hashes were compared.
    compared: [u64; MAX_LEVEL as usize + 1],
    /// Whether a hash had to be taken from the files, so that the root says nothing new.
    borrowed: bool,
}

pub(super) struct Check<'a> {
    storage: &'a dyn Storage,
    checkpoint: &'a SignedCheckpoint,
    earlier: Option<&'a SignedCheckpoint>,
    sha256: One<Sha256>,
    sm3: Option<One<Sm3>>,
}

impl<H: Place> One<H> {
    fn new(tree: Tree<H>) -> Self {
        let mut compared = [0; MAX_LEVEL as usize + 1];
        (0..=MAX_LEVEL).zip(&mut compared).for_each(|(level, count)| *count = tree.count(level));
        Self { tree, compared, borrowed: false }
    }

    /// The stored leaf hashes from an index on; shorter, with a finding, where they are missing.
    fn stored(
        &mut self,
        storage: &dyn Storage,
        from: u64,
        count: usize,
        report: &mut Report,
    ) -> Result<Vec<Hash>, LedgerError> {
        read_present::<H>(storage, 0, from, from + count as u64, report)
    }

    /// Compares the hashes above level 0 that became known.
    fn compare(&mut self, storage: &dyn Storage, report: &mut Report) -> Result<(), LedgerError> {
        for level in 1..=MAX_LEVEL {
            let from = self.compared[usize::from(level)];
            let to = self.tree.count(level);
            if to == from {
                continue;
            }
            let found = read_present::<H>(storage, level, from, to, report)?;
            let expected = self.tree.since(level, from);
            for (at, (found, expected)) in (from..).zip(found.iter().zip(expected)) {
                if found != expected && !self.borrowed {
                    report.found(wrong::<H>(level, at, "it is not the hash of the tile below it"));
                }
            }
            self.compared[usize::from(level)] = to;
            self.tree.release(level, to);
        }
        let leaves = self.tree.size();
        self.tree.release(0, leaves);
        Ok(())
    }
}

/// Fewer leaves than this are not shared between threads.
const SHARED: usize = 4096;

/// Hashes leaves, on two threads where there are many.
fn hash_leaves<H: Place>(leaves: &[&[u8]], hashes: &mut [Hash]) {
    if leaves.len() < SHARED || !super::has_second_processor() {
        return H::leaves(leaves, hashes);
    }
    let middle = leaves.len() / 2;
    let (here, there) = leaves.split_at(middle);
    let (hashes_here, hashes_there) = hashes.split_at_mut(middle);
    std::thread::scope(|scope| {
        scope.spawn(|| H::leaves(there, hashes_there));
        H::leaves(here, hashes_here);
    });
}

/// A finding about one stored hash.
fn wrong<H: Place>(level: u8, at: u64, why: &str) -> Damage {
    let from = at % HASHES * 32;
    Damage::Hash { path: file_path::<H>(level, at / HASHES), bytes: from..from + 32, why: why.to_owned() }
}

/// As many hashes as there are; one finding when some are missing.
fn read_present<H: Place>(
    storage: &dyn Storage,
    level: u8,
    from: u64,
    to: u64,
    report: &mut Report,
) -> Result<Vec<Hash>, LedgerError> {
    let mut hashes = Vec::new();
    let mut at = from;
    while at < to {
        let end = to.min((at / HASHES + 1) * HASHES);
        match read_row::<H>(storage, level, at, end) {
            Ok(here) => hashes.extend(here),
            Err(LedgerError::Damaged { path, .. }) => {
                let missing = Damage::Missing { path };
                if report.damage.last() != Some(&missing) {
                    report.found(missing);
                }
                break;
            }
            Err(LedgerError::Io { source, path, .. })
                if matches!(source.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory) =>
            {
                report.found(Damage::Missing { path });
                break;
            }
            Err(error) => return Err(error),
        }
        at = end;
    }
    Ok(hashes)
}

impl<'a> Check<'a> {
    /// Begins with the first entry that is kept, or behind a checkpoint up to which the log was verified before.
    pub(super) fn begin(
        storage: &'a dyn Storage,
        checkpoint: &'a SignedCheckpoint,
        earlier: Option<&'a SignedCheckpoint>,
        since: Option<&SignedCheckpoint>,
        report: &mut Report,
    ) -> Result<Self, LedgerError> {
        let from = since.map_or(0, SignedCheckpoint::size);
        let sha256 = One::new(load::<Sha256>(storage, from, report)?);
        let sm3 =
            checkpoint.sm3_root().map(|_| load::<Sm3>(storage, from, report)).transpose()?.map(One::new);
        let check = Self { storage, checkpoint, earlier, sha256, sm3 };
        for old in since.into_iter().chain(earlier) {
            check.compare(old, report);
        }
        Ok(check)
    }

    /// Index of the next entry that is to be checked.
    pub(super) fn next(&self) -> u64 {
        self.sha256.tree.size()
    }

    /// Checks entries that follow each other from [`Check::next`] on. `sound` says whether the checksums around an
    /// entry hold: with one tree only, that decides whether the entry or the stored hash is damaged.
    pub(super) fn entries(
        &mut self,
        path: &str,
        entries: &[Entry<'_>],
        sound: bool,
        report: &mut Report,
    ) -> Result<(), LedgerError> {
        let mut rest = entries;
        while !rest.is_empty() {
            // Not over the size of the earlier checkpoint, at which the roots are compared.
            let room = self.earlier.map(SignedCheckpoint::size).filter(|size| *size > self.next());
            let room =
                room.map_or(usize::MAX, |size| usize::try_from(size - self.next()).unwrap_or(usize::MAX));
            let (here, behind) = rest.split_at(rest.len().min(room));
            self.chunk(path, here, sound, report)?;
            rest = behind;
        }
        Ok(())
    }

    fn chunk(
        &mut self,
        path: &str,
        entries: &[Entry<'_>],
        sound: bool,
        report: &mut Report,
    ) -> Result<(), LedgerError> {
        let (from, count) = (self.next(), entries.len());
        let leaves: Vec<&[u8]> = entries.iter().map(|entry| entry.bytes).collect();
        let mut first = vec![Hash::default(); count];
        hash_leaves::<Sha256>(&leaves, &mut first);
        let first_stored = self.sha256.stored(self.storage, from, count, report)?;
        let mut second = vec![Hash::default(); count];
        let mut second_stored = Vec::new();
        if let Some(sm3) = &mut self.sm3 {
            hash_leaves::<Sm3>(&leaves, &mut second);
            second_stored = sm3.stored(self.storage, from, count, report)?;
        }
        if first != first_stored || (self.sm3.is_some() && second != second_stored) {
            for (n, entry) in entries.iter().enumerate() {
                let agrees =
                    |found: &[Hash], stored: &[Hash]| stored.get(n).map(|stored| *stored == found[n]);
                let first_agrees = agrees(&first, &first_stored);
                let second_agrees = self.sm3.as_ref().and_then(|_| agrees(&second, &second_stored));
                let damaged = match (first_agrees, second_agrees) {
                    (Some(false), Some(false)) => true,
                    (Some(false), None) | (None, Some(false)) => !sound,
                    _ => false,
                };
                let index = from + n as u64;
                if damaged {
                    let bytes = entry.place.clone();
                    let why = "its hash is not the one that was stored".to_owned();
                    report.found(Damage::Entry { index, path: path.to_owned(), bytes, why });
                    // The trees go on with what they hold.
                    first[n] = first_stored.get(n).copied().unwrap_or_default();
                    second[n] = second_stored.get(n).copied().unwrap_or_default();
                    self.borrow();
                    continue;
                }
                if first_agrees == Some(false) {
                    report.found(wrong::<Sha256>(0, index, "it is not the hash of the entry"));
                }
                if second_agrees == Some(false) {
                    report.found(wrong::<Sm3>(0, index, "it is not the hash of the entry"));
                }
            }
        }
        self.append(&first, &second, report)
    }

    /// Whether a stored hash is the one of this entry.
    pub(super) fn knows(
        &mut self,
        index: u64,
        entry: &[u8],
        report: &mut Report,
    ) -> Result<bool, LedgerError> {
        let first = self.sha256.stored(self.storage, index, 1, report)?;
        if first == [<Sha256 as tlog::TreeHash>::leaf(entry)] {
            return Ok(true);
        }
        let Some(sm3) = &mut self.sm3 else { return Ok(false) };
        Ok(sm3.stored(self.storage, index, 1, report)? == [<Sm3 as tlog::TreeHash>::leaf(entry)])
    }

    fn borrow(&mut self) {
        self.sha256.borrowed = true;
        if let Some(sm3) = &mut self.sm3 {
            sm3.borrowed = true;
        }
    }

    fn append(&mut self, first: &[Hash], second: &[Hash], report: &mut Report) -> Result<(), LedgerError> {
        self.sha256.tree.append(first);
        self.sha256.compare(self.storage, report)?;
        if let Some(sm3) = &mut self.sm3 {
            sm3.tree.append(second);
            sm3.compare(self.storage, report)?;
        }
        if let Some(earlier) = self.earlier {
            self.compare(earlier, report);
        }
        Ok(())
    }

    /// Takes the stored hashes for entries that are not there: pruned, or damaged beyond reading (`damaged`).
    pub(super) fn skip(&mut self, to: u64, damaged: bool, report: &mut Report) -> Result<(), LedgerError> {
        if damaged && self.next() < to {
            self.borrow();
        }
        while self.next() < to {
            let size = self.earlier.map(SignedCheckpoint::size).filter(|size| *size > self.next());
            let end = to.min(self.next() + (1 << 16)).min(size.unwrap_or(u64::MAX));
            let count = usize::try_from(end - self.next()).unwrap_or(0);
            let mut first = self.sha256.stored(self.storage, self.next(), count, report)?;
            first.resize(count, Hash::default());
            let mut second = Vec::new();
            if let Some(sm3) = &mut self.sm3 {
                second = sm3.stored(self.storage, end - count as u64, count, report)?;
                second.resize(count, Hash::default());
            }
            self.append(&first, &second, report)?;
        }
        Ok(())
    }

    /// At the size of the earlier checkpoint, the roots must be the ones it was signed with.
    fn compare(&self, earlier: &SignedCheckpoint, report: &mut Report) {
        if earlier.size() != self.next() {
            return;
        }
        let size = earlier.size();
        if self.sha256.tree.root() != earlier.checkpoint.root {
            report.found(Damage::Forked { earlier: size, tree: "sha256" });
        }
        let sm3 = self.sm3.as_ref().map(|sm3| sm3.tree.root());
        if sm3.as_ref() != earlier.sm3_root() {
            report.found(Damage::Forked { earlier: size, tree: "sm3" });
        }
    }

    /// Compares the roots with the signed ones.
    pub(super) fn finish(&mut self, report: &mut Report) -> Result<(), LedgerError> {
        let signed = &self.checkpoint.checkpoint;
        // After other damage the root may rest on hashes taken from files: it would only say the same again.
        if !report.holds() {
            return Ok(());
        }
        if self.sha256.tree.root() != signed.root {
            report.found(Damage::Root { tree: "sha256" });
        }
        if self.sm3.as_ref().map(|sm3| sm3.tree.root()) != signed.sm3_root {
            report.found(Damage::Root { tree: "sm3" });
        }
        Ok(())
    }
}

/// The stored edge of a tree; zeroes, with a finding, where hashes are missing.
fn load<H: Place>(storage: &dyn Storage, size: u64, report: &mut Report) -> Result<Tree<H>, LedgerError> {
    Tree::<H>::load(size, |level, from, to| {
        let mut hashes = read_present::<H>(storage, level, from, to, report)?;
        let count = Tile::hashes_in_level(Level::Hashes(level), size) - from;
        hashes.resize(usize::try_from(count).unwrap_or(0), Hash::default());
        Ok(hashes)
    })
}
