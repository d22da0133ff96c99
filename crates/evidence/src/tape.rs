//! A container read once from its first byte to its last: whatever part is used on the way, every byte is hashed,
//! and what is decoded is what was hashed.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use gm::DualDigest;
use seal::{Container, Format};

use crate::Progress;
use crate::error::EvidenceError;
use crate::options::Options;
use crate::source::ReadAt;
use crate::whole::Whole;

pub(crate) struct Tape<'a> {
    source: &'a dyn ReadAt,
    name: &'a str,
    progress: Progress<'a>,
    hasher: Whole,
    buffer: Arc<Vec<u8>>,
    at: usize,
    filled: usize,
    /// The source's offset behind the buffer.
    offset: u64,
}

impl<'a> Tape<'a> {
    pub(crate) fn new(
        source: &'a dyn ReadAt,
        name: &'a str,
        options: &Options,
        progress: Progress<'a>,
    ) -> Self {
        let hasher = match options.entries_only {
            true => Whole::unhashed(),
            false => Whole::new(source.size(), options.sealed_container, options.sm3.as_deref()),
        };
        Self { source, name, progress, hasher, buffer: Arc::default(), at: 0, filled: 0, offset: 0 }
    }

    /// Where the next byte stands.
    pub(crate) fn position(&self) -> u64 {
        self.offset - (self.filled - self.at) as u64
    }

    /// Goes on to `target`, which is not behind, or to the end.
    pub(crate) fn skip_to(&mut self, target: u64) -> Result<(), EvidenceError> {
        while self.position() < target {
            let wanted = usize::try_from(target - self.position()).unwrap_or(usize::MAX);
            let name = self.name;
            let failed = |source| EvidenceError::Read { path: name.to_owned(), source };
            let ready = self.fill_buf().map_err(|e| EvidenceError::from_io(e, failed))?.len();
            if ready == 0 {
                break;
            }
            self.consume(ready.min(wanted));
        }
        Ok(())
    }

    /// Reads the rest; `see` is shown it.
    pub(crate) fn each(&mut self, mut see: impl FnMut(&[u8])) -> Result<(), EvidenceError> {
        loop {
            let name = self.name;
            let failed = |source| EvidenceError::Read { path: name.to_owned(), source };
            let ready = self.fill_buf().map_err(|e| EvidenceError::from_io(e, failed))?;
            see(ready);
            let count = ready.len();
            if count == 0 {
                return Ok(());
            }
            self.consume(count);
        }
    }

    /// Reads the rest and gives the digests, unless only entries count.
    pub(crate) fn finish(mut self, format: Format) -> Result<Option<(DualDigest, Container)>, EvidenceError> {
        self.skip_to(u64::MAX)?;
        self.hasher.finish(format)
    }

    fn refill(&mut self) -> io::Result<()> {
        self.buffer = Arc::default(); // so that it can be used again
        let mut buffer = self.hasher.buffer();
        let count = loop {
            match self.source.read_at(&mut buffer, self.offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(EvidenceError::Read { path: self.name.to_owned(), source }.into_io());
                }
                Ok(count) => break count,
            }
        };
        self.buffer = self.hasher.update(buffer, count);
        self.at = 0;
        self.filled = count;
        self.offset += count as u64;
        (self.progress)(self.offset, Some(self.source.size()));
        Ok(())
    }
}

impl BufRead for Tape<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.filled {
            self.refill()?;
        }
        Ok(&self.buffer[self.at..self.filled])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Tape<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(out.len());
        out[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}
