//! Bytes of segment headers and records.

use tlog::bundle;

/// Salt of a segment: 16 random bytes that enter the checksum of every record, so that bytes of another segment,
/// or bytes that a client chose, are never taken for one.
pub(crate) type Salt = [u8; 16];

/// Records start here: the header keeps a block of its own, so that no record's write touches its sector.
pub(crate) const FIRST_RECORD: usize = 4096;
const SEGMENT_MAGIC: [u8; 8] = *b"CUSTSEG1";
const SEGMENT_HEADER: usize = 44;
const RECORD_MAGIC: [u8; 4] = *b"CWR1";
/// Bytes of a record before its payload.
pub(crate) const RECORD_HEADER: usize = 32;
/// Records start at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// A payload is never longer.
pub(crate) const MAX_PAYLOAD: usize = 64 << 20;

/// What the header block of a segment says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Index of the first leaf.
    pub(crate) first: u64,
    pub(crate) salt: Salt,
    /// When it was begun, in seconds since 1970.
    pub(crate) begun: u64,
}

impl Header {
    /// The header block.
    pub(crate) fn to_block(self) -> Vec<u8> {
        let mut block = Vec::with_capacity(FIRST_RECORD);
        block.extend_from_slice(&SEGMENT_MAGIC);
        block.extend_from_slice(&self.first.to_le_bytes());
        block.extend_from_slice(&self.salt);
        block.extend_from_slice(&self.begun.to_le_bytes());
        let checksum = crc32c::crc32c(&block);
        block.extend_from_slice(&checksum.to_le_bytes());
        block.resize(FIRST_RECORD, 0);
        block
    }

    /// The header that `bytes` start with, when it is one of a segment that begins at `first`.
    pub(crate) fn read(bytes: &[u8], first: u64) -> Option<Self> {
        let header = bytes.get(..SEGMENT_HEADER)?;
        let salt: Salt = header[16..32].try_into().ok()?;
        let begun = header[32..40].try_into().map(u64::from_le_bytes).ok()?;
        let header = Self { first, salt, begun };
        (bytes.get(..FIRST_RECORD)? == header.to_block()).then_some(header)
    }
}

/// A record as it stands in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Index of its first leaf.
    pub(crate) first: u64,
    /// Number of its leaves.
    pub(crate) count: u32,
    /// Its leaves, each after its 16-bit length, as in an entry bundle.
    pub(crate) payload: &'a [u8],
}

impl Record<'_> {
    /// Index after its last leaf.
    pub(crate) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    /// Its leaves.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &[u8]> {
        bundle::entries(self.payload).filter_map(Result::ok)
    }

    /// Bytes it takes in the segment.
    pub(crate) fn length(&self) -> usize {
        stored_length(self.payload.len())
    }
}

/// Bytes that a record with such a payload takes in the segment.
pub(crate) fn stored_length(payload: usize) -> usize {
    (RECORD_HEADER + payload).next_multiple_of(ALIGN)
}

/// Starts a record in an empty buffer; the payload is appended by the caller, then [`finish`] is called.
pub(crate) fn start(buffer: &mut Vec<u8>) {
    buffer.clear();
    start_behind(buffer);
}

/// Starts a record behind what is in the buffer.
pub(crate) fn start_behind(buffer: &mut Vec<u8>) {
    buffer.resize(buffer.len() + RECORD_HEADER, 0);
}

/// Fills in the header and pads the record.
pub(crate) fn finish(buffer: &mut Vec<u8>, salt: &Salt, first: u64, count: u32) {
    let padded = finish_slice(buffer, salt, first, count);
    buffer.resize(padded, 0);
}

/// Fills in the header of the record that `buffer` is; answers how long it is with its padding.
pub(crate) fn finish_slice(buffer: &mut [u8], salt: &Salt, first: u64, count: u32) -> usize {
    let payload = buffer.len() - RECORD_HEADER;
    let length = u32::try_from(payload).expect("a group is smaller than 64 MiB");
    let checksum = crc32c::crc32c(&buffer[RECORD_HEADER..]);
    buffer[..4].copy_from_slice(&RECORD_MAGIC);
    buffer[4..8].copy_from_slice(&length.to_le_bytes());
    buffer[8..12].copy_from_slice(&count.to_le_bytes());
    // 12..16 is reserved and zero.
    buffer[16..24].copy_from_slice(&first.to_le_bytes());
    buffer[24..28].copy_from_slice(&checksum.to_le_bytes());
    let checksum = header_checksum(salt, &buffer[..28]);
    buffer[28..32].copy_from_slice(&checksum.to_le_bytes());
    buffer.len().next_multiple_of(ALIGN)
}

