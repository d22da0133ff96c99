//! From the central directory to digests: every entry in the order in which it stands for a sink, on the lanes of the
//! engine otherwise.

use std::io::{self, BufRead, Read};
use std::ops::Range;

use gm::DualDigest;
use gmdevice::Device;
use seal::{Entry, EntryKind};

use super::supply::{Listing, Outcome, Supplier};
use super::task::Pool;
use super::{DEFLATED, Record, local};
use crate::Progress;
use crate::budget::Budget;
use crate::collector::Collector;
use crate::content;
use crate::engine;
use crate::error::EvidenceError;
use crate::meter::Meter;
use crate::options::Options;
use crate::source::ReadAt;
use crate::tape::Tape;

/// Reads what stands in the archive on `tape`, in its order, for a sink.
pub(crate) fn walk_in_order(
    source: &dyn ReadAt,
    tape: &mut Tape<'_>,
    options: &Options,
    collector: &mut Collector<'_>,
) -> Result<(), EvidenceError> {
    let budget = Budget::new(options.limits, source.size());
    let Some(listing) = Listing::read(source, &budget, collector)? else { return Ok(()) };
    let mut decoder = Decoder::new(&budget, options);
    for (record, limit) in listing.entries() {
        let mut reader = EntryReader::new(tape, record, limit);
        let found = reader.read(&mut decoder, &mut |piece| collector.content(&record.path, piece));
        collector.place(&record.path, reader.place());
        collector.take(record.path.as_str(), found)?;
    }
    Ok(())
}

/// Hashes every entry on the threads of the engine, and runs `beside` meanwhile.
pub(crate) fn walk<R>(
    source: &dyn ReadAt,
    options: &Options,
    progress: Progress<'_>,
    collector: &mut Collector<'_>,
    beside: impl FnOnce() -> R,
) -> Result<R, EvidenceError> {
    let budget = Budget::new(options.limits, source.size());
    let Some(listing) = Listing::read(source, &budget, collector)? else { return Ok(beside()) };
    let pool = Pool::default();
    let meter = Meter::new(progress, Some(source.size()));
    let supply = Supplier::new(&listing, source, (&budget, &pool), options, &meter);
    let threads = options.workers().min(listing.records.len().div_ceil(2));
    let result = engine::run(&supply, (threads, options.sm3.as_deref()), beside);
    collector.reserve(listing.records.len());
    for Outcome { number, found, end, image } in supply.into_outcomes() {
        let record = &listing.records[number];
        collector.place(&record.path, [record.offset..end, record.central.clone()]);
        collector.image(image.map(|image| *image));
        collector.take(record.path.as_str(), found)?;
    }
    Ok(result)
}

/// Room that is made for a descriptor or a header at once.
const TAKE: u64 = 4096;

struct EntryReader<'a, 'b, 'r> {
    tape: &'a mut Tape<'b>,
    record: &'r Record,
    /// Where the next thing starts.
    limit: u64,
    /// How far this entry is known to reach; as the central directory has it until the local header was read.
    end: u64,
}

impl<'a, 'b, 'r> EntryReader<'a, 'b, 'r> {
    fn new(tape: &'a mut Tape<'b>, record: &'r Record, limit: u64) -> Self {
        Self { tape, record, limit, end: record.least_end().min(limit) }
    }

    /// The bytes that are this entry's.
    fn place(&self) -> [Range<u64>; 2] {
        [self.record.offset..self.end, self.record.central.clone()]
    }

    /// Decodes the entry here; `content` sees a file's.
    fn read(&mut self, decoder: &mut Decoder<'_>, content: Content<'_>) -> Result<Entry, EvidenceError> {
        let end = self.find_data()?;
        let entry = read_entry(decoder, self.record, self.tape, content)?;
        self.finish(end)?;
        Ok(entry)
    }

