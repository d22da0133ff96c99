//! What differs between a seal and what was found: entries by path, and damage outside every entry by its range.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use gm::DualDigest;
use serde::Serialize;

use crate::container::{Container, Format};
use crate::entry::{Entry, EntryKind};
use crate::path::EntryPath;
use crate::program::{self, Program};
use crate::statement::{Seal, Subject};

/// What an artefact was found to be. Filled in by whoever reads it; damaged places do not stop the reading.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Directory, file or archive.
    pub kind: ObservedKind,
    /// SHA-256 and SM3 of all its bytes; a directory has none.
    pub digest: Option<DualDigest>,
    /// The entries that could be read, in any order.
    pub entries: Vec<Entry>,
    /// An archive's blocks. For a comparison they are cut as the seal's, and also at the sealed size.
    pub container: Option<Container>,
    /// Where entries stand in the container, when that can be said.
    pub places: Vec<Place>,
    /// Entries that could not be read.
    pub faults: Vec<Fault>,
    /// Why reading ended before the end, if it did: what came after is unknown.
    pub broken: Option<String>,
}

impl Observation {
    /// What somebody who reads exactly what `seal` seals observes.
    #[must_use]
    pub fn of(seal: &Seal) -> Self {
        let (kind, container) = match seal.subject() {
            Subject::Directory => (ObservedKind::Directory, None),
            Subject::File => (ObservedKind::File, None),
            Subject::Archive { container, .. } => {
                (ObservedKind::Archive(container.format), Some(container.clone()))
            }
        };
        Self {
            kind,
            digest: seal.digest(),
            entries: seal.tree().entries().to_vec(),
            container,
            places: Vec::new(),
            faults: Vec::new(),
            broken: None,
        }
    }
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObservedKind {
    /// A directory.
    Directory,
    /// One file, taken as it is.
    File,
    /// An archive.
    Archive(Format),
}

impl ObservedKind {
    fn word(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File => "file",
            Self::Archive(_) => "archive",
        }
    }
}

/// Where an entry stands in its container: its headers and its data.
#[derive(Clone, Debug)]
pub struct Place {
    /// The entry.
    pub path: EntryPath,
    /// Its bytes.
    pub ranges: Vec<Range<u64>>,
}

/// An entry that could not be read.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its path; escaped when it is none that a seal could list.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How an artefact differs from its seal. Paths are sorted.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Comparison {
    /// Entries that are still there but not as they were.
    pub changed: Vec<Change>,
    /// Entries that the seal does not list, escaped where a seal could not list them.
    pub added: Vec<String>,
    /// Entries that the seal lists and that are gone.
    pub removed: Vec<EntryPath>,
    /// Pairs of a removed and an added entry with the same content. They are in those lists too.
    pub renamed: Vec<Rename>,
    /// Ranges of the archive that changed and are not explained by an entry above.
    pub container: Vec<DamagedRange>,
    /// Entries that could not be looked for because the archive breaks off before them.
    pub unread: Vec<EntryPath>,
    /// Why reading ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// Programs that were signed since they were sealed, and are still the same but for that. They are no difference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<EntryPath>,
    /// What stands in the place of what was sealed. No entry was compared then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
}

/// Another kind of artefact than the one that was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Instead {
    /// `directory`, `archive` or `file`.
    pub sealed: &'static str,
    /// The same.
    pub found: &'static str,
}

/// An entry that is not as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// The entry.
    pub path: EntryPath,
    /// As it was sealed.
    pub sealed: Entry,
    /// How it was found.
    #[serde(flatten)]
    pub reason: ChangeReason,
}

/// In what an entry is not as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeReason {
    /// It reads, and differs.
    Found(Box<Entry>),
    /// It does not read.
    Unreadable(String),
}

/// A removed and an added entry with the same content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Rename {
    /// The path that was sealed.
    pub from: EntryPath,
    /// The path that was found.
    pub to: EntryPath,
}

/// Bytes of an archive, `start` to `end` without `end`; it prints as `container:0x1f000-0x1ffff`, both inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DamagedRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl std::fmt::Display for DamagedRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "container:{:#x}-{:#x}", self.start, self.end.saturating_sub(1))
    }
}

