//! Oracles for `fuzz/`: hostile bytes may be refused, and nothing else.

use crate::{Patch, Statement};

/// The file of a patch: what is read can be written, and is read again as the same.
pub fn file(data: &[u8]) {
    let Ok(patch) = Patch::decode(data) else { return };
    let Ok(again) = patch.encode() else { return };
    assert_eq!(Patch::decode(&again).ok(), Some(patch), "a patch is what its file says");
}

/// What is signed of a patch: what is read can be written, and is read again as the same.
pub fn statement(data: &[u8]) {
    let Ok(statement) = Statement::decode(data) else { return };
    let Ok(again) = statement.encode() else { return };
    assert_eq!(Statement::decode(&again).ok(), Some(statement), "a statement is what its text says");
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_replayed() {
        replay("livepatch_file", super::file);
        replay("livepatch_statement", super::statement);
    }

    /// Each seed, and each of its beginnings.
    fn replay(target: &str, oracle: fn(&[u8])) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut read = 0;
        for seed in std::fs::read_dir(folder).expect("seeds") {
            let bytes = std::fs::read(seed.expect("a seed").path()).expect("bytes");
            (0..=bytes.len()).for_each(|end| oracle(&bytes[..end]));
            read += 1;
        }
        assert!(read > 0);
    }
}
