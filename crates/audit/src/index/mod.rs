//! The index: which entries of the ledger can be meant by a condition. Derived and disposable.
//!
//! It names candidates, never answers: each is read and judged by the event itself, so a key that two values share
//! costs a read and no more. What is missing, torn, of another version or of another history of the log is not used,
//! and what is not used is scanned. The files are `docs/formats/index.md`; why they are so is `docs/design/0010`.

mod format;
mod keeper;
mod keys;
mod segment;

use event::{EventId, Severity};

use crate::query::Conditions;

pub(crate) use format::{PAGE, decode, decode_page};
pub(crate) use keeper::{Index, Keeper, parse_bound};
pub(crate) use keys::{Facts, facts, of_event, scan};
#[cfg(test)]
pub(crate) use segment::{Tail, candidates, path, read_head};

/// Entries of a segment; an offset in one fits into 16 bits.
pub(crate) const SEGMENT: u64 = 65_536;
/// Entries that share an entry in the table of times: one bundle.
pub(crate) const BLOCK: usize = 256;

/// What an index says of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Candidates {
    /// Nothing is excluded.
    All,
    /// At most these, by their offset in the segment, ascending.
    Some(Vec<u16>),
}

/// An index as a search sees it.
pub(crate) trait View: Sync {
    /// The candidates among the first entries of a segment, and how many entries those are; the rest is not indexed.
    fn candidates(&self, segment: u64, wanted: &Wanted) -> (Candidates, u32);
}

/// Conditions in the terms of the index.
#[derive(Default, Debug)]
pub(crate) struct Wanted {
    /// The action begins so.
    pub(crate) act: Option<String>,
    /// Keys that all must be there.
    pub(crate) all: Vec<u32>,
    /// Keys of which one must be there; none when it does not matter.
    pub(crate) any: Vec<u32>,
    /// The stamps of [`keys::stamp`] that can be meant, both ends included.
    pub(crate) times: Option<(u64, u64)>,
}

impl Wanted {
    pub(crate) fn of(conditions: &Conditions) -> Self {
        let mut all = Vec::new();
        if let Some(id) = conditions.id {
            all.push(keys::id(&id.to_text()));
        }
        if let Some(trace) = &conditions.trace_id {
            all.push(keys::of_text(keys::TRACE, "trace_id", trace));
        }
        let pairs = conditions.subject.iter().map(|pair| (keys::SUBJECT, pair));
        let pairs = pairs.chain(conditions.object.iter().map(|pair| (keys::OBJECT, pair)));
        // A value that may stand as a token, alone or behind a sealed value, has no key of its own.
        let plain = pairs.filter(|(_, pair)| pair.tokens.is_empty());
        all.extend(plain.map(|(tag, pair)| keys::of_text(tag, &pair.name, &pair.value)));
        let grave = conditions.severity.filter(|least| *least >= Severity::Warn);
        let any = grave.map_or_else(Vec::new, |least| {
            Severity::ALL
                .iter()
                .filter(|one| **one >= least)
                .map(|one| keys::severity(one.as_str()))
                .collect()
        });
        let times = (conditions.since.is_some() || conditions.until.is_some()).then(|| {
            let since = conditions.since.map_or(0, |since| keys::stamp(since.as_str().as_bytes()));
            let until = conditions.until.map_or(u64::MAX, |until| keys::stamp(until.as_str().as_bytes()));
            (since, until)
        });
        Self { act: conditions.act.clone(), all, any, times }
    }

    /// The event of an id.
    pub(crate) fn of_id(id: EventId) -> Self {
        Self { all: vec![keys::id(&id.to_text())], ..Self::default() }
    }

    /// Whether an index cannot exclude anything.
    pub(crate) fn is_anything(&self) -> bool {
        self.act.is_none() && self.all.is_empty() && self.any.is_empty() && self.times.is_none()
    }
}
