//! The reading end. Nothing in the memory is believed: each word is read once, and judged after it was copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use crate::RingError;
use crate::layout::{ALIGN, FRAME, MAX_RECORD, checksum, room};
use crate::sys::linux::{Memory, wait, wake};

/// What the two halves share: the memory, and how far it was settled. The latter is not in the memory, where the
/// producer could change it.
struct Shared {
    memory: Memory,
    settled: AtomicU64,
}

/// Opens the reading end of a ring, behind what the last consumer of this memory settled.
///
/// # Errors
/// [`RingError::Broken`] when the cursors contradict each other.
pub fn consume(memory: Memory) -> Result<(Reader, Settler), RingError> {
    let line = &memory.header().consumer.0;
    let (settled, refused) = (line.settled.load(Ordering::Acquire), line.refused.load(Ordering::Relaxed));
    let dropped = line.noticed.load(Ordering::Relaxed);
    let shared = Arc::new(Shared { memory, settled: AtomicU64::new(settled) });
    let reader = Reader { shared: Arc::clone(&shared), read: settled, dropped, record: Vec::new() };
    reader.available()?;
    Ok((reader, Settler { shared, refused }))
}

/// Reads records. What it knows of its own progress it keeps to itself.
pub struct Reader {
    shared: Arc<Shared>,
    /// Everything before was read.
    read: u64,
    /// The producer's count of drops when it was last asked for.
    dropped: u64,
    record: Vec<u8>,
}

/// Gives the room of records back, once they are safe elsewhere. Not the reader itself, so that the one can read on
/// while the other waits for a disk.
pub struct Settler {
    shared: Arc<Shared>,
    refused: u64,
}

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'r> {
    /// Its content; nothing when its checksum does not fit. It is a copy: the producer cannot change it any more.
    pub content: Option<&'r [u8]>,
    /// Where it ends: the position to settle.
    pub end: u64,
}

impl Reader {
    /// Gives `take` the records that are there, until `records` of them or about `bytes` were given. Answers how many
    /// there were.
    ///
    /// # Errors
    /// [`RingError::Broken`]: the producer wrote what no ring can hold. What was given before is good.
    pub fn drain(
        &mut self,
        records: usize,
        bytes: usize,
        mut take: impl FnMut(Record<'_>),
    ) -> Result<usize, RingError> {
        let end = self.read + self.available()?;
        let begin = self.read;
        let mut count = 0;
        while self.read < end && count < records && self.read - begin < bytes as u64 {
            let sound = self.copy_next(end)?;
            take(Record { content: sound.then_some(self.record.as_slice()), end: self.read });
            count += 1;
        }
        Ok(count)
    }

    /// Copies the next record out and passes it; says whether its checksum fits.
    fn copy_next(&mut self, end: u64) -> Result<bool, RingError> {
        let data = self.shared.memory.data();
        let frame = data.read_frame(self.read);
        if frame.position != self.read {
            return Err(self.broken("a frame names another place"));
        }
        let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
        if length == 0 || length > MAX_RECORD {
            return Err(self.broken("a record is empty or too long"));
        }
        let room = room(frame.length);
        if room > end - self.read {
            return Err(self.broken("a record ends behind the producer's cursor"));
        }
        data.copy_out(self.read + FRAME, length, &mut self.record);
        self.read += room;
        Ok(checksum(&self.record) == frame.sum)
    }

    /// Bytes between what was read and the producer's cursor.
    fn available(&self) -> Result<u64, RingError> {
        // Pairs with the producer's release: everything before `head` was written before it.
        let head = self.shared.memory.header().producer.0.head.load(Ordering::Acquire);
        match head.checked_sub(self.read) {
            // The room between `settled` and `read` is not the producer's yet, so `head` cannot be further.
            Some(ahead)
                if head.saturating_sub(self.shared.settled.load(Ordering::Acquire))
                    <= self.shared.memory.capacity()
                    && ahead.is_multiple_of(ALIGN) =>
            {
                Ok(ahead)
            }
            _ => Err(self.broken("the producer's cursor is where it cannot be")),
        }
    }

    fn broken(&self, why: &'static str) -> RingError {
        RingError::Broken { position: self.read, why }
    }

    /// Bytes that the ring has room for.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shared.memory.capacity()
    }

    /// Records that the producer let go since this was last asked, by this consumer or those before it: its own word, of which the reader takes what grows.
    pub fn newly_dropped(&mut self) -> u64 {
        let now = self.shared.memory.header().producer.0.dropped.load(Ordering::Relaxed);
        let new = now.saturating_sub(self.dropped);
        self.dropped = now.max(self.dropped);
        self.shared.memory.header().consumer.0.noticed.store(self.dropped, Ordering::Relaxed);
        new
    }

    /// Sleeps until there is something to read, or the producer rings, or for `patience`.
    pub fn sleep(&self, patience: Duration) {
        let bell = &self.shared.memory.header().bell.0;
        let seen = bell.rung.load(Ordering::Acquire);
        bell.asleep.store(1, Ordering::Relaxed);
        // Either this sees what was written, or the producer sees that it must ring.
        fence(Ordering::SeqCst);
        if self.available().is_ok_and(|bytes| bytes == 0) {
            wait(&bell.rung, seen, patience);
        }
        bell.asleep.store(0, Ordering::Relaxed);
    }
}

impl Settler {
    /// How many records were refused so far, by this consumer and those before it.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Gives the room before `position` back and wakes whoever waits for it. `position` must be one that the reader came
    /// to; one behind the last does nothing. `refused` of the records in it were not kept, whatever the reason.
    pub fn settle(&mut self, position: u64, refused: u64) {
        let header = self.shared.memory.header();
        self.refused = self.refused.wrapping_add(refused);
        let settled = self.shared.settled.fetch_max(position, Ordering::AcqRel).max(position);
        // The count first: who sees the position sees the refusals before it.
        header.consumer.0.refused.store(self.refused, Ordering::Release);
        header.consumer.0.settled.store(settled, Ordering::Release);
        header.waiting.0.moved.fetch_add(1, Ordering::Release);
        // Either the producer sees the new position before it sleeps, or this sees that it is waiting.
        fence(Ordering::SeqCst);
        if header.waiting.0.waiting.load(Ordering::Relaxed) != 0 {
            header.waiting.0.waiting.store(0, Ordering::Relaxed);
            wake(&header.waiting.0.moved);
        }
    }
}
