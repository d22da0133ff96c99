//! The end of a closed plain segment: the index of its bundles, and the fact that it is closed.
//!
//! Records end at a multiple of 8 and segments that are still written have an even length. The end makes the length
//! odd: so a closed segment whose end is damaged is never taken for one that is still written.

use super::Mark;
use super::record::Salt;

pub(super) const MAGIC: [u8; 8] = *b"CSEGEND1";
/// Bytes before the marks.
const HEAD: usize = 56;
/// Bytes after the marks: checksum, length, the closing byte.
pub(crate) const TAIL: usize = 9;
const CLOSING: u8 = b'E';
/// An index is never longer: a mark for each 256 entries of a segment of 1 GiB (of empty entries: 2 bytes each).
const MAX_END: usize = 32 << 20;

/// What the end says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct End {
    /// Index of the first entry.
    pub(crate) first: u64,
    /// Index after the last entry.
    pub(crate) end: u64,
    /// Where the records end and this begins.
    pub(crate) at: u64,
    /// When the segment was begun and closed, in seconds since 1970.
    pub(crate) begun: u64,
    pub(crate) closed: u64,
    pub(crate) marks: Vec<Mark>,
}

/// Whether a file of this length is closed.
pub(crate) fn is_closed(length: u64) -> bool {
    !length.is_multiple_of(2)
}

impl End {
    pub(crate) fn to_bytes(&self, salt: &Salt) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + 8 * self.marks.len() + TAIL);
        bytes.extend_from_slice(&MAGIC);
        for word in [self.first, self.end, self.at, self.begun, self.closed] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let count = u32::try_from(self.marks.len()).expect("a segment is shorter than 4 GiB");
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for mark in &self.marks {
            bytes.extend_from_slice(&mark.record.to_le_bytes());
            bytes.extend_from_slice(&mark.at.to_le_bytes());
        }
        let checksum = crc32c::crc32c_append(crc32c::crc32c(salt), &bytes);
        let length = u32::try_from(bytes.len() + TAIL).expect("as above");
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.push(CLOSING);
        bytes
    }

    /// The length of the end, from the last bytes of the file.
    pub(crate) fn length(tail: &[u8]) -> Option<usize> {
        let (rest, closing) = tail.split_at_checked(tail.len().checked_sub(1)?)?;
        let (_, length) = rest.split_last_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        (closing == [CLOSING] && (HEAD + TAIL..=MAX_END).contains(&length)).then_some(length)
    }

    /// Reads an end that stands alone in `bytes`. `None` when it is not the end of this segment.
    pub(crate) fn read(bytes: &[u8], salt: &Salt) -> Option<Self> {
        let head = bytes.first_chunk::<HEAD>()?;
        let word = |at: usize| head[at..at + 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
        let count = usize::try_from(word(48)).ok()?; // its upper half is the zero bytes
        if Self::length(bytes) != Some(bytes.len()) || bytes.len() != HEAD + 8usize.checked_mul(count)? + TAIL
        {
            return None;
        }
        let body = &bytes[HEAD..bytes.len() - TAIL];
        let half = |four: &[u8]| four.try_into().map(u32::from_le_bytes).unwrap_or_default();
        let marks = body.chunks_exact(8).map(|m| Mark { record: half(&m[..4]), at: half(&m[4..]) }).collect();
        let end =
            Self { first: word(8), end: word(16), at: word(24), begun: word(32), closed: word(40), marks };
        (end.to_bytes(salt) == bytes).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_changed_byte_goes_unseen() {
        let marks = vec![Mark { record: 4096, at: 0 }, Mark { record: 9000, at: 77 }];
        let end = End { first: 0, end: 300, at: 12_000, begun: 5, closed: 6, marks };
        let bytes = end.to_bytes(&[3; 16]);
        assert!(is_closed(end.at + bytes.len() as u64));
        assert_eq!(End::read(&bytes, &[3; 16]), Some(end));
        assert_eq!(End::read(&bytes, &[4; 16]), None);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(End::read(&changed, &[3; 16]), None, "byte {at}");
            assert_eq!(End::read(&bytes[..at], &[3; 16]), None, "cut at {at}");
        }
    }
}
