//! What a reader found so far.

use std::io;
use std::ops::Range;

use gm::DualDigest;
use seal::{Container, Entry, EntryPath, Fault, Observation, ObservedKind, Place};

use crate::budget::check_entries;
use crate::error::EvidenceError;
use crate::image::Image;
use crate::nest::Closed;
use crate::options::{Limits, Options};
use crate::unpack::Sink;

/// Everything that a reader found.
pub(crate) struct Found {
    pub(crate) observation: Observation,
    pub(crate) images: Vec<Image>,
    pub(crate) closed: Vec<Closed>,
}

pub(crate) struct Collector<'s> {
    sink: Option<&'s mut dyn Sink>,
    limits: Limits,
    tolerant: bool,
    entries: Vec<Entry>,
    places: Vec<Place>,
    faults: Vec<Fault>,
    images: Vec<Image>,
    broken: Option<String>,
}

impl<'s> Collector<'s> {
    pub(crate) fn new(options: &Options) -> Self {
        let Options { limits, tolerant, .. } = *options;
        let (entries, places, faults, images) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { sink: None, limits, tolerant, entries, places, faults, images, broken: None }
    }

    /// Makes room for so many entries at once, instead of twice as many in the end.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.entries.reserve_exact(count);
    }

    /// Hands everything to `sink` too, as it is read.
    pub(crate) fn into_sink(mut self, sink: &'s mut dyn Sink) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Whether somebody takes the content too, in the order in which it is read.
    pub(crate) fn has_sink(&self) -> bool {
        self.sink.is_some()
    }

    /// A piece of a file's content, before anyone knows whether the whole of it is sound.
    pub(crate) fn content(&mut self, path: &EntryPath, piece: &[u8]) -> io::Result<()> {
        self.sink
            .as_mut()
            .map_or(Ok(()), |sink| sink.content(path, piece))
            .map_err(|e| EvidenceError::unwritten(path, e).into_io())
    }

    /// A file that is another name for one that came before.
    pub(crate) fn same_as(&mut self, path: &EntryPath, earlier: &EntryPath) -> Result<(), EvidenceError> {
        self.sink
            .as_mut()
            .map_or(Ok(()), |sink| sink.same_as(path, earlier))
            .map_err(|e| EvidenceError::unwritten(path, e))
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
            Ok(entry) => {
                let done = self.sink.as_mut().map_or(Ok(()), |sink| sink.complete(&entry));
                done.map_err(|e| EvidenceError::unwritten(&entry.path, e))?;
                self.entry(entry)
            }
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

    /// Where an entry stands; only a comparison asks for it, and for a million entries it is a hundred megabytes.
    pub(crate) fn place(&mut self, path: &EntryPath, ranges: impl IntoIterator<Item = Range<u64>>) {
        if !self.tolerant {
            return;
        }
        self.places.push(Place { path: path.clone(), ranges: ranges.into_iter().collect() });
    }

    pub(crate) fn image(&mut self, image: Option<Image>) {
        self.images.extend(image);
    }

    pub(crate) fn finish(
        self,
        kind: ObservedKind,
        digest: Option<DualDigest>,
        container: Option<Container>,
    ) -> Found {
        let Self { entries, places, faults, mut images, broken, .. } = self;
        images.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let observation = Observation { kind, digest, entries, container, places, faults, broken };
        Found { observation, images, closed: Vec::new() }
    }
}
