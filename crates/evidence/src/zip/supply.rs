//! The entries of an archive as contents for the engine.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gm::DualDigest;
use seal::Entry;

use super::task::{EntryTask, Pool};
use super::{Record, central, end, local, recovery};
use crate::budget::Budget;
use crate::collector::Collector;
use crate::engine::{Next, Supply};
use crate::error::EvidenceError;
use crate::image::{Image, Images};
use crate::meter::Meter;
use crate::options::Options;
use crate::source::ReadAt;

/// What the central directory lists, in the order in which it stands in the archive.
pub(super) struct Listing {
    pub(super) records: Vec<Record>,
    /// Where the central directory starts.
    end: u64,
}

impl Listing {
    /// `None` when it cannot be found, and the collector took that.
    pub(super) fn read(
        source: &dyn ReadAt,
        budget: &Budget,
        collector: &mut Collector<'_>,
    ) -> Result<Option<Self>, EvidenceError> {
        let directory = match end::find(source) {
            Ok(directory) => directory,
            Err(error) => {
                let error = recovery::without_directory(source, error);
                return collector.broken(error).map(|()| None);
            }
        };
        let mut records = central::read(source, &directory, budget, collector)?;
        records.sort_by_key(|record| record.offset);
        Ok(Some(Self { records, end: directory.range.start }))
    }

    /// Each record with the place where the next thing starts.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Record, u64)> {
        (0..self.records.len()).map(|number| (&self.records[number], self.limit(number)))
    }

    fn limit(&self, number: usize) -> u64 {
        self.records.get(number + 1).map_or(self.end, |next| next.offset)
    }

    /// Whether the entry before reaches into this one, by its least length: each of the two is then refused.
    fn is_overlapped(&self, number: usize) -> bool {
        let before = number.checked_sub(1).and_then(|before| self.records.get(before));
        let here = self.records[number].offset;
        here >= self.end || before.is_some_and(|b| here < b.offset.saturating_add(local::least_header(b)))
    }
}

/// What came of an entry.
pub(super) struct Outcome {
    pub(super) number: usize,
    pub(super) found: Result<Entry, EvidenceError>,
    pub(super) end: u64,
    pub(super) image: Option<Box<Image>>,
}

/// Hands out entries, the largest first: the last ones to end are then small, and no thread waits long for another.
pub(super) struct Supplier<'a> {
    listing: &'a Listing,
    source: &'a dyn ReadAt,
    budget: &'a Budget,
    tolerant: bool,
    images: Images,
    meter: &'a Meter<'a>,
    order: Vec<u32>,
    next: AtomicUsize,
    stop: AtomicBool,
    pool: &'a Pool,
    outcomes: Mutex<Vec<Outcome>>,
}

/// A thread that panicked has poisoned the lock and will end the process when it is joined; until then the data is as
/// good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Supplier<'a> {
    pub(super) fn new(
        listing: &'a Listing,
        source: &'a dyn ReadAt,
        (budget, pool): (&'a Budget, &'a Pool),
        options: &Options,
        meter: &'a Meter<'a>,
    ) -> Self {
        let count = u32::try_from(listing.records.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        // By powers of two: among entries of about one size, the order on the disk is kept.
        order.sort_by_key(|at| listing.records[*at as usize].size.leading_zeros());
        Self {
            listing,
            source,
            budget,
            tolerant: options.tolerant,
            images: options.images,
            meter,
            order,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            pool,
            outcomes: Mutex::new(Vec::with_capacity(listing.records.len())),
        }
    }

    /// What was found, in the order of the archive.
    pub(super) fn into_outcomes(self) -> Vec<Outcome> {
        let mut outcomes = self.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_unstable_by_key(|outcome| outcome.number);
        outcomes
    }

    fn put(&self, outcome: Outcome) {
        let found = &outcome.found;
        if found.as_ref().is_err_and(|e| !self.tolerant || !e.is_damage()) {
            self.stop.store(true, Ordering::Relaxed);
        }
        lock(&self.outcomes).push(outcome);
    }
}

impl<'a> Supply for Supplier<'a> {
    type Task = EntryTask<'a, 'a>;

    fn next(&self, _: bool) -> Next<Self::Task> {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(number) = self.order.get(at).map(|number| *number as usize) else { return Next::Never };
            if self.stop.load(Ordering::Relaxed) {
                return Next::Never;
            }
            let (record, limit) = (&self.listing.records[number], self.listing.limit(number));
            if self.listing.is_overlapped(number) {
                let why = "it overlaps another entry, or lies outside of the archive";
                let found = Err(EvidenceError::entry(record.path.as_str(), why));
                let end = record.least_end().min(limit).max(record.offset);
                self.put(Outcome { number, found, end, image: None });
                continue;
            }
            let place = (number, record, limit);
            return Next::Task(EntryTask::new(
                place,
                (self.source, self.images),
                self.budget,
                self.pool,
                self.meter,
            ));
        }
    }

    fn done(&self, task: Self::Task, digest: Result<DualDigest, EvidenceError>) {
        let found = digest.and_then(|digest| task.entry(digest));
        let (number, end) = (task.number, task.end);
        let image = found.is_ok().then(|| task.into_image()).flatten().map(Box::new);
        self.put(Outcome { number, found, end, image });
    }
}
