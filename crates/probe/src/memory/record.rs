//! Records of `bpf/memory.bpf.c`.

use serde::Serialize;

use super::Executable;

/// Bytes of a record: header 32, what was asked 96, the signal 8.
const RECORD: usize = 136;
const NAME: usize = 64;

/// What the process did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `mmap(2)` of executable memory.
    Mmap,
    /// `mprotect(2)` that made memory executable.
    Mprotect,
    /// `pkey_mprotect(2)`, likewise.
    PkeyMprotect,
    /// `memfd_create(2)`: a file that no directory has.
    MemfdCreate,
}

/// A call that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub call: Call,
    /// Nanoseconds since the machine started (`CLOCK_MONOTONIC`).
    pub time: u64,
    /// The thread, as the kernel numbers it.
    pub thread: u32,
    /// Where the memory is; of a `memfd_create` its descriptor.
    pub address: u64,
    /// Bytes that were asked for.
    pub length: u64,
    /// It is writable too.
    pub writable: bool,
    /// It was asked for without a file (`mmap` only).
    pub anonymous: bool,
    /// What it was called; of a `memfd_create` only.
    pub name: String,
    /// The signal that the thread got for it; 0 for none.
    pub signal: u32,
}

impl Seen {
    /// The memory that was asked for, when it can no longer be looked at.
    #[must_use]
    pub fn memory(&self) -> Executable {
        Executable {
            range: self.address..self.address.saturating_add(self.length),
            writable: self.writable,
            file: None,
            is_gone: true,
            name: String::new(),
        }
    }
}

/// `None` for bytes that are no record.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Seen> {
    let bytes: &[u8; RECORD] = bytes.get(..RECORD)?.try_into().ok()?;
    let word = |at: usize| bytes[at..].first_chunk::<4>().map_or(0, |raw| u32::from_ne_bytes(*raw));
    let long = |at: usize| bytes[at..].first_chunk::<8>().map_or(0, |raw| u64::from_ne_bytes(*raw));
    let name = &bytes[64..64 + NAME];
    let name = &name[..name.iter().position(|&byte| byte == 0).unwrap_or(NAME)];
    Some(Seen {
        call: match word(48) {
            1 => Call::Mmap,
            2 => Call::Mprotect,
            3 => Call::PkeyMprotect,
            4 => Call::MemfdCreate,
            _ => return None,
        },
        time: long(8),
        thread: word(28),
        address: long(32),
        length: long(40),
        writable: word(52) & 2 != 0,                      // PROT_WRITE
        anonymous: word(48) == 1 && word(56) & 0x20 != 0, // MAP_ANONYMOUS
        name: String::from_utf8_lossy(name).into_owned(),
        signal: word(128),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_field_by_field() {
        let mut bytes = [0; RECORD];
        bytes[8..16].copy_from_slice(&5u64.to_ne_bytes());
        bytes[28..32].copy_from_slice(&7u32.to_ne_bytes());
        bytes[32..40].copy_from_slice(&0x7f00_0000_1000u64.to_ne_bytes());
        bytes[40..48].copy_from_slice(&4096u64.to_ne_bytes());
        bytes[48..52].copy_from_slice(&1u32.to_ne_bytes());
        bytes[52..56].copy_from_slice(&7u32.to_ne_bytes());
        bytes[64..67].copy_from_slice(b"jit");
        bytes[128..132].copy_from_slice(&19u32.to_ne_bytes());
        let seen = read(&bytes).unwrap();
        assert_eq!((seen.call, seen.time, seen.thread), (Call::Mmap, 5, 7));
        assert_eq!((seen.address, seen.length, seen.writable), (0x7f00_0000_1000, 4096, true));
        assert_eq!((seen.name.as_str(), seen.signal), ("jit", 19));
        assert_eq!(read(&bytes[1..]), None);
        bytes[48] = 9;
        assert_eq!(read(&bytes), None);
    }
}
