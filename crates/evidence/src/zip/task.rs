//! An entry that is read into a lane: its header is checked first, its descriptor, size and CRC when it ends.

use std::io::{self, BufRead, Read};
use std::sync::{Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};
use seal::{Entry, EntryKind};

use super::{DEFLATED, Record, local};
use crate::budget::Budget;
use crate::engine::{self, Task};
use crate::error::EvidenceError;
use crate::image::{Image, Images, Watch};
use crate::meter::Meter;
use crate::source::ReadAt;
use gm::DualDigest;

/// Bytes read ahead: the header and, of a small entry, everything.
const AHEAD: usize = 16 * 1024;

/// Bytes that are inflated at once. The decoder copies what a call gave into its window of 32 KiB, and matches that reach before
/// the call out of it: a tenth of its time goes when four times the window comes at once.
const INFLATED: usize = 4 * engine::CHUNK;

/// What a task needs while it reads, and then leaves to the next.
#[derive(Default)]
pub(super) struct Parts {
    ahead: Vec<u8>,
    inflate: Option<Box<Decompress>>,
}

/// Parts that nobody uses.
pub(super) type Pool = Mutex<Vec<Parts>>;

/// Bytes of the archive from some place on.
struct Input<'a> {
    source: &'a dyn ReadAt,
    ahead: Vec<u8>,
    at: usize,
    filled: usize,
    /// How much the first read takes: of a small entry all, and nothing of what follows it.
    first: usize,
    /// The source's offset behind `ahead`.
    offset: u64,
}

