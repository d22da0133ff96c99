//! Any bytes, and the seeds of the fuzz target, keep the oracle's promises.

use proptest::prelude::*;

#[test]
fn seeds_keep_the_promises() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/seal_statement");
    let mut read = 0;
    for seed in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(seed.unwrap().path()).unwrap();
        seal::fuzzing::statement(&bytes);
        read += usize::from(seal::Seal::from_statement(&bytes).is_ok());
    }
    assert!(read >= 2, "the seeds hold no statement that reads: the oracle was not tried");
}

#[test]
fn seeds_of_heads_keep_the_promise() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/seal_head");
    let mut read = 0;
    for seed in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(seed.unwrap().path()).unwrap();
        seal::fuzzing::head(&bytes);
        read += usize::from(seal::Head::from_statement(&bytes).is_ok());
    }
    assert!(read >= 1, "the seeds hold no head that reads");
}

#[test]
fn seeds_of_patterns_keep_the_promise() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/seal_exclusion");
    for seed in std::fs::read_dir(corpus).unwrap() {
        seal::fuzzing::exclusion(&std::fs::read(seed.unwrap().path()).unwrap());
    }
}

proptest! {
    #[test]
    fn any_bytes_keep_the_promises(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        seal::fuzzing::statement(&bytes);
        seal::fuzzing::head(&bytes);
        seal::fuzzing::exclusion(&bytes);
    }

    #[test]
    fn any_pattern_matches_as_defined(pattern in "[ab/*?]{1,8}", path in "[ab/]{0,10}") {
        seal::fuzzing::exclusion(format!("{pattern}\0{path}").as_bytes());
    }

    #[test]
    fn a_changed_statement_keeps_the_promises(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let seed = include_bytes!("../../../fuzz/corpus/seal_statement/directory.json");
        let mut bytes = seed.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        seal::fuzzing::statement(&bytes);
    }
}
