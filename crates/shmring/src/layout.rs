//! Where everything stands in the shared memory: `docs/formats/ring.md`.
//!
//! The memory is only ever touched through atomics, the records' bytes too (as words): another process may write to it
//! at any moment, and ordinary reads of it would be undefined behaviour.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there are no rings elsewhere"))]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Least bytes for records: room for four of the longest.
pub const MIN_CAPACITY: u64 = 256 << 10;
/// Most bytes for records.
pub const MAX_CAPACITY: u64 = 64 << 20;
/// Bytes in a record: what may be offered as an event.
pub const MAX_RECORD: usize = 64 << 10;

/// First word of the memory: `custring`, as it stands in memory.
pub(crate) const MAGIC: u64 = u64::from_ne_bytes(*b"custring");
/// Version of the layout.
pub(crate) const VERSION: u32 = 1;
/// Bytes before the records: one page, so that the records begin on one.
pub(crate) const HEADER: usize = 4096;
/// Bytes before a record's content: length, checksum, position.
pub(crate) const FRAME: u64 = 16;
/// Records begin on multiples of this, so a frame never wraps.
pub(crate) const ALIGN: u64 = 16;

/// One line of the processor's cache, so that the two ends do not fight over their cursors. 128 bytes, since x86
/// fetches lines in pairs.
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);

/// The first page. Cursors count bytes since the ring was made and never wrap (2^64).
#[repr(C)]
pub(crate) struct Header {
    pub(crate) fixed: Line<Fixed>,
    pub(crate) producer: Line<ProducerLine>,
    pub(crate) consumer: Line<ConsumerLine>,
    pub(crate) bell: Line<BellLine>,
    pub(crate) waiting: Line<WaitingLine>,
}

/// Written once, when the ring is made.
#[repr(C)]
pub(crate) struct Fixed {
    pub(crate) magic: AtomicU64,
    pub(crate) version: AtomicU32,
    pub(crate) _reserved: AtomicU32,
    pub(crate) capacity: AtomicU64,
}

/// Written by the producer.
#[repr(C)]
pub(crate) struct ProducerLine {
    /// Records end here.
    pub(crate) head: AtomicU64,
    /// Records that found no room and were let go.
    pub(crate) dropped: AtomicU64,
}

/// Written by the consumer.
#[repr(C)]
pub(crate) struct ConsumerLine {
    /// Everything before is settled; its room is the producer's again.
    pub(crate) settled: AtomicU64,
    /// Settled records that were refused.
    pub(crate) refused: AtomicU64,
    /// Dropped records that were noticed: so that what is dropped while there is no consumer is noticed by the next.
    pub(crate) noticed: AtomicU64,
}

/// Wakes the consumer.
#[repr(C)]
pub(crate) struct BellLine {
    /// 1 while the consumer sleeps; written by both.
    pub(crate) asleep: AtomicU32,
    /// Rung by adding one; the consumer waits for a change (futex).
    pub(crate) rung: AtomicU32,
}

/// Wakes whoever waits for room or for settlement.
#[repr(C)]
pub(crate) struct WaitingLine {
    /// 1 while someone waits; written by both.
    pub(crate) waiting: AtomicU32,
    /// The consumer adds one when it settles; the producer waits for a change (futex).
    pub(crate) moved: AtomicU32,
}

const _: () = {
    assert!(size_of::<Header>() == 5 * 128 && size_of::<Header>() <= HEADER);
    assert!(std::mem::offset_of!(Header, producer) == 128);
    assert!(std::mem::offset_of!(Header, consumer) == 256);
    assert!(std::mem::offset_of!(Header, bell) == 384);
    assert!(std::mem::offset_of!(Header, waiting) == 512);
    assert!(MIN_CAPACITY >= 2 * (MAX_RECORD as u64 + FRAME + ALIGN));
};

/// Room that a record of `length` bytes takes.
pub(crate) fn room(length: u32) -> u64 {
    (FRAME + u64::from(length)).next_multiple_of(ALIGN)
}

/// The checksum of a record: CRC-32C (RFC 3720 appendix B.4). It finds what a dying producer or failing memory did,
/// not what a hostile one did: that one may write any record anyway.
pub(crate) fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c(record)
}

/// The words of the records. A position of the stream stands at `position mod capacity`; the capacity is a power of
/// two and frames begin on multiples of [`ALIGN`], so only a record's content can go over the edge.
#[derive(Clone, Copy)]
pub(crate) struct Data<'m>(&'m [AtomicU64]);

impl<'m> Data<'m> {
    /// `words` has a power of two of them, at least [`MIN_CAPACITY`] bytes.
    pub(crate) fn new(words: &'m [AtomicU64]) -> Self {
        debug_assert!(words.len().is_power_of_two());
        Self(words)
    }

    pub(crate) fn capacity(self) -> u64 {
        self.0.len() as u64 * 8
    }

    /// The words from a position on, up to the edge and from the beginning: together the whole ring.
    fn from(self, position: u64) -> (&'m [AtomicU64], &'m [AtomicU64]) {
        let at = (position / 8) & (self.0.len() as u64 - 1);
        let at = usize::try_from(at).unwrap_or(0); // it is masked to the length of a slice
        let (before, after) = self.0.split_at(at);
        (after, before)
    }

    /// Copies a record's content out. `length` is at most [`MAX_RECORD`].
    pub(crate) fn copy_out(self, position: u64, length: usize, out: &mut Vec<u8>) {
        out.clear();
        out.resize(length.next_multiple_of(8), 0);
        let (first, second) = self.from(position);
        let near = out.len().min(first.len() * 8);
        let (near, far) = out.split_at_mut(near);
        for (words, bytes) in [(first, near), (second, far)] {
            for (word, bytes) in words.iter().zip(bytes.chunks_exact_mut(8)) {
                bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
            }
        }
        out.truncate(length);
    }

    /// Copies a record's content in; the last word is filled up with zeros.
    pub(crate) fn copy_in(self, position: u64, content: &[u8]) {
        let (first, second) = self.from(position);
        // The edge lies between two words, so that only the last part has a remainder.
        let (near, far) = content.split_at(content.len().min(first.len() * 8));
        for (words, bytes) in [(first, near), (second, far)] {
            let (whole, rest) = bytes.as_chunks::<8>();
            for (word, eight) in words.iter().zip(whole) {
                word.store(u64::from_ne_bytes(*eight), Ordering::Relaxed);
            }
            if let (false, Some(word)) = (rest.is_empty(), words.get(whole.len())) {
                let mut eight = [0u8; 8];
                eight[..rest.len()].copy_from_slice(rest);
                word.store(u64::from_ne_bytes(eight), Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn read_frame(self, position: u64) -> Frame {
        let (words, _) = self.from(position);
        let [first, second] = [0, 1].map(|n| words.get(n).map_or(0, |word| word.load(Ordering::Relaxed)));
        let [a, b, c, d, e, f, g, h] = first.to_le_bytes();
        let (length, sum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        Frame { length, sum, position: second }
    }

    pub(crate) fn write_frame(self, frame: Frame) {
        let (words, _) = self.from(frame.position);
        let first = u64::from(frame.length) | u64::from(frame.sum) << 32;
        for (word, value) in words.iter().zip([first, frame.position]) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// What stands before a record's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) length: u32,
    pub(crate) sum: u32,
    /// Where the frame itself begins: what an earlier round left there is not taken for a record.
    pub(crate) position: u64,
}
