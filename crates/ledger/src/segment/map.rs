//! Which segments there are, and where an entry stands. Shared by the writer, the integrator and every reader.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::end::{self, End};
use super::packed::{self, Index};
use super::record::{FIRST_RECORD, Header, RECORD_HEADER, Salt};
use super::{Form, Mark, add_marks, bundles_before, read, segment_path};
use crate::error::{IoContext as _, LedgerError};
use crate::read::damaged;
use crate::storage::Storage;

/// Where a segment is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Being written.
    Open,
    /// Full; closed when everything in it is under a checkpoint.
    Retired,
    /// Never written again.
    Closed,
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) form: Form,
    pub(crate) stage: Stage,
    /// Index after the last durable entry.
    pub(crate) end: u64,
    /// Where the records end.
    pub(crate) records_end: u64,
    pub(crate) begun: u64,
    pub(crate) closed: u64,
    pub(crate) salt: Salt,
    marks: Vec<Mark>,
    /// The blocks of a compressed segment.
    blocks: Option<Arc<Index>>,
}

/// A segment. Its file may be replaced by a compressed one while it is read.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    state: RwLock<State>,
}

impl Segment {
    /// One that has no record yet.
    pub(crate) fn begun(header: &Header) -> Self {
        Self::plain(header, header.first, FIRST_RECORD as u64, Vec::new(), Stage::Open, 0)
    }

    pub(crate) fn plain(
        header: &Header,
        end: u64,
        records_end: u64,
        marks: Vec<Mark>,
        stage: Stage,
        closed: u64,
    ) -> Self {
        let state = State {
            form: Form::Plain,
            stage,
            end,
            records_end,
            begun: header.begun,
            closed,
            salt: header.salt,
            marks,
            blocks: None,
        };
        Self { first: header.first, state: RwLock::new(state) }
    }

