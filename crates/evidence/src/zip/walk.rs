//! From the central directory to digests: every entry in the order in which it stands.

use std::io::{self, BufRead, Read};

use gm::DualDigest;
use seal::{Entry, EntryKind};

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
    let mut buffer = vec![0; content::CHUNK];
    for (at, record) in records.iter().enumerate() {
        let limit = records.get(at + 1).map_or(directory.range.start, |next| next.offset);
        let end = record.least_end().min(limit);
        let mut reader = EntryReader { tape, record, limit, budget: &budget, end };
        let found = reader.read(&mut buffer);
        let end = reader.end;
        collector.place(&record.path, [record.offset..end, record.central.clone()]);
        collector.take(record.path.as_str(), found)?;
    }
    Ok(())
}

struct EntryReader<'a, 'b> {
    tape: &'a mut Tape<'b>,
    record: &'a Record,
    /// Where the next thing starts.
    limit: u64,
    budget: &'a Budget,
    /// How far this entry is known to reach; as the central directory has it until the local header was read.
    end: u64,
}

impl EntryReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Entry, EvidenceError> {
        let record = self.record;
        self.tape.skip_to(record.offset)?;
        if self.tape.position() != record.offset {
            return Err(self.wrong("it overlaps another entry, or lies outside of the archive"));
        }
        let header = local::check_header(self.tape, record)?;
        let data = record.offset + header;
        let data_end = data.checked_add(record.compressed).filter(|end| *end <= self.limit);
        let data_end = data_end.ok_or_else(|| self.wrong("it overlaps what follows it"))?;
        self.end = data_end;
        let mut target = Vec::new();
        let mut input = self.tape.by_ref().take(record.compressed);
        let digest = decode(&mut input, record, self.budget, buffer, &mut target)?;
        self.tape.skip_to(data_end)?;
        self.check_descriptor(data_end)?;
        entry(record, digest, &target)
    }

    fn check_descriptor(&mut self, data_end: u64) -> Result<(), EvidenceError> {
        if !self.record.has_descriptor() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let room = (self.limit - data_end).min(local::MAX_DESCRIPTOR);
        self.tape.by_ref().take(room).read_to_end(&mut bytes).map_err(|e| {
            EvidenceError::from_io(e, |source| EvidenceError::Decode { path: self.record.path.to_string(), source })
        })?;
        self.end = data_end + local::descriptor_length(&bytes, self.record)?;
        Ok(())
    }

    fn wrong(&self, why: &'static str) -> EvidenceError {
        EvidenceError::entry(self.record.path.as_str(), why)
    }
}

/// Decodes and hashes the data of an entry, and holds it to the size and the CRC that its headers say.
fn decode(
    input: &mut io::Take<impl BufRead>,
    record: &Record,
    budget: &Budget,
    buffer: &mut [u8],
    target: &mut Vec<u8>,
) -> Result<DualDigest, EvidenceError> {
    let mut crc = crc32fast::Hasher::new();
    let mut size = 0u64;
    let each = |piece: &[u8]| {
        budget.spend(piece.len() as u64).map_err(EvidenceError::into_io)?;
        size += piece.len() as u64;
        if size > record.size {
            return Err(EvidenceError::entry(record.path.as_str(), "it unpacks to more than its size").into_io());
        }
        crc.update(piece);
        if record.kind == EntryKind::Symlink {
            target.extend(piece);
        }
        Ok(())
    };
    let failed = |e| {
        EvidenceError::from_io(e, |source| EvidenceError::Decode { path: record.path.to_string(), source })
    };
    let (size, digest) = match record.method {
        DEFLATED => content::hash(&mut flate2::bufread::DeflateDecoder::new(&mut *input), buffer, each),
        _ => content::hash(input, buffer, each),
    }
    .map_err(failed)?;
    let wrong = |why| Err(EvidenceError::entry(record.path.as_str(), why));
    match () {
        () if size != record.size => wrong("it unpacks to less than its size"),
        () if input.limit() != 0 => wrong("its data is longer than what unpacks"),
        () if crc.finalize() != record.crc => wrong("its content does not have its CRC"),
        () => Ok(digest),
    }
}

fn entry(record: &Record, digest: DualDigest, target: &[u8]) -> Result<Entry, EvidenceError> {
    let path = record.path.clone();
    Ok(match record.kind {
        EntryKind::File => Entry::file(path, record.mode, record.size, digest),
        EntryKind::Directory => Entry::directory(path, record.mode),
        EntryKind::Symlink => {
            let target = std::str::from_utf8(target)
                .map_err(|_| EvidenceError::entry(path.as_str(), "its target is not UTF-8"))?;
            Entry::symlink(path, target)
        }
    })
}
