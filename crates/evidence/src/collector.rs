//! What a reader found so far.

use std::ops::Range;

use gm::DualDigest;
use seal::{Container, Entry, EntryPath, Fault, Observation, ObservedKind, Place};

use crate::budget::check_entries;
use crate::error::EvidenceError;
use crate::options::{Limits, Options};

pub(crate) struct Collector {
    limits: Limits,
    tolerant: bool,
    entries: Vec<Entry>,
    places: Vec<Place>,
    faults: Vec<Fault>,
    broken: Option<String>,
}

impl Collector {
    pub(crate) fn new(options: &Options) -> Self {
        let Options { limits, tolerant, .. } = *options;
        Self { limits, tolerant, entries: Vec::new(), places: Vec::new(), faults: Vec::new(), broken: None }
    }

    pub(crate) fn entry(&mut self, entry: Entry) -> Result<(), EvidenceError> {
        self.entries.push(entry);
        check_entries(&self.limits, self.entries.len() + self.faults.len())
    }

    /// Takes an entry, or why there is none.
    pub(crate) fn take(
        &mut self,
        path: &str,
        found: Result<Entry, EvidenceError>,
    ) -> Result<(), EvidenceError> {
        match found {
            Ok(entry) => self.entry(entry),
            Err(error) => self.fault(path, error),
        }
    }

    /// Notes an entry that does not read; an error unless the reader is tolerant and it is the artefact's fault.
    pub(crate) fn fault(&mut self, path: &str, error: EvidenceError) -> Result<(), EvidenceError> {
        if !self.tolerant || !error.is_damage() {
            return Err(error);
        }
        self.faults.push(Fault { path: path.to_owned(), reason: error.reason_of_entry() });
        check_entries(&self.limits, self.entries.len() + self.faults.len())
    }

    /// Notes that nothing after this point can be read, likewise.
    pub(crate) fn broken(&mut self, error: EvidenceError) -> Result<(), EvidenceError> {
        if !self.tolerant || !error.is_damage() {
            return Err(error);
        }
        self.broken.get_or_insert_with(|| error.reason());
        Ok(())
    }

    pub(crate) fn place(&mut self, path: &EntryPath, ranges: impl IntoIterator<Item = Range<u64>>) {
        self.places.push(Place { path: path.clone(), ranges: ranges.into_iter().collect() });
    }

    pub(crate) fn finish(
        self,
        kind: ObservedKind,
        digest: Option<DualDigest>,
        container: Option<Container>,
    ) -> Observation {
        let Self { entries, places, faults, broken, .. } = self;
        Observation { kind, digest, entries, container, places, faults, broken }
    }
}
