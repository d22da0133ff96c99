//! Oracles of the fuzz targets over the write-ahead log and the checkpoint.

use signing::Ed25519Signer;
use signing::note::NoteSigner;

use crate::SignedCheckpoint;
use crate::segment::record::{self, Header, Salt};
use crate::segment::scan::{Rest, scan};

/// The salt of the vector in `docs/formats/ledger.md`, so that its record is a seed.
const SALT: Salt = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// A segment that begins at entry 5.
const HEADER: Header = Header { first: 5, salt: SALT, begun: 0 };

/// A record that is read is built again from its leaves, byte for byte.
pub fn wal_record(data: &[u8]) {
    let Some(read) = record::read(data, &SALT) else { return };
    let mut again = Vec::new();
    record::start(&mut again);
    let mut count = 0;
    for leaf in read.leaves() {
        assert!(tlog::bundle::push(&mut again, leaf).is_some());
        count += 1;
    }
    assert_eq!(count, read.count);
    record::finish(&mut again, &SALT, read.first, count);
    assert_eq!(data.get(..read.length()), Some(&again[..]));
}

/// A segment with any bytes after its header is replayed or refused: what is replayed is numbered without a gap, and
/// replaying from the end finds nothing more.
pub fn wal_segment(data: &[u8]) {
    let mut bytes = HEADER.to_block();
    bytes.extend_from_slice(data);
    replayed(bytes);
}

/// The same over records with the checksums that they should have: a fuzzer does not find them by itself. A byte
/// says how many follow: with its highest bit the payload of a record, whose first leaf and count lead it, without
/// it bytes that belong to none.
pub fn wal_records(data: &[u8]) {
    let mut bytes = HEADER.to_block();
    let mut rest = data;
    while let Some((kind, tail)) = rest.split_first() {
        let (piece, tail) = tail.split_at(tail.len().min(usize::from(kind & 0x7f)));
        rest = tail;
        match piece {
            [first, count, payload @ ..] if kind & 0x80 != 0 => {
                // The last few of the first leaves are those where an index would overflow.
                let first = if *first > 0xf0 { u64::MAX - u64::from(!first) } else { u64::from(*first) };
                let mut built = Vec::new();
                record::start(&mut built);
                built.extend_from_slice(payload);
                record::finish(&mut built, &SALT, first, u32::from(*count));
                wal_record(&built);
                bytes.extend_from_slice(&built);
            }
            stray => bytes.extend_from_slice(stray),
        }
    }
    replayed(bytes);
}

/// A checkpoint that our log signed and that is opened is about our log; nothing is opened that it did not sign.
pub fn checkpoint(data: &[u8]) {
    const ORIGIN: &str = "fuzz.example/log";
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(signer) = NoteSigner::new(ORIGIN, Ed25519Signer::from_seed(&[7; 32])) else { return };
    let verifier = signer.verifier();
    let note = signer.sign(text).unwrap_or_default();
    for note in [text, note.as_str()] {
        if let Ok(opened) = SignedCheckpoint::open(note, &verifier, ORIGIN) {
            assert_eq!(opened.checkpoint.origin, ORIGIN);
            assert!(note.starts_with(&opened.checkpoint.to_string()), "another text than what was signed");
        }
    }
}

fn replayed(bytes: Vec<u8>) {
    let mut leaves = 0;
    let Ok(found) = scan(&bytes, HEADER.first, &mut |_, record| leaves += record.leaves().count() as u64)
    else {
        return;
    };
    assert_eq!(found.end, HEADER.first + leaves);
    let records = &bytes[..usize::try_from(found.records_end).unwrap_or(usize::MAX)];
    let again =
        scan(records, HEADER.first, &mut |_, _| ()).expect("the same records, and nothing behind them");
    assert_eq!((again.end, &again.marks), (found.end, &found.marks));
    assert!(matches!(again.rest, Rest::Nothing));
}

/// An index of a compressed segment that is read is written again, byte for byte; no bytes make a reader panic.
pub fn packed_segment(data: &[u8]) {
    use crate::segment::Form;
    use crate::segment::packed::{read_index, unpack};
    for form in [Form::Zstd, Form::Gzip] {
        let read = |offset: u64, length: usize| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            Ok::<_, ()>(data.get(from..from.saturating_add(length)).unwrap_or_default().to_vec())
        };
        let Ok(Some(index)) = read_index(form, data.len() as u64, read) else { continue };
        for (number, block) in index.blocks.iter().enumerate() {
            let part = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let Some(frame) = data.get(part(block.offset)..part(index.block_end(number))) else { continue };
            if let Some(raw) = unpack(form, frame, block) {
                assert_eq!(raw.len(), block.raw as usize);
            }
        }
    }
}

/// The end of a closed segment that is read is written again, byte for byte.
pub fn segment_end(data: &[u8]) {
    if let Some(end) = crate::segment::end::End::read(data, &SALT) {
        assert_eq!(end.to_bytes(&SALT), data);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The seeds are what they are named after: else the targets would begin with refused bytes.
    #[test]
    fn seeds_are_read() {
        let seed = |name: &str| std::fs::read(fuzz_replay::folder(&format!("ledger_{name}"))).unwrap();
        let gzip = seed("packed_segment/gzip");
        let read = |offset: u64, length: usize| {
            let offset = usize::try_from(offset).unwrap();
            Ok::<_, ()>(gzip[offset..offset + length].to_vec())
        };
        let index =
            crate::segment::packed::read_index(crate::Form::Gzip, gzip.len() as u64, read).unwrap().unwrap();
        assert_eq!((index.first, index.end), (5, 8));
        let end = crate::segment::end::End::read(&seed("segment_end/two_marks"), &SALT).unwrap();
        assert_eq!((end.end, end.marks.len()), (300, 2));
    }

    #[test]
    fn seeds() {
        let targets: &[fuzz_replay::Target] = &[
            ("ledger_wal_record", wal_record),
            ("ledger_wal_segment", wal_segment),
            ("ledger_wal_records", wal_records),
            ("ledger_checkpoint", checkpoint),
            ("ledger_packed_segment", packed_segment),
            ("ledger_segment_end", segment_end),
        ];
        fuzz_replay::corpus(targets);
        fuzz_replay::every_byte(targets);
    }

    /// Whole records with anything between them.
    fn segments() -> impl Strategy<Value = Vec<u8>> {
        let record =
            (0u64..12, proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 1..4));
        let piece = prop_oneof![
            3 => record.prop_map(|(first, leaves)| {
                let mut bytes = Vec::new();
                record::start(&mut bytes);
                leaves.iter().for_each(|leaf| tlog::bundle::push(&mut bytes, leaf).unwrap());
                record::finish(&mut bytes, &SALT, first, u32::try_from(leaves.len()).unwrap());
                bytes
            }),
            1 => proptest::collection::vec(any::<u8>(), 0..40),
            1 => Just(vec![0; 16]),
        ];
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            wal_record(&data);
            wal_segment(&data);
            wal_records(&data);
            checkpoint(&data);
            packed_segment(&data);
            segment_end(&data);
        }

        #[test]
        fn any_records(data in segments()) {
            wal_record(&data);
            wal_segment(&data);
        }
    }
}
