//! Oracles of the fuzz targets over the write-ahead log.

use crate::error::LedgerError;
use crate::storage::{Name, Site, Storage, Stored};
use crate::wal::record::{self, Salt};
use crate::wal::replay::replay;

/// The salt of the vector in `docs/formats/ledger.md`, so that its record is a seed.
const SALT: Salt = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

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
    let mut bytes = record::segment_header(0, &SALT);
    bytes.extend_from_slice(data);
    let segment = OneSegment(bytes);
    let mut leaves = 0;
    match replay(&segment, 5, &mut |_| leaves += 1) {
        Ok(found) => {
            assert_eq!(found.end, 5 + leaves);
            let mut more = 0;
            assert!(
                replay(&segment, found.end, &mut |_| more += 1).is_ok_and(|again| again.end == found.end)
            );
            assert_eq!(more, 0);
        }
        Err(error) => {
            assert!(matches!(error, LedgerError::WalDamaged { .. } | LedgerError::WalGap { .. }), "{error}");
        }
    }
}

/// A storage that has one segment and cannot be changed.
struct OneSegment(Vec<u8>);

fn refused<T>() -> std::io::Result<T> {
    Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Storage for OneSegment {
    fn list(&self, _: &str) -> std::io::Result<Vec<Name>> {
        Ok(vec![Name { name: "0000000000000000.wal".to_owned(), is_dir: false }])
    }

    fn read(&self, _: &str) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn create(&self, _: &str) -> std::io::Result<Box<dyn Stored>> {
        refused()
    }

    fn write_files(&self, _: Site, _: &[(String, Vec<u8>)]) -> std::io::Result<()> {
        refused()
    }

    fn make_dir(&self, _: &str) -> std::io::Result<()> {
        refused()
    }

    fn rename(&self, _: &str, _: &str) -> std::io::Result<()> {
        refused()
    }

    fn remove(&self, _: &str) -> std::io::Result<()> {
        refused()
    }

    fn remove_dir(&self, _: &str) -> std::io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: Site, _: &str) -> std::io::Result<()> {
        refused()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seeds() {
        for (name, target) in
            [("wal_record", wal_record as fn(&[u8])), ("wal_segment", wal_segment as fn(&[u8]))]
        {
            let dir = format!("{}/../../fuzz/corpus/ledger_{name}", env!("CARGO_MANIFEST_DIR"));
            for seed in std::fs::read_dir(dir).unwrap() {
                let bytes = std::fs::read(seed.unwrap().path()).unwrap();
                target(&bytes);
                for at in 0..bytes.len() {
                    let mut changed = bytes.clone();
                    changed[at] ^= 0x11;
                    target(&changed);
                    target(&bytes[..at]);
                }
            }
        }
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
        }

        #[test]
        fn any_records(data in segments()) {
            wal_record(&data);
            wal_segment(&data);
        }
    }
}
