//! Any bytes, and the seeds of the fuzz targets, keep the oracles' promises.

use fuzz_replay::Target;
use proptest::prelude::*;
use seal::fuzzing;

const TARGETS: &[Target] = &[
    ("seal_statement", fuzzing::statement),
    ("seal_exclusion", fuzzing::exclusion),
    ("seal_head", fuzzing::head),
    ("seal_proof", fuzzing::proof),
];

#[test]
fn any_bytes() {
    fuzz_replay::any_bytes(TARGETS, 400, 256);
}

#[test]
fn near_misses() {
    fuzz_replay::near_misses(TARGETS, 256);
}

#[test]
fn the_corpus() {
    fuzz_replay::corpus(TARGETS);
    let read = fuzz_replay::seeds("seal_statement")
        .iter()
        .filter(|seed| seal::Seal::from_statement(seed).is_ok())
        .count();
    assert!(read >= 2, "the seeds hold no statement that reads: the oracle was not tried");
    let heads = fuzz_replay::seeds("seal_head");
    assert!(heads.iter().any(|seed| seal::Head::from_statement(seed).is_ok()), "no head reads");
}

proptest! {
    #[test]
    fn any_pattern_matches_as_defined(pattern in "[ab/*?]{1,8}", path in "[ab/]{0,10}") {
        fuzzing::exclusion(format!("{pattern}\0{path}").as_bytes());
    }
}
