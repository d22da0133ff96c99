//! Finds the segments, makes durable what a killed owner left behind the checkpoint, and hashes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{IoContext as _, LedgerError};
use crate::read::damaged;
use crate::segment::blocks::BLOCK;
use crate::segment::map::{Map, Segment, Stage, load_closed};
use crate::segment::scan::{Fault, Rest, Scan, Torn, scan};
use crate::segment::writer::Open;
use crate::segment::{DIR, Form, parse_name, segment_path};
use crate::storage::{Site, Storage};
use crate::tree::Trees;

pub(super) struct Loaded {
    pub(super) torn: Option<Torn>,
    pub(super) open: Option<Open>,
}

/// Names of the segments in order; of one that has both forms, the compressed.
pub(crate) fn names(storage: &dyn Storage) -> Result<BTreeMap<u64, Vec<Form>>, LedgerError> {
    let mut found: BTreeMap<u64, Vec<Form>> = BTreeMap::new();
    for name in storage.list(DIR).attempt("list", DIR)? {
        if let Some((first, form)) = parse_name(&name.name) {
            found.entry(first).or_default().push(form);
        }
    }
    Ok(found)
}

/// Reads the segments into the map. Entries from index `size` on are appended to the trees.
pub(super) fn load(
    storage: &dyn Storage,
    map: &Map,
    size: u64,
    minimum: u64,
    trees: &mut Trees,
) -> Result<Loaded, LedgerError> {
    remove_left_over(storage)?;
    let names = names(storage)?;
    let last = names.keys().next_back().copied();
    let (mut end, mut loaded) = (None, Loaded { torn: None, open: None });
    for (first, forms) in names {
        let form = forms.iter().copied().max().unwrap_or(Form::Plain);
        if forms.len() > 1 {
            // The compressed one has its name only when it is whole: the plain one is what was not yet removed.
            storage.sync_dir(Site::PackedName, DIR).attempt("sync the directory", DIR)?;
            let _ = storage.remove(&segment_path(first, Form::Plain));
        }
        let mut found = Found { storage, size, trees, is_last: last == Some(first), loaded: &mut loaded };
        let Some(segment) = found.load(first, form)? else { continue };
        join(end, first, minimum)?;
        end = Some(segment.end());
        if segment.end() <= minimum && segment.stage() == Stage::Closed {
            storage.remove(&segment.path()).attempt("remove", &segment.path())?; // pruned, and the owner died
            continue;
        }
        map.insert(segment);
    }
    let end = end.unwrap_or(minimum);
    if end < size {
        return Err(LedgerError::WalGap { from: end, to: size });
    }
    Ok(loaded)
}

/// That a segment begins where the one before it ended; the first one, not behind the minimum index.
fn join(end: Option<u64>, first: u64, minimum: u64) -> Result<(), LedgerError> {
    match end {
        Some(end) if first > end => Err(LedgerError::WalGap { from: end, to: first }),
        Some(end) if first < end => {
            Err(damaged(&segment_path(first, Form::Plain), "it repeats entries of the one before"))
        }
        None if first > minimum => Err(LedgerError::WalGap { from: minimum, to: first }),
        _ => Ok(()),
    }
}

/// A compressed segment that did not get its name.
fn remove_left_over(storage: &dyn Storage) -> Result<(), LedgerError> {
    for name in storage.list(DIR).attempt("list", DIR)? {
        if name.name.ends_with(".new") {
            let path = format!("{DIR}/{}", name.name);
            storage.remove(&path).attempt("remove", &path)?;
        }
    }
    Ok(())
}

struct Found<'a> {
    storage: &'a dyn Storage,
    size: u64,
    trees: &'a mut Trees,
    is_last: bool,
    loaded: &'a mut Loaded,
}