impl Input<'_> {
    fn position(&self) -> u64 {
        self.offset - (self.filled - self.at) as u64
    }

    fn read_at(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.source.read_at(out, self.offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(EvidenceError::Read { path: "archive".into(), source }.into_io()),
                Ok(count) => break count,
            }
        };
        self.offset += count as u64;
        Ok(count)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.filled {
            let mut ahead = std::mem::take(&mut self.ahead);
            let wanted = std::mem::replace(&mut self.first, AHEAD).min(ahead.len());
            let count = self.read_at(&mut ahead[..wanted]);
            self.ahead = ahead;
            self.filled = count?;
            self.at = 0;
        }
        Ok(&self.ahead[self.at..self.filled])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Input<'_> {
    /// Past what was read ahead, straight into the caller's buffer when that is large.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.filled && out.len() >= AHEAD {
            return self.read_at(out);
        }
        let ready = self.fill_buf()?;
        let count = ready.len().min(out.len());
        out[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Sees each entry's content, piece by piece.
pub(super) struct EntryTask<'a, 'r> {
    pub(super) record: &'r Record,
    /// Its place in the order of the archive.
    pub(super) number: usize,
    /// How far the entry is known to reach; as the central directory has it until the local header was read.
    pub(super) end: u64,
    /// Where the next thing starts.
    limit: u64,
    budget: &'a Budget,
    input: Input<'a>,
    inflate: Option<Box<Decompress>>,
    pool: &'a Pool,
    meter: &'a Meter<'a>,
    state: State,
    packed_left: u64,
    size: u64,
    crc: crc32fast::Hasher,
    target: Vec<u8>,
    watch: Watch,
}

#[derive(PartialEq, Eq)]
enum State {
    Header,
    Content,
    /// The compressed stream has ended.
    Ended,
}

impl<'a, 'r> EntryTask<'a, 'r> {
    pub(super) fn new(
        (number, record, limit): (usize, &'r Record, u64),
        (source, images): (&'a dyn ReadAt, Images),
        budget: &'a Budget,
        pool: &'a Pool,
        meter: &'a Meter<'a>,
    ) -> Self {
        let mut parts = pool.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        parts.ahead.resize(AHEAD, 0);
        let whole = limit.saturating_sub(record.offset).clamp(30, AHEAD as u64);
        let first = usize::try_from(whole).unwrap_or(AHEAD);
        let input = Input { source, ahead: parts.ahead, at: 0, filled: 0, first, offset: record.offset };
        Self {
            record,
            number,
            end: record.least_end().min(limit),
            limit,
            budget,
            input,
            inflate: parts.inflate,
            pool,
            meter,
            state: State::Header,
            packed_left: record.compressed,
            size: 0,
            crc: crc32fast::Hasher::new(),
            target: Vec::new(),
            watch: Watch::new(images, if record.kind == EntryKind::File { record.size } else { 0 }),
        }
    }

    pub(super) fn entry(&self, digest: DualDigest) -> Result<Entry, EvidenceError> {
        self.record.entry(digest, &self.target)
    }

    pub(super) fn into_image(self) -> Option<Image> {
        self.watch.image(&self.record.path)
    }

    /// Everything is read: a task may wait in its lane for others, and what it read with is large.
    fn release(&mut self) {
        let parts = Parts { ahead: std::mem::take(&mut self.input.ahead), inflate: self.inflate.take() };
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).push(parts);
    }

    fn wrong(&self, why: &'static str) -> EvidenceError {
        EvidenceError::entry(self.record.path.as_str(), why)
    }

    fn failed(&self, error: io::Error) -> EvidenceError {
        EvidenceError::from_io(error, |e| EvidenceError::decode(&self.record.path, e))
    }

    fn start(&mut self) -> Result<(), EvidenceError> {
        let start = self.record.offset + local::check_header(&mut self.input, self.record)?;
        let end = start.checked_add(self.record.compressed).filter(|end| *end <= self.limit);
        self.end = end.ok_or_else(|| self.wrong("it overlaps what follows it"))?;
        if self.record.method == DEFLATED {
            self.inflate.get_or_insert_with(|| Box::new(Decompress::new(false))).reset(false);
        }
        self.state = State::Content;
        Ok(())
    }

    fn stored(&mut self, out: &mut [u8]) -> Result<usize, EvidenceError> {
        let wanted = out.len().min(usize::try_from(self.packed_left).unwrap_or(usize::MAX));
        let mut filled = 0;
        while filled < wanted {
            match self.input.read(&mut out[filled..wanted]).map_err(|e| self.failed(e))? {
                0 => break,
                count => filled += count,
            }
        }
        self.packed_left -= filled as u64;
        Ok(filled)
    }

    fn inflated(&mut self, out: &mut [u8]) -> Result<usize, EvidenceError> {
        let path = &self.record.path;
        let failed = |e: io::Error| EvidenceError::from_io(e, |e| EvidenceError::decode(path, e));
        let Some(inflate) = self.inflate.as_mut() else { return Ok(0) };
        let begun = inflate.total_out();
        let room = out.len();
        let mut at = 0;
        while at < room && self.state != State::Ended {
            let ready = self.input.fill_buf().map_err(failed)?;
            let packed = &ready[..ready.len().min(usize::try_from(self.packed_left).unwrap_or(usize::MAX))];
            let before = inflate.total_in();
            let status = inflate
                .decompress(packed, &mut out[at..], FlushDecompress::None)
                .map_err(|e| failed(e.into()))?;
            let taken = inflate.total_in() - before;
            let came = usize::try_from(inflate.total_out() - begun).unwrap_or(room);
            let stuck = taken == 0 && came == at;
            self.input.consume(usize::try_from(taken).unwrap_or(0));
            self.packed_left -= taken;
            at = came;
            match status {
                Status::StreamEnd => self.state = State::Ended,
                _ if stuck => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                _ => {}
            }
        }
        Ok(at)
    }

    /// Takes a piece into account before anyone uses it.
    fn account(&mut self, piece: &[u8]) -> Result<(), EvidenceError> {
        self.budget.spend(piece.len() as u64)?;
        self.size += piece.len() as u64;
        if self.size > self.record.size {
            return Err(self.wrong("it unpacks to more than its size"));
        }
        self.crc.update(piece);
        self.watch.see(piece);
        if self.record.kind == EntryKind::Symlink {
            self.target.extend(piece);
        }
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), EvidenceError> {
        if self.size != self.record.size {
            return Err(self.wrong("it unpacks to less than its size"));
        }
        if self.packed_left != 0 {
            return Err(self.wrong("its data is longer than what unpacks"));
        }
        if std::mem::take(&mut self.crc).finalize() != self.record.crc {
            return Err(self.wrong("its content does not have its CRC"));
        }
        if self.record.has_descriptor() {
            let data_end = self.input.position();
            let mut bytes = Vec::new();
            let wanted = (self.limit - data_end).min(local::MAX_DESCRIPTOR);
            self.input.by_ref().take(wanted).read_to_end(&mut bytes).map_err(|e| self.failed(e))?;
            self.end = data_end + local::descriptor_length(&bytes, self.record)?;
        }
        Ok(())
    }
}

impl Task for EntryTask<'_, '_> {
    fn stride(&self) -> usize {
        if self.record.method == DEFLATED { INFLATED } else { engine::CHUNK }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, EvidenceError> {
        if self.state == State::Header {
            self.start()?;
        }
        let left = self.packed_left;
        let count = match self.record.method {
            DEFLATED => self.inflated(buffer)?,
            _ => self.stored(buffer)?,
        };
        self.meter.add(left - self.packed_left);
        self.account(&buffer[..count])?;
        if count < buffer.len() {
            self.check_end()?;
            self.release();
        }
        Ok(count)
    }
}