    pub(crate) fn packed(form: Form, index: Index) -> Self {
        let state = State {
            form,
            stage: Stage::Closed,
            end: index.end,
            records_end: index.at,
            begun: index.begun,
            closed: index.closed,
            salt: Salt::default(),
            marks: Vec::new(),
            blocks: Some(Arc::new(index.clone())),
        };
        Self { first: index.first, state: RwLock::new(state) }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn snapshot(&self) -> State {
        self.state().clone()
    }

    pub(crate) fn end(&self) -> u64 {
        self.state().end
    }

    pub(crate) fn stage(&self) -> Stage {
        self.state().stage
    }

    pub(crate) fn path(&self) -> String {
        segment_path(self.first, self.state().form)
    }

    /// Writer: a whole record became durable.
    pub(crate) fn grown(&self, offset: u64, first: u64, record: &[u8], count: u32) {
        let length = record[4..8].try_into().map(u32::from_le_bytes).unwrap_or(0) as usize;
        self.change(|state| {
            add_marks(&mut state.marks, offset, first, &record[RECORD_HEADER..RECORD_HEADER + length]);
            state.end = first + u64::from(count);
            state.records_end = offset + record.len() as u64;
        });
    }

    /// Writer: nothing more is written to it.
    pub(crate) fn retire(&self) {
        self.change(|state| state.stage = Stage::Retired);
    }

    /// What its end says when it is closed now.
    pub(crate) fn to_end(&self, closed: u64) -> (End, Salt) {
        let state = self.state();
        let (end, at, begun, marks) = (state.end, state.records_end, state.begun, state.marks.clone());
        (End { first: self.first, end, at, begun, closed, marks }, state.salt)
    }

    pub(crate) fn closed(&self, at: u64) {
        self.change(|state| (state.stage, state.closed) = (Stage::Closed, at));
    }

    /// The compressed file took the place of the plain one.
    pub(crate) fn replaced(&self, form: Form, index: Index) {
        let packed = Self::packed(form, index).snapshot();
        self.change(|state| *state = packed);
    }

    /// Gives the entries from index `from` to `to` to `sink`, until it answers `false`.
    pub(crate) fn read(
        &self,
        storage: &dyn Storage,
        from: u64,
        to: u64,
        sink: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), LedgerError> {
        let (form, start, blocks, end) = {
            let state = self.state();
            let (start, blocks) = match &state.blocks {
                Some(index) => (None, Some(Arc::clone(index))),
                None => (Some(self.start(&state, from)), None),
            };
            (state.form, start, blocks, state.end)
        };
        let (path, to) = (segment_path(self.first, form), to.min(end));
        match (start, blocks) {
            (Some(start), _) => {
                read::read(storage, &path, start, to, &mut |index, entry| index < from || sink(index, entry))
            }
            (None, Some(index)) => read_packed(storage, &path, form, &index, from..to, sink),
            (None, None) => Ok(()),
        }
    }

    /// The nearest mark at or before an entry.
    fn start(&self, state: &State, from: u64) -> read::Start {
        let skipped = bundles_before(self.first);
        let number = (from / tlog::TILE_WIDTH).checked_sub(skipped).and_then(|n| usize::try_from(n).ok());
        match number.and_then(|n| state.marks.get(n).map(|mark| (n, *mark))) {
            Some((n, mark)) => {
                read::Start { index: (skipped + n as u64) * tlog::TILE_WIDTH, mark: Some(mark) }
            }
            None => read::Start { index: self.first, mark: None },
        }
    }
}

fn read_packed(
    storage: &dyn Storage,
    path: &str,
    form: Form,
    index: &Index,
    range: std::ops::Range<u64>,
    sink: &mut dyn FnMut(u64, &[u8]) -> bool,
) -> Result<(), LedgerError> {
    let begin = index.blocks.partition_point(|block| block.first <= range.start).saturating_sub(1);
    for (n, block) in index.blocks.iter().enumerate().skip(begin) {
        if block.first >= range.end {
            break;
        }
        let length = usize::try_from(index.block_end(n) - block.offset).unwrap_or(usize::MAX);
        let bytes = storage.read_at(path, block.offset, length).attempt("read", path)?;
        let why = || damaged(path, format!("the block at byte {} is not whole", block.offset));
        let raw = packed::unpack(form, &bytes, block).ok_or_else(why)?;
        for (at, entry) in (block.first..).zip(tlog::bundle::entries(&raw)) {
            let entry = entry.map_err(|_| why())?;
            if at >= range.end {
                return Ok(());
            }
            if at >= range.start && !sink(at, entry) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The segments, by the index of their first entry.
#[derive(Default, Debug)]
pub(crate) struct Map(RwLock<BTreeMap<u64, Arc<Segment>>>);

impl Map {
    pub(crate) fn insert(&self, segment: Arc<Segment>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(segment.first, segment);
    }

    pub(crate) fn remove(&self, first: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&first);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The segment that has the entry, if it is not yet or no longer there: none.
    fn holding(&self, index: u64) -> Option<Arc<Segment>> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = map.range(..=index).next_back().map(|(_, segment)| Arc::clone(segment));
        found.filter(|segment| index < segment.end())
    }

    /// Index of the first entry that is kept.
    pub(crate) fn begin(&self) -> Option<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().next().copied()
    }

    /// Gives the entries of a range to `sink`, until it answers `false` or an entry is not there; answers the index
    /// after the last one given.
    pub(crate) fn read(
        &self,
        storage: &dyn Storage,
        range: std::ops::Range<u64>,
        sink: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<u64, LedgerError> {
        let (mut next, mut wanted) = (range.start, true);
        while next < range.end && wanted {
            let Some(segment) = self.holding(next) else { break };
            let path = segment.path();
            let before = next;
            let given = segment.read(storage, next, range.end, &mut |index, entry| {
                next = index + 1;
                wanted = sink(index, entry);
                wanted
            });
            match given {
                // Replaced by its compressed form, or pruned, since it was looked up.
                Err(_) if next == before && self.holding(next).is_none_or(|now| now.path() != path) => {}
                given => given?,
            }
        }
        Ok(next)
    }
}

/// Reads what a closed segment says of itself; `None` when it is not closed.
pub(crate) fn load_closed(
    storage: &dyn Storage,
    first: u64,
    form: Form,
) -> Result<Option<Segment>, LedgerError> {
    let path = segment_path(first, form);
    let length = storage.length(&path).attempt("read", &path)?;
    let bytes = |offset: u64, count: usize| storage.read_at(&path, offset, count).attempt("read", &path);
    if form != Form::Plain {
        let index = packed::read_index(form, length, bytes)?.filter(|index| index.first == first);
        let index = index.ok_or_else(|| damaged(&path, "its index is not whole"))?;
        return Ok(Some(Segment::packed(form, index)));
    }
    if !end::is_closed(length) {
        return Ok(None);
    }
    let header = Header::read(&bytes(0, FIRST_RECORD)?, first)
        .ok_or_else(|| damaged(&path, "its header is not whole"))?;
    let tail = bytes(length.saturating_sub(end::TAIL as u64), end::TAIL)?;
    let size = End::length(&tail).ok_or_else(|| damaged(&path, "its end is not whole"))?;
    let found = End::read(&bytes(length.saturating_sub(size as u64), size)?, &header.salt)
        .filter(|found| found.first == first && found.at + size as u64 == length)
        .ok_or_else(|| damaged(&path, "its end is not whole"))?;
    Ok(Some(Segment::plain(&header, found.end, found.at, found.marks, Stage::Closed, found.closed)))
}