impl Serialize for DamagedRange {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Comparison {
    /// Compares `found` with `seal`.
    ///
    /// A directory may be compared with the seal of an archive that it was unpacked from: then the container is
    /// not looked at, and directories that the archive only implies are no additions.
    /// Of what cannot be compared otherwise (a file with the seal of a directory) only [`Comparison::instead`] is said.
    #[must_use]
    pub fn of(seal: &Seal, found: &Observation) -> Self {
        let mut out = Self::of_entries(seal, found);
        if out.instead.is_none() {
            out.compare_container(seal, found);
        }
        out
    }

    /// Compares the entries alone: the bytes around them in an archive are not looked at.
    #[must_use]
    pub fn of_entries(seal: &Seal, found: &Observation) -> Self {
        let entries = match aligned(seal, found) {
            Ok(entries) => entries,
            Err(instead) => return Self { instead: Some(instead), ..Self::default() },
        };
        let mut out = Self { broken: found.broken.clone(), ..Self::default() };
        out.compare_entries(seal, &entries, found);
        out.find_renames(seal, &entries);
        out
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.entries_differ() && self.container.is_empty() && self.broken.is_none() && self.instead.is_none()
    }

    /// Puts those changed entries apart that are programs of which the seal has the Authenticode digests, and that still
    /// have the same ones by `programs`, sorted by path: they were signed since. What their signatures are worth is not
    /// said. In an archive that is compared byte by byte nothing is put apart: its own bytes differ too.
    pub fn set_signed_apart(&mut self, seal: &Seal, found: &Observation, programs: &[Program]) {
        if matches!(found.kind, ObservedKind::Archive(_)) {
            return;
        }
        let is_signed = |change: &Change| {
            let ChangeReason::Found(now) = &change.reason else { return false };
            let same = now.kind == change.sealed.kind && now.mode == change.sealed.mode;
            let sealed = program::find(seal.programs(), &change.path);
            same && sealed.is_some() && sealed == program::find(programs, &change.path)
        };
        let (signed, changed) = std::mem::take(&mut self.changed).into_iter().partition(is_signed);
        self.changed = changed;
        self.signed = signed.into_iter().map(|change: Change| change.path).collect();
    }

    fn compare_entries(&mut self, seal: &Seal, entries: &HashMap<&str, Entry>, found: &Observation) {
        let faults: HashMap<&str, &str> =
            found.faults.iter().map(|f| (f.path.as_str(), f.reason.as_str())).collect();
        let twice = duplicates(found);
        for sealed in seal.tree().entries() {
            let path = sealed.path.as_str();
            let reason = match (faults.get(path), entries.get(path)) {
                (None, Some(_)) if twice.contains(path) => {
                    ChangeReason::Unreadable("it is there twice".into())
                }
                (Some(reason), _) => ChangeReason::Unreadable((*reason).to_owned()),
                (None, Some(entry)) if entry == sealed => continue,
                (None, Some(entry)) => ChangeReason::Found(Box::new(entry.clone())),
                (None, None) => {
                    let gone = if found.broken.is_some() { &mut self.unread } else { &mut self.removed };
                    gone.push(sealed.path.clone());
                    continue;
                }
            };
            self.changed.push(Change { path: sealed.path.clone(), sealed: sealed.clone(), reason });
        }
        let implied = implied_directories(seal, found);
        let unknown = |path: &&str| seal.tree().entry(path).is_none() && !implied.contains(path);
        let faulty = found.faults.iter().map(|f| f.path.as_str());
        self.added = entries.keys().copied().chain(faulty).filter(unknown).map(str::to_owned).collect();
        self.added.sort();
        self.added.dedup();
    }

    fn find_renames(&mut self, seal: &Seal, entries: &HashMap<&str, Entry>) {
        let mut added: HashMap<(EntryKind, DualDigest), Vec<&EntryPath>> = HashMap::new();
        for path in self.added.iter().rev() {
            if let Some(entry) = entries.get(path.as_str()) {
                added.entry((entry.kind, entry.digest)).or_default().push(&entry.path);
            }
        }
        for from in &self.removed {
            // Every directory has the same digest; that says nothing about where one went.
            let Some(sealed) = seal.tree().entry(from.as_str()).filter(|e| e.kind != EntryKind::Directory)
            else {
                continue;
            };
            if let Some(to) = added.get_mut(&(sealed.kind, sealed.digest)).and_then(Vec::pop) {
                self.renamed.push(Rename { from: from.clone(), to: to.clone() });
            }
        }
    }