    /// Goes to where the data starts, and says where it ends.
    fn find_data(&mut self) -> Result<u64, EvidenceError> {
        let record = self.record;
        self.tape.skip_to(record.offset)?;
        if self.tape.position() != record.offset {
            return Err(self.wrong("it overlaps another entry, or lies outside of the archive"));
        }
        let start = record.offset + local::check_header(self.tape, record)?;
        let end = start.checked_add(record.compressed).filter(|end| *end <= self.limit);
        self.end = end.ok_or_else(|| self.wrong("it overlaps what follows it"))?;
        Ok(self.end)
    }

    fn finish(&mut self, data_end: u64) -> Result<(), EvidenceError> {
        self.tape.skip_to(data_end)?;
        self.check_descriptor(data_end)
    }

    fn take(&mut self, count: u64) -> Result<Vec<u8>, EvidenceError> {
        let mut bytes = Vec::with_capacity(usize::try_from(count.min(TAKE)).unwrap_or(0));
        let read = self.tape.by_ref().take(count).read_to_end(&mut bytes);
        read.map_err(|e| EvidenceError::from_io(e, |e| EvidenceError::decode(&self.record.path, e)))?;
        Ok(bytes)
    }

    fn check_descriptor(&mut self, data_end: u64) -> Result<(), EvidenceError> {
        if !self.record.has_descriptor() {
            return Ok(());
        }
        let bytes = self.take((self.limit - data_end).min(local::MAX_DESCRIPTOR))?;
        self.end = data_end + local::descriptor_length(&bytes, self.record)?;
        Ok(())
    }

    fn wrong(&self, why: &'static str) -> EvidenceError {
        EvidenceError::entry(self.record.path.as_str(), why)
    }
}

/// Sees the content of a file, piece by piece, and may stop.
type Content<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// What one thread needs to decode.
pub(super) struct Decoder<'a> {
    budget: &'a Budget,
    device: Option<&'a Device>,
    buffer: Vec<u8>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(budget: &'a Budget, options: &'a Options) -> Self {
        let device = options.sm3.as_deref();
        Self { budget, device, buffer: vec![0; content::CHUNK] }
    }
}

/// Decodes and hashes the data of an entry, which `input` is at.
pub(super) fn read_entry(
    decoder: &mut Decoder<'_>,
    record: &Record,
    input: &mut impl BufRead,
    content: Content<'_>,
) -> Result<Entry, EvidenceError> {
    let mut target = Vec::new();
    let digest = match record.kind {
        EntryKind::Symlink => decode(decoder, record, input, &mut |piece| {
            target.extend(piece);
            Ok(())
        }),
        _ => decode(decoder, record, input, content),
    }?;
    record.entry(digest, &target)
}

/// Holds the content to the size and the CRC that the headers say.
fn decode(
    decoder: &mut Decoder<'_>,
    record: &Record,
    input: &mut impl BufRead,
    content: Content<'_>,
) -> Result<DualDigest, EvidenceError> {
    let wrong = |why| EvidenceError::entry(record.path.as_str(), why);
    let mut crc = crc32fast::Hasher::new();
    let mut size = 0u64;
    let each = |piece: &[u8]| {
        decoder.budget.spend(piece.len() as u64).map_err(EvidenceError::into_io)?;
        size += piece.len() as u64;
        if size > record.size {
            return Err(wrong("it unpacks to more than its size").into_io());
        }
        crc.update(piece);
        content(piece)
    };
    let mut input = input.take(record.compressed);
    let hashed = match record.method {
        DEFLATED => {
            let mut inflated = flate2::bufread::DeflateDecoder::new(&mut input);
            content::hash(&mut inflated, &mut decoder.buffer, decoder.device, each)
        }
        _ => content::hash(&mut input, &mut decoder.buffer, decoder.device, each),
    };
    let (size, digest) =
        hashed.map_err(|e| EvidenceError::from_io(e, |e| EvidenceError::decode(&record.path, e)))?;
    match () {
        () if size != record.size => Err(wrong("it unpacks to less than its size")),
        () if input.limit() != 0 => Err(wrong("its data is longer than what unpacks")),
        () if crc.finalize() != record.crc => Err(wrong("its content does not have its CRC")),
        () => Ok(digest),
    }
}
