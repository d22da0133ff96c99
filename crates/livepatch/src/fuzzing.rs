//! Oracles for `fuzz/`: hostile bytes may be refused, and nothing else.

use crate::Patch;

/// The file of a patch: what is read can be written, and is read again as the same.
pub fn file(data: &[u8]) {
    let Ok(patch) = Patch::decode(data) else { return };
    let Ok(again) = patch.encode() else { return };
    assert_eq!(Patch::decode(&again).ok(), Some(patch), "a patch is what its file says");
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_replayed() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/livepatch_file");
        let mut read = 0;
        for seed in std::fs::read_dir(folder).expect("seeds") {
            let bytes = std::fs::read(seed.expect("a seed").path()).expect("bytes");
            for end in 0..=bytes.len() {
                super::file(&bytes[..end]);
            }
            read += 1;
        }
        assert!(read > 0);
    }
}
