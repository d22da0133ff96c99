//! From the central directory to digests: every entry in the order in which it stands.

use std::io::{BufRead, Read};

use gm::DualDigest;
use seal::{Entry, EntryKind};

use super::pool::{self, Intake};
use super::{DEFLATED, Record, central, end, local};
use crate::budget::Budget;
use crate::collector::Collector;
use crate::content;
use crate::error::EvidenceError;
use crate::options::Options;
use crate::source::ReadAt;
use crate::tape::Tape;

pub(crate) fn walk(
    source: &dyn ReadAt,
    tape: &mut Tape<'_>,
    options: &Options,
    collector: &mut Collector,
) -> Result<(), EvidenceError> {
    let budget = Budget::new(options.limits, source.size());
    let directory = match end::find(source) {
        Ok(directory) => directory,
        Err(error) => return collector.broken(error),
    };
    let mut records = central::read(source, &directory, &budget, collector)?;
    records.sort_by_key(|record| record.offset);
    let mut decoder = Decoder::new(&budget);
    let outcomes = pool::run(options.workers(), options.tolerant, &budget, |intake| {
        for (at, record) in records.iter().enumerate().take_while(|_| !intake.stopped()) {
            let limit = records.get(at + 1).map_or(directory.range.start, |next| next.offset);
            let end = record.least_end().min(limit);
            let mut reader = EntryReader { tape, record, limit, end };
            reader.read(at, &mut decoder, intake);
            let end = reader.end;
            collector.place(&record.path, [record.offset..end, record.central.clone()]);
        }
        Ok(())
    })?;
    for (at, found) in outcomes {
        let path = records.get(at).map_or("", |record| record.path.as_str());
        collector.take(path, found)?;
    }
    Ok(())
}

struct EntryReader<'a, 'b, 'r> {
    tape: &'a mut Tape<'b>,
    record: &'r Record,
    /// Where the next thing starts.
    limit: u64,
    /// How far this entry is known to reach; as the central directory has it until the local header was read.
    end: u64,
}

impl<'r> EntryReader<'_, '_, 'r> {
    fn read(&mut self, at: usize, decoder: &mut Decoder<'_>, intake: &Intake<'_, 'r>) {
        match self.data(decoder) {
            Ok(Data::Packed(data)) => intake.send(at, self.record, data),
            Ok(Data::Read(entry)) => intake.put(at, Ok(entry)),
            Err(error) => intake.put(at, Err(error)),
        }
    }

    fn data(&mut self, decoder: &mut Decoder<'_>) -> Result<Data, EvidenceError> {
        let record = self.record;
        self.tape.skip_to(record.offset)?;
        if self.tape.position() != record.offset {
            return Err(self.wrong("it overlaps another entry, or lies outside of the archive"));
        }
        let start = record.offset + local::check_header(self.tape, record)?;
        let end = start.checked_add(record.compressed).filter(|end| *end <= self.limit);
        let end = end.ok_or_else(|| self.wrong("it overlaps what follows it"))?;
        self.end = end;
        let data = if record.compressed > pool::LARGE {
            Data::Read(read_entry(decoder, record, self.tape)?)
        } else {
            Data::Packed(self.take(record.compressed)?)
        };
        self.tape.skip_to(end)?;
        self.check_descriptor(end)?;
        Ok(data)
    }

    fn take(&mut self, count: u64) -> Result<Vec<u8>, EvidenceError> {
        let mut bytes = Vec::with_capacity(usize::try_from(count.min(pool::LARGE)).unwrap_or(0));
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

/// What became of an entry's data on the reading thread.
enum Data {
    /// Copied, to be decoded elsewhere.
    Packed(Vec<u8>),
    /// Decoded here.
    Read(Entry),
}

/// What one thread needs to decode.
pub(super) struct Decoder<'a> {
    budget: &'a Budget,
    buffer: Vec<u8>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Self { budget, buffer: vec![0; content::CHUNK] }
    }
}

/// Decodes and hashes the data of an entry, which `input` is at.
pub(super) fn read_entry(
    decoder: &mut Decoder<'_>,
    record: &Record,
    input: &mut impl BufRead,
) -> Result<Entry, EvidenceError> {
    let mut target = Vec::new();
    let digest = decode(decoder, record, input, &mut target)?;
    let path = record.path.clone();
    Ok(match record.kind {
        EntryKind::File => Entry::file(path, record.mode, record.size, digest),
        EntryKind::Directory => Entry::directory(path, record.mode),
        EntryKind::Symlink => {
            let target = std::str::from_utf8(&target)
                .map_err(|_| EvidenceError::entry(path.as_str(), "its target is not UTF-8"))?;
            Entry::symlink(path, target)
        }
    })
}

/// Holds the content to the size and the CRC that the headers say. A symbolic link's is kept in `target`.
fn decode(
    decoder: &mut Decoder<'_>,
    record: &Record,
    input: &mut impl BufRead,
    target: &mut Vec<u8>,
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
        if record.kind == EntryKind::Symlink {
            target.extend(piece);
        }
        Ok(())
    };
    let mut input = input.take(record.compressed);
    let hashed = match record.method {
        DEFLATED => {
            content::hash(&mut flate2::bufread::DeflateDecoder::new(&mut input), &mut decoder.buffer, each)
        }
        _ => content::hash(&mut input, &mut decoder.buffer, each),
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