fn header_checksum(salt: &Salt, header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(salt), header)
}

/// Reads the record at the start of `bytes`. `None` when there is no whole, undamaged record of this segment.
pub(crate) fn read<'a>(bytes: &'a [u8], salt: &Salt) -> Option<Record<'a>> {
    let header = bytes.first_chunk::<RECORD_HEADER>()?;
    let checksum = header[28..].try_into().map(u32::from_le_bytes).ok()?;
    if checksum != header_checksum(salt, &header[..28]) {
        return None;
    }
    read_unsalted(bytes)
}

/// As [`read`], but for the checksum of the header: only for taking a damaged segment apart.
pub(crate) fn read_unsalted(bytes: &[u8]) -> Option<Record<'_>> {
    let header = bytes.first_chunk::<RECORD_HEADER>()?;
    let word = |at: usize| header[at..at + 4].try_into().map(u32::from_le_bytes).unwrap_or_default();
    if header[..4] != RECORD_MAGIC || header[12..16] != [0; 4] {
        return None;
    }
    let length = usize::try_from(word(4)).ok().filter(|length| *length <= MAX_PAYLOAD)?;
    let stored = bytes.get(RECORD_HEADER..stored_length(length))?;
    let (payload, padding) = stored.split_at(length);
    let count = word(8);
    let first = header[16..24].try_into().map(u64::from_le_bytes).ok()?;
    let counted = bundle::entries(payload).try_fold(0u32, |n, entry| entry.ok().map(|_| n + 1));
    let whole = crc32c::crc32c(payload) == word(24)
        && padding.iter().all(|&b| b == 0)
        && counted == Some(count)
        && count > 0
        && first.checked_add(u64::from(count)).is_some();
    whole.then_some(Record { first, count, payload })
}

/// Whether a whole record stands anywhere in `bytes`, at its alignment.
pub(crate) fn any_in(bytes: &[u8], salt: &Salt) -> bool {
    (0..bytes.len()).step_by(ALIGN).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        rest.starts_with(&RECORD_MAGIC) && read(rest, salt).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(salt: &Salt, first: u64, leaves: &[&[u8]]) -> Vec<u8> {
        let mut buffer = Vec::new();
        start(&mut buffer);
        for leaf in leaves {
            bundle::push(&mut buffer, leaf).unwrap();
        }
        finish(&mut buffer, salt, first, u32::try_from(leaves.len()).unwrap());
        buffer
    }

    #[test]
    fn the_document_holds_this_record() {
        let salt: Salt = *b"\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
        let bytes = record(&salt, 5, &[b"a", b"bc"]);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/ledger.md");
        assert!(std::fs::read_to_string(document).unwrap().contains(&hex), "{hex}");
        let read = read(&bytes, &salt).unwrap();
        assert_eq!((read.first, read.count, read.length()), (5, 2, bytes.len()));
        assert_eq!(read.leaves().collect::<Vec<_>>(), [&b"a"[..], b"bc"]);
    }

    #[test]
    fn no_changed_byte_and_no_other_segment_gives_a_record() {
        let (salt, other) = ([1; 16], [2; 16]);
        let bytes = record(&salt, 9, &[b"", b"leaf", &[7; 300]]);
        assert!(read(&bytes, &other).is_none());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(read(&changed, &salt).is_none(), "byte {at}");
            }
            assert!(read(&bytes[..at], &salt).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn no_changed_byte_of_a_segment_header_goes_unseen() {
        let wanted = Header { first: 3, salt: [9; 16], begun: 1_700_000_000 };
        let header = wanted.to_block();
        assert_eq!(Header::read(&header, 3), Some(wanted));
        assert_eq!(Header::read(&header, 4), None);
        for at in 0..header.len() {
            let mut changed = header.clone();
            changed[at] ^= 4;
            assert_eq!(Header::read(&changed, 3), None, "byte {at}");
        }
    }
}