impl Found<'_> {
    /// `None` for a segment that never got a record: it is removed.
    fn load(&mut self, first: u64, form: Form) -> Result<Option<Arc<Segment>>, LedgerError> {
        if let Some(closed) = load_closed(self.storage, first, form)? {
            let closed = Arc::new(closed);
            if closed.end() > self.size {
                self.replay_closed(&closed)?;
            }
            return Ok(Some(closed));
        }
        let path = segment_path(first, form);
        let bytes = self.storage.read(&path).attempt("read", &path)?;
        let (mut rewrite_from, size, trees) = (None, self.size, &mut *self.trees);
        let scanned = scan(&bytes, first, &mut |offset, record| {
            if record.end() > size {
                rewrite_from.get_or_insert(offset);
                let known = usize::try_from(trees.size().saturating_sub(record.first)).unwrap_or(usize::MAX);
                trees.append_slices(&record.leaves().skip(known).collect::<Vec<_>>());
            }
        });
        match scanned {
            Ok(scan) if scan.end > first => self.take(&path, &bytes, rewrite_from, scan).map(Some),
            Ok(Scan { rest, .. }) => {
                if matches!(rest, Rest::Torn) && self.is_last {
                    let offset = crate::segment::record::FIRST_RECORD as u64;
                    self.loaded.torn = Some(Torn { segment: path.clone(), offset, index: first });
                }
                self.storage.remove(&path).attempt("remove", &path)?;
                Ok(None)
            }
            Err(Fault::Unborn) => {
                self.storage.remove(&path).attempt("remove", &path)?;
                Ok(None)
            }
            Err(Fault::Damaged(offset)) => Err(LedgerError::WalDamaged { path, offset }),
        }
    }

    /// A closed segment has entries behind the checkpoint only when the log was rewritten in this form just now.
    fn replay_closed(&mut self, segment: &Segment) -> Result<(), LedgerError> {
        let (from, trees) = (self.size.max(segment.first), &mut *self.trees);
        let mut leaves = crate::Leaves::new();
        segment.read(self.storage, from, u64::MAX, &mut |_, entry| {
            leaves.push(entry);
            if leaves.len() >= 1 << 14 {
                trees.append(&std::mem::take(&mut leaves));
            }
            true
        })?;
        trees.append(&leaves);
        Ok(())
    }

    fn take(
        &mut self,
        path: &str,
        bytes: &[u8],
        rewrite_from: Option<u64>,
        scan: Scan,
    ) -> Result<Arc<Segment>, LedgerError> {
        let torn = matches!(scan.rest, Rest::Torn);
        if let Some(from) = rewrite_from {
            self.rewrite(path, bytes, from, scan.records_end)?;
        }
        if torn && self.is_last {
            self.loaded.torn =
                Some(Torn { segment: path.to_owned(), offset: scan.records_end, index: scan.end });
            let cut = self.storage.open(path).and_then(|file| {
                file.set_length(scan.records_end)?;
                file.sync(Site::RecordsFound)
            });
            cut.attempt("cut a torn record off", path)?;
        }
        let stage = if self.is_last { Stage::Open } else { Stage::Retired };
        let segment =
            Arc::new(Segment::plain(&scan.header, scan.end, scan.records_end, scan.marks, stage, 0));
        if self.is_last {
            let file = self.storage.open(path).attempt("open", path)?;
            let (salt, offset) = (scan.header.salt, scan.records_end);
            let end = usize::try_from(offset).unwrap_or(usize::MAX);
            let tail = bytes.get(end / BLOCK * BLOCK..end).unwrap_or_default().to_vec();
            self.loaded.open =
                Some(Open { segment: Arc::clone(&segment), salt, file, offset, tail, reserved: false });
        }
        Ok(segment)
    }

    /// Records that no checkpoint covers may be in the page cache only, and after a failed sync even be taken for
    /// clean there (Linux since 4.13): the same bytes are written again, then synced.
    fn rewrite(&self, path: &str, bytes: &[u8], from: u64, to: u64) -> Result<(), LedgerError> {
        let range = usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(usize::MAX);
        let again = bytes.get(range).unwrap_or_default();
        let written = self.storage.open(path).and_then(|file| {
            file.write_at(from, again)?;
            file.sync(Site::RecordsFound)
        });
        written.attempt("write found records again", path)?;
        self.storage.sync_dir(Site::RecordsFound, DIR).attempt("sync the directory", DIR)
    }
}