    fn compare_container(&mut self, seal: &Seal, found: &Observation) {
        let Subject::Archive { digest, container: sealed } = seal.subject() else { return };
        let Some(now) = &found.container else { return };
        if found.digest == Some(*digest) {
            return;
        }
        let ranges = differing(sealed, now);
        if !self.entries_differ() {
            // Something differs, and no entry does. If even the blocks agree, the seal's own digests do not.
            let whole = DamagedRange { start: 0, end: now.size.max(1) };
            self.container = if ranges.is_empty() { vec![whole] } else { ranges };
        } else if sealed.size == now.size && !found.places.is_empty() {
            let explained = self.explained(found);
            self.container = ranges.into_iter().filter(|r| !overlaps(&explained, r)).collect();
        } else if self.broken.is_some() {
            self.container = ranges;
        }
        self.container = merged(std::mem::take(&mut self.container));
    }

    fn entries_differ(&self) -> bool {
        !(self.changed.is_empty()
            && self.added.is_empty()
            && self.removed.is_empty()
            && self.unread.is_empty())
    }

    /// The bytes of the entries that are named anyway, by their start.
    fn explained(&self, found: &Observation) -> Vec<Range<u64>> {
        let named: HashSet<&str> = self
            .changed
            .iter()
            .map(|c| c.path.as_str())
            .chain(self.added.iter().map(String::as_str))
            .collect();
        let mut ranges: Vec<_> = found
            .places
            .iter()
            .filter(|place| named.contains(place.path.as_str()))
            .flat_map(|place| place.ranges.iter().cloned())
            .collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }
}

/// The found entries by path. A file sealed alone is the same file under another name.
fn aligned<'a>(seal: &'a Seal, found: &'a Observation) -> Result<HashMap<&'a str, Entry>, Instead> {
    match (seal.subject(), found.kind) {
        (Subject::File, ObservedKind::File) => {
            let sealed = seal.tree().entries().first();
            let pairs = found.entries.iter().zip(sealed);
            Ok(pairs.map(|(e, s)| (s.path.as_str(), Entry { path: s.path.clone(), ..e.clone() })).collect())
        }
        (Subject::Directory, ObservedKind::Directory)
        | (Subject::Archive { .. }, ObservedKind::Archive(_) | ObservedKind::Directory) => {
            Ok(found.entries.iter().map(|e| (e.path.as_str(), e.clone())).collect())
        }
        (sealed, found) => Err(Instead { sealed: sealed.word(), found: found.word() }),
    }
}

/// Paths that stand in an archive more than once: which one another reader would take is open.
fn duplicates(found: &Observation) -> HashSet<&str> {
    let mut seen = HashSet::new();
    found.entries.iter().map(|e| e.path.as_str()).filter(|path| !seen.insert(*path)).collect()
}

fn implied_directories<'a>(seal: &'a Seal, found: &Observation) -> HashSet<&'a str> {
    match (seal.subject(), found.kind) {
        (Subject::Archive { .. }, ObservedKind::Directory) => {
            seal.tree().entries().iter().flat_map(|entry| entry.path.ancestors()).collect()
        }
        _ => HashSet::new(),
    }
}

/// The blocks that differ, each by itself, and what one has more than the other.
fn differing(sealed: &Container, now: &Container) -> Vec<DamagedRange> {
    let block = sealed.block_size;
    let common = sealed.size.min(now.size);
    let mut out: Vec<DamagedRange> = (0u64..)
        .zip(sealed.blocks.iter().zip(&now.blocks))
        .filter(|(_, (a, b))| a != b)
        .map(|(at, _)| DamagedRange { start: at * block, end: ((at + 1) * block).min(common) })
        .filter(|range| range.start < range.end)
        .collect();
    if sealed.size != now.size {
        out.push(DamagedRange { start: common, end: sealed.size.max(now.size) });
    }
    out
}

fn merged(ranges: Vec<DamagedRange>) -> Vec<DamagedRange> {
    let mut out: Vec<DamagedRange> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

/// `explained` is sorted, and its ranges are disjoint.
fn overlaps(explained: &[Range<u64>], range: &DamagedRange) -> bool {
    let next = explained.partition_point(|r| r.end <= range.start);
    explained.get(next).is_some_and(|r| r.start < range.end)
}

#[cfg(test)]
mod tests;
