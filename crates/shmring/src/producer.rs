//! The writing end. A record costs its copy and its checksum; the system is called only to wake a reader that sleeps
//! when an eighth of the ring was filled, or to wait.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use crate::RingError;
use crate::layout::{ALIGN, FRAME, Frame, MAX_RECORD, checksum, room};
use crate::sys::linux::{Memory, wait, wake};

/// One wait for the consumer. Longer waits are made of these, so that a lost wake-up costs no more than this.
const PATIENCE: Duration = Duration::from_millis(100);

/// Writes to a ring. One at a time: that is why it takes `&mut self`.
pub struct Producer {
    memory: Memory,
    /// Everything before was written.
    head: u64,
    /// Room is known to be free up to here.
    limit: u64,
    dropped: u64,
}

/// What became of a record that does not wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Push {
    /// It is in the ring and ends at this position.
    Written(u64),
    /// There was no room: it is gone, and counted.
    Dropped,
}

impl Producer {
    /// Writes behind what is there.
    ///
    /// # Errors
    /// [`RingError::Broken`] when the cursors contradict each other.
    pub fn new(memory: Memory) -> Result<Self, RingError> {
        let line = &memory.header().producer.0;
        let (head, dropped) = (line.head.load(Ordering::Relaxed), line.dropped.load(Ordering::Relaxed));
        let mut producer = Self { memory, head, limit: 0, dropped };
        producer.look_for_room()?;
        Ok(producer)
    }

    /// Writes a record; gives the position where it ends. It is *not* durable then: see [`Producer::settled`].
    ///
    /// # Errors
    /// [`RingError::Full`] when there is no room now, [`RingError::Length`], [`RingError::Broken`].
    pub fn push(&mut self, record: &[u8]) -> Result<u64, RingError> {
        let length = record.len();
        let framed = match u32::try_from(length) {
            Ok(framed) if length > 0 && length <= MAX_RECORD => framed,
            _ => return Err(RingError::Length { length }),
        };
        let end = self.head + room(framed);
        if end > self.limit {
            self.look_for_room()?;
            if end > self.limit {
                return Err(RingError::Full);
            }
        }
        let data = self.memory.data();
        data.write_frame(Frame { length: framed, sum: checksum(record), position: self.head });
        data.copy_in(self.head + FRAME, record);
        // The record exists from here on.
        self.memory.header().producer.0.head.store(end, Ordering::Release);
        let eighth = data.capacity() / 8;
        let crossed = self.head / eighth != end / eighth;
        self.head = end;
        if crossed {
            self.ring();
        }
        Ok(end)
    }

    /// Writes a record, or counts it as dropped when there is no room.
    ///
    /// # Errors
    /// [`RingError::Length`], [`RingError::Broken`].
    pub fn push_or_drop(&mut self, record: &[u8]) -> Result<Push, RingError> {
        match self.push(record) {
            Ok(end) => Ok(Push::Written(end)),
            Err(RingError::Full) => {
                self.dropped += 1;
                self.memory.header().producer.0.dropped.store(self.dropped, Ordering::Relaxed);
                self.ring();
                Ok(Push::Dropped)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a record, waiting for room until `deadline`; for as long as it takes without one.
    ///
    /// # Errors
    /// As [`Producer::push`]; [`RingError::Full`] at the deadline.
    pub fn push_by(&mut self, record: &[u8], deadline: Option<Instant>) -> Result<u64, RingError> {
        loop {
            match self.push(record) {
                Err(RingError::Full) => {}
                done => return done,
            }
            let patience = patience(deadline).ok_or(RingError::Full)?;
            let settled = self.settled();
            self.wait_beyond(settled, patience);
        }
    }

    /// Everything before this position was taken over by the reader for good: durable, where it is a ledger.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.memory.header().consumer.0.settled.load(Ordering::Acquire)
    }

    /// Records that the reader refused, among those that are settled.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.memory.header().consumer.0.refused.load(Ordering::Acquire)
    }

    /// Records that found no room since the ring was made.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Where the next record will begin.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.head
    }

    /// Waits until everything before `position` is settled, at most until `deadline`; says whether it is.
    #[must_use]
    pub fn wait_settled(&self, position: u64, deadline: Option<Instant>) -> bool {
        loop {
            let settled = self.settled();
            if settled >= position {
                return true;
            }
            let Some(patience) = patience(deadline) else { return false };
            self.wait_beyond(settled, patience);
        }
    }

    /// Waits a while for the settled cursor to be another than `seen`.
    fn wait_beyond(&self, seen: u64, patience: Duration) {
        self.ring();
        let line = &self.memory.header().waiting.0;
        let moved = line.moved.load(Ordering::Acquire);
        line.waiting.store(1, Ordering::Relaxed);
        // Either this sees the new position, or the consumer sees that someone waits.
        fence(Ordering::SeqCst);
        if self.settled() == seen {
            wait(&line.moved, moved, patience);
        }
    }

    /// Wakes the consumer if it sleeps.
    pub fn ring(&self) {
        let bell = &self.memory.header().bell.0;
        // Either the consumer sees the new head before it sleeps, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        if bell.asleep.load(Ordering::Relaxed) != 0 {
            bell.asleep.store(0, Ordering::Relaxed);
            bell.rung.fetch_add(1, Ordering::Release);
            wake(&bell.rung);
        }
    }

    fn look_for_room(&mut self) -> Result<(), RingError> {
        let settled = self.settled();
        let capacity = self.memory.capacity();
        match self.head.checked_sub(settled) {
            Some(used) if used <= capacity && self.head.is_multiple_of(ALIGN) => {
                self.limit = settled + capacity;
                Ok(())
            }
            _ => Err(RingError::Broken {
                position: self.head,
                why: "the consumer's cursor is where it cannot be",
            }),
        }
    }
}

/// How long to wait at once; nothing when the deadline has passed.
fn patience(deadline: Option<Instant>) -> Option<Duration> {
    match deadline {
        None => Some(PATIENCE),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            (!left.is_zero()).then_some(left.min(PATIENCE))
        }
    }
}
