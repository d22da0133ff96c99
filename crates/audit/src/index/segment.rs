//! One segment: gathered in memory, written whole, asked page by page.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::format::{self, FIXED, Head, PAGE, PER_PAGE, Posting};
use super::{BLOCK, Candidates, Facts, SEGMENT, Wanted};

/// Bytes that are read at first: the head of a usual segment and then some.
const FIRST_READ: u64 = 16 * 1024;

/// What can be asked of a segment, wherever it is.
trait Postings {
    fn count(&self) -> u32;
    fn times(&self) -> &[(u64, u64)];
    /// The actions that begin so, and whether those are all there are; nothing when they are not listed.
    fn actions(&self, prefix: &str) -> Option<(Vec<String>, bool)>;
    /// Offsets under a key, ascending; nothing when they cannot be read.
    fn under(&mut self, key: u32) -> Option<Vec<u16>>;

    /// The candidates; nothing when the segment is not legible.
    fn candidates(&mut self, wanted: &Wanted) -> Option<Candidates> {
        let mut found: Option<Vec<u16>> = None;
        for key in &wanted.all {
            let more = self.under(*key)?;
            let both = found.take().map_or_else(|| more.clone(), |so_far| intersect(&so_far, &more));
            if both.is_empty() {
                return Some(Candidates::Some(both));
            }
            found = Some(both);
        }
        if !wanted.any.is_empty() {
            let any = self.union(&wanted.any)?;
            found = Some(found.map_or_else(|| any.clone(), |so_far| intersect(&so_far, &any)));
        }
        let listed = wanted.act.as_deref().and_then(|prefix| self.actions(prefix));
        if let Some((actions, all)) = listed
            && !all
        {
            let keys: Vec<u32> = actions.iter().map(|action| action_key(action)).collect();
            let any = self.union(&keys)?;
            found = Some(found.map_or_else(|| any.clone(), |so_far| intersect(&so_far, &any)));
        }
        if let Some(span) = wanted.times {
            let met = |block: usize| self.times().get(block).is_none_or(|times| overlap(*times, span));
            let all: Vec<bool> = (0..self.times().len()).map(met).collect();
            if !all.iter().all(|met| *met) {
                let offsets = found.unwrap_or_else(|| every(self.count()));
                let within = |offset: &u16| all.get(usize::from(*offset) / BLOCK) != Some(&false);
                found = Some(offsets.into_iter().filter(within).collect());
            }
        }
        Some(found.map_or(Candidates::All, Candidates::Some))
    }

    fn union(&mut self, keys: &[u32]) -> Option<Vec<u16>> {
        let mut all = Vec::new();
        for key in keys {
            all.extend(self.under(*key)?);
        }
        all.sort_unstable();
        all.dedup();
        Some(all)
    }
}

fn every(count: u32) -> Vec<u16> {
    (0..count).filter_map(|offset| u16::try_from(offset).ok()).collect()
}

fn overlap((least, greatest): (u64, u64), (from, to): (u64, u64)) -> bool {
    least <= to && greatest >= from
}

fn intersect(a: &[u16], b: &[u16]) -> Vec<u16> {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    few.iter().filter(|offset| many.binary_search(offset).is_ok()).copied().collect()
}

/// Actions have a tag of their own beside those of [`super::keys`].
fn action_key(action: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[0]), action.as_bytes())
}

/// A segment that still grows.
pub(crate) struct Tail {
    pub(crate) first: u64,
    count: u32,
    times: Vec<(u64, u64)>,
    actions: BTreeSet<String>,
    postings: Vec<Posting>,
}

impl Tail {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, count: 0, times: Vec::new(), actions: BTreeSet::new(), postings: Vec::new() }
    }

    /// As it was when it was written.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let head = read_head(path)?;
        let bytes = std::fs::read(path).ok()?;
        let left = usize::try_from(head.postings).ok()?;
        let mut postings = Vec::with_capacity(left);
        for page in bytes.get(head.length..)?.as_chunks::<PAGE>().0 {
            let used = (left - postings.len()).min(PER_PAGE);
            postings.extend(format::decode_page(page, used)?);
        }
        // What was not listed cannot grow: the segment is made anew.
        let actions = head.actions?.into_iter().collect();
        (postings.len() == left).then_some(Self {
            first: head.first,
            count: head.count,
            times: head.times,
            actions,
            postings,
        })
    }

    /// Entries that are indexed.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn is_full(&self) -> bool {
        u64::from(self.count) >= SEGMENT
    }

    /// Takes the next entry; nothing was kept of one that is no event.
    pub(crate) fn push(&mut self, facts: Option<&Facts<'_>>) {
        let Ok(offset) = u16::try_from(self.count) else { return };
        self.count += 1;
        if usize::from(offset).is_multiple_of(BLOCK) {
            self.times.push((u64::MAX, 0));
        }
        let Some(facts) = facts else { return };
        if let Some(times) = self.times.last_mut() {
            *times = (times.0.min(facts.stamp), times.1.max(facts.stamp));
        }
        if !self.actions.contains(&*facts.act) {
            self.actions.insert(facts.act.to_string());
        }
        self.postings.push((action_key(&facts.act), offset));
        self.postings.extend(facts.keys.iter().map(|key| (*key, offset)));
    }

    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut postings = self.postings.clone();
        postings.sort_unstable();
        postings.dedup();
        let actions: Vec<String> = self.actions.iter().cloned().collect();
        format::encode(self.first, self.count, &self.times, &actions, &postings)
    }

    pub(crate) fn candidates(&self, wanted: &Wanted) -> Candidates {
        (&mut &*self).candidates(wanted).unwrap_or(Candidates::All)
    }
}

