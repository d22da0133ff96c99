//! Where a JSON string stops being plain, eight bytes at a time.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// How many bytes stand before the first quote, backslash or control character: what RFC 8259 §7 does not let stand as it
/// is.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return n * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    words.len() * 8 + rest.iter().position(special).unwrap_or(rest.len())
}

/// The high bit of each byte that is special. A borrow runs towards later bytes only, so the first mark is always true;
/// those after it may not be.
fn special(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    quote | backslash | control
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place, between bytes that are easily taken for special.
    #[test]
    fn the_first_special_byte_is_found() {
        for filler in [b'a', 0x21, 0x5d, 0x20, 0x7f, 0x80, 0xff, 0x9f] {
            for at in 0..40 {
                for byte in 0..=255u8 {
                    let mut bytes = [filler; 43];
                    bytes[at] = byte;
                    let special = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
                    let expected = bytes.iter().position(special).unwrap_or(bytes.len());
                    assert_eq!(plain_length(&bytes), expected, "{byte:#x} at {at} among {filler:#x}");
                }
            }
        }
        assert_eq!((plain_length(b""), plain_length(b"ab\"\\"), plain_length(b"\x1f")), (0, 2, 0));
    }
}
