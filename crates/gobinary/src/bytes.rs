//! Bounds-checked reads of numbers and strings in the target's byte order and pointer size.

/// Byte order and pointer size of the machine the executable was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) big_endian: bool,
    /// 4 or 8.
    pub(crate) pointer: usize,
}

impl Layout {
    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    pub(crate) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let raw: [u8; 8] = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        Some(if self.big_endian { u64::from_be_bytes(raw) } else { u64::from_le_bytes(raw) })
    }

    /// A pointer-sized number.
    pub(crate) fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        if self.pointer == 8 { self.u64(bytes, at) } else { self.u32(bytes, at).map(u64::from) }
    }
}

/// An unsigned LEB128 number and what follows it. `None` when it does not end within ten bytes (Go's
/// `binary.MaxVarintLen64`) or the bytes run out.
pub(crate) fn uvarint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None; // would not fit 64 bits
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// The string that starts at `at` and ends before the next NUL, which must come within `limit` bytes.
pub(crate) fn c_string(bytes: &[u8], at: usize, limit: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let rest = &rest[..rest.len().min(limit)];
    memchr::memchr(0, rest).map(|end| &rest[..end])
}

/// A number of the file as an index; `None` when it cannot be one on this machine.
pub(crate) fn index(value: u64) -> Option<usize> {
    usize::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_end_within_ten_bytes() {
        assert_eq!(uvarint(&[0xac, 0x02, 9]), Some((300, &[9u8][..])));
        assert_eq!(uvarint(&[0x80]), None);
        assert_eq!(uvarint(&[0xff; 10]), None);
        let mut most = [0xff; 10];
        most[9] = 1;
        assert_eq!(uvarint(&most), Some((u64::MAX, &[][..])));
    }

    #[test]
    fn a_string_must_end_within_its_limit() {
        assert_eq!(c_string(b"xmain\0y", 1, 16), Some(&b"main"[..]));
        assert_eq!(c_string(b"main", 0, 16), None);
        assert_eq!(c_string(b"main\0", 0, 4), None);
        assert_eq!(c_string(b"main\0", 9, 4), None);
    }

    #[test]
    fn numbers_follow_the_byte_order_and_the_pointer_size() {
        let bytes = [0, 0, 0, 1, 0, 0, 0, 2];
        let big = Layout { big_endian: true, pointer: 4 };
        assert_eq!((big.word(&bytes, 0), big.u64(&bytes, 0)), (Some(1), Some(0x1_0000_0002)));
        let little = Layout { big_endian: false, pointer: 8 };
        assert_eq!((little.u32(&bytes, 0), little.word(&bytes, 1)), (Some(0x0100_0000), None));
    }
}