impl Postings for &Tail {
    fn count(&self) -> u32 {
        self.count
    }

    fn times(&self) -> &[(u64, u64)] {
        &self.times
    }

    fn actions(&self, prefix: &str) -> Option<(Vec<String>, bool)> {
        let such: Vec<String> =
            self.actions.iter().filter(|action| action.starts_with(prefix)).cloned().collect();
        let all = such.len() == self.actions.len();
        Some((such, all))
    }

    fn under(&mut self, key: u32) -> Option<Vec<u16>> {
        let mut offsets: Vec<u16> =
            self.postings.iter().filter(|(k, _)| *k == key).map(|(_, offset)| *offset).collect();
        offsets.dedup();
        Some(offsets)
    }
}

/// Where the file of a segment is.
pub(crate) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:016x}.idx"))
}

/// The head of a file; nothing when there is none that is whole.
pub(crate) fn read_head(path: &Path) -> Option<Head> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let mut bytes = Vec::new();
    (&file).take(FIRST_READ).read_to_end(&mut bytes).ok()?;
    let length = format::head_length(bytes.get(..FIXED)?)? as u64;
    if length > size {
        return None;
    }
    if length > bytes.len() as u64 {
        bytes.clear();
        file.rewind().ok()?;
        file.take(length).read_to_end(&mut bytes).ok()?;
    }
    let head = format::decode(&bytes)?;
    let pages = head.fences.len() as u64 * PAGE as u64;
    (size == length + pages).then_some(head)
}

/// The candidates in a written segment; nothing when a page of it cannot be read or is not whole.
pub(crate) fn candidates(path: &Path, head: &Head, wanted: &Wanted) -> Option<Candidates> {
    Written { path, head, file: None }.candidates(wanted)
}

struct Written<'a> {
    path: &'a Path,
    head: &'a Head,
    file: Option<File>,
}

impl Postings for Written<'_> {
    fn count(&self) -> u32 {
        self.head.count
    }

    fn times(&self) -> &[(u64, u64)] {
        &self.head.times
    }

    fn actions(&self, prefix: &str) -> Option<(Vec<String>, bool)> {
        let actions = self.head.actions.as_ref()?;
        let such: Vec<String> = actions.iter().filter(|action| action.starts_with(prefix)).cloned().collect();
        let all = such.len() == actions.len();
        Some((such, all))
    }

    fn under(&mut self, key: u32) -> Option<Vec<u16>> {
        let fences = &self.head.fences;
        // The key's postings may begin in the page before the first one that begins with it.
        let start = fences.partition_point(|fence| *fence < key).saturating_sub(1);
        let end = fences.partition_point(|fence| *fence <= key);
        let mut offsets = Vec::new();
        for page in start..end {
            let bytes = self.page(page)?;
            let before = page * PER_PAGE;
            let used = usize::try_from(self.head.postings).ok()?.saturating_sub(before).min(PER_PAGE);
            let postings = format::decode_page(&bytes, used)?;
            offsets.extend(postings.filter(|(k, _)| *k == key).map(|(_, offset)| offset));
        }
        // Sorted by who wrote it; a page of another segment with a right checksum must not make a search go wrong.
        offsets.sort_unstable();
        Some(offsets)
    }
}

impl Written<'_> {
    fn page(&mut self, number: usize) -> Option<[u8; PAGE]> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(self.path).ok()?),
        };
        let at = self.head.length + number * PAGE;
        file.seek(SeekFrom::Start(at as u64)).ok()?;
        let mut page = [0u8; PAGE];
        file.read_exact(&mut page).ok()?;
        Some(page)
    }
}
