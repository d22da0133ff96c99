//! The search: what the index cannot exclude is read, and what was read is judged by the event itself.
//!
//! An index may only ever name too many candidates. What is not indexed yet, or not legible, is scanned, several
//! chunks at a time on as many cores as there are.

use std::ops::Range;

use super::{Conditions, Filter, Found};
use crate::AuditError;
use crate::index::{Candidates, SEGMENT, View, Wanted};

/// Takes what is found; an error ends the search.
pub(crate) type Sink<'s> = dyn FnMut(Found) -> Result<(), AuditError> + 's;

/// Entries that stand together on disk: one bundle.
const BUNDLE: u64 = 256;
/// Entries of the first chunk of a scan; each round takes twice as many, so that a small limit costs little.
const FIRST_CHUNK: u64 = BUNDLE;
/// Entries of the largest chunk.
const LARGEST_CHUNK: u64 = 32 * BUNDLE;
/// More threads than this do not help one disk.
const MAX_THREADS: usize = 8;

/// Where entries are read from.
pub(crate) trait Source: Sync {
    /// The indices that can be read.
    fn range(&self) -> Range<u64>;
    /// Gives the entries of a range, in order, while `each` says so.
    fn read(&self, range: Range<u64>, each: &mut dyn FnMut(u64, Vec<u8>) -> bool) -> Result<(), AuditError>;
}

/// A part of the ledger that is read next.
enum Part {
    /// Everything in it.
    Scan(Range<u64>),
    /// These.
    Pick(Vec<u64>),
}

/// Gives `sink` what meets the filter, in order, or against it.
pub(crate) fn search(
    source: &dyn Source,
    view: Option<&dyn View>,
    filter: &Filter,
    sink: &mut Sink<'_>,
) -> Result<(), AuditError> {
    search_for(source, view, filter, &filter.conditions()?, sink)
}

/// As [`search`], for conditions that were made of the filter.
pub(crate) fn search_for(
    source: &dyn Source,
    view: Option<&dyn View>,
    filter: &Filter,
    conditions: &Conditions,
    sink: &mut Sink<'_>,
) -> Result<(), AuditError> {
    let there = source.range();
    let start = filter.from.unwrap_or(0).max(there.start);
    let end = filter.to.unwrap_or(there.end).min(there.end);
    let mut search = Search {
        source,
        conditions,
        reverse: filter.reverse,
        left: filter.limit.unwrap_or(u64::MAX),
        chunk: FIRST_CHUNK,
        sink,
    };
    let wanted = Wanted::of(conditions);
    let mut at = if filter.reverse { end } else { start };
    while start < end && search.left > 0 && if filter.reverse { at > start } else { at < end } {
        let segment = if filter.reverse { (at - 1) / SEGMENT } else { at / SEGMENT };
        let within = start.max(segment * SEGMENT)..end.min((segment + 1) * SEGMENT);
        let mut parts = parts(view, segment, within.clone(), &wanted);
        if filter.reverse {
            parts.reverse();
        }
        for part in parts {
            search.part(part)?;
        }
        at = if filter.reverse { within.start } else { within.end };
    }
    Ok(())
}

/// What of a segment has to be read: of the indexed front the candidates, everything behind it.
fn parts(view: Option<&dyn View>, segment: u64, within: Range<u64>, wanted: &Wanted) -> Vec<Part> {
    let first = segment * SEGMENT;
    let (candidates, covered) = view.map_or((Candidates::All, 0), |view| view.candidates(segment, wanted));
    let indexed = (first + u64::from(covered)).clamp(within.start, within.end);
    let front = match candidates {
        Candidates::All => Part::Scan(within.start..indexed),
        Candidates::Some(offsets) => {
            let range = within.start..indexed;
            let picked = offsets.into_iter().map(|offset| first + u64::from(offset));
            Part::Pick(picked.filter(|index| range.contains(index)).collect())
        }
    };
    vec![front, Part::Scan(indexed..within.end)]
}

struct Search<'a, 's> {
    source: &'a dyn Source,
    conditions: &'a Conditions,
    reverse: bool,
    left: u64,
    chunk: u64,
    sink: &'a mut Sink<'s>,
}

