//! The start of every record from the kernel (`struct header` of `bpf/engine.h`), and a reader of its bytes.
//!
//! The kernel's part is ours, but it copies what it finds in the target: nothing of a length or a text is believed.

/// Bytes of a header.
pub(crate) const HEADER: usize = 32;

/// Which kind of record, when, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which kind.
    pub kind: u32,
    /// The function's number, as it was given to [`crate::engine::Engine::attach`].
    pub function: u32,
    /// Nanoseconds of the monotonic clock (`CLOCK_MONOTONIC`).
    pub time: u64,
    /// The goroutine's number; 0 where it is not known.
    pub goroutine: u64,
    /// The process.
    pub process: u32,
    /// Its thread.
    pub thread: u32,
}

impl Header {
    /// The first bytes of a record; `None` when it is shorter.
    #[must_use]
    pub fn read(record: &[u8]) -> Option<Self> {
        Some(Self {
            kind: u32_at(record, 0)?,
            function: u32_at(record, 4)?,
            time: u64_at(record, 8)?,
            goroutine: u64_at(record, 16)?,
            process: u32_at(record, 24)?,
            thread: u32_at(record, 28)?,
        })
    }
}

fn bytes_at<const N: usize>(record: &[u8], at: usize) -> Option<[u8; N]> {
    record.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u64_at(record: &[u8], at: usize) -> Option<u64> {
    bytes_at(record, at).map(u64::from_ne_bytes)
}

pub(crate) fn u32_at(record: &[u8], at: usize) -> Option<u32> {
    bytes_at(record, at).map(u32::from_ne_bytes)
}

pub(crate) fn u16_at(record: &[u8], at: usize) -> Option<u16> {
    bytes_at(record, at).map(u16::from_ne_bytes)
}

/// `length` bytes at `at`, as text; what is not UTF-8 shows as such.
pub(crate) fn text(record: &[u8], at: usize, length: usize) -> Option<String> {
    let bytes = record.get(at..at.checked_add(length)?)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}