impl Search<'_, '_> {
    fn part(&mut self, part: Part) -> Result<(), AuditError> {
        match part {
            Part::Scan(range) => self.scan(range),
            Part::Pick(indices) => self.pick(&indices),
        }
    }

    /// Reads the bundles that candidates stand in, a few at a time.
    fn pick(&mut self, indices: &[u64]) -> Result<(), AuditError> {
        let mut bundles: Vec<&[u64]> = indices.chunk_by(|a, b| a / BUNDLE == b / BUNDLE).collect();
        if self.reverse {
            bundles.reverse();
        }
        let mut bundles = &bundles[..];
        while self.left > 0 && !bundles.is_empty() {
            let at_once = usize::try_from(self.chunk / BUNDLE).unwrap_or(1).clamp(1, bundles.len());
            let (now, later) = bundles.split_at(at_once);
            let (source, conditions) = (self.source, self.conditions);
            let groups: Vec<&[&[u64]]> = now.chunks(now.len().div_ceil(threads())).collect();
            let found = in_parallel(&groups, |group: &[&[u64]]| {
                let mut found = Vec::new();
                for bundle in group {
                    if let (Some(first), Some(last)) = (bundle.first(), bundle.last()) {
                        let chosen = Some(*bundle);
                        found.push(judge(source, conditions, *first..*last + 1, chosen)?);
                    }
                }
                Ok(found)
            })?;
            self.grow();
            for found in found.into_iter().flatten() {
                self.give(found)?;
            }
            bundles = later;
        }
        Ok(())
    }

    fn scan(&mut self, range: Range<u64>) -> Result<(), AuditError> {
        let mut rest = range;
        while self.left > 0 && !rest.is_empty() {
            let mut chunks = Vec::new();
            while chunks.len() < threads() && !rest.is_empty() {
                // Chunks end where bundles do.
                let chunk = if self.reverse {
                    let from = (rest.end - 1) / BUNDLE * BUNDLE + BUNDLE;
                    let from = from.saturating_sub(self.chunk).max(rest.start);
                    let chunk = from..rest.end;
                    rest.end = from;
                    chunk
                } else {
                    let to = (rest.start / BUNDLE * BUNDLE + self.chunk).min(rest.end);
                    let chunk = rest.start..to;
                    rest.start = to;
                    chunk
                };
                chunks.push(chunk);
            }
            let (source, conditions) = (self.source, self.conditions);
            let found = in_parallel(&chunks, |chunk| judge(source, conditions, chunk, None))?;
            self.grow();
            for found in found {
                self.give(found)?;
            }
        }
        Ok(())
    }

    fn grow(&mut self) {
        self.chunk = (self.chunk * 2).min(LARGEST_CHUNK);
    }

    fn give(&mut self, mut found: Vec<Found>) -> Result<(), AuditError> {
        if self.reverse {
            found.reverse();
        }
        for found in found {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            (self.sink)(found)?;
        }
        Ok(())
    }
}

/// What of a range, or of the chosen entries in it, meets the conditions.
fn judge(
    source: &dyn Source,
    conditions: &Conditions,
    range: Range<u64>,
    chosen: Option<&[u64]>,
) -> Result<Vec<Found>, AuditError> {
    let mut found = Vec::new();
    source.read(range, &mut |index, stored| {
        if chosen.is_none_or(|chosen| chosen.binary_search(&index).is_ok()) && conditions.hold(&stored) {
            found.push(Found { index, stored });
        }
        true
    })?;
    Ok(found)
}

fn threads() -> usize {
    static THREADS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS)))
}

/// Does each piece of work on a thread of its own, and gives the results in order.
fn in_parallel<W: Clone + Send, T: Send>(
    work: &[W],
    each: impl Fn(W) -> Result<T, AuditError> + Sync,
) -> Result<Vec<T>, AuditError> {
    if let [only] = work {
        return Ok(vec![each(only.clone())?]);
    }
    let each = &each;
    std::thread::scope(|scope| {
        let threads: Vec<_> = work.iter().cloned().map(|piece| scope.spawn(move || each(piece))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}
