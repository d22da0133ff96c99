//! The fuzz targets' oracles on arbitrary bytes, on near misses of the kept corpus, and on the corpus itself.

use fuzz_replay::Target;
use pkix::fuzzing;

const TARGETS: &[Target] = &[
    ("pkix_certificate", fuzzing::certificate),
    ("pkix_path", fuzzing::path),
    ("pkix_signed_data", fuzzing::signed_data),
    ("pkix_timestamp", fuzzing::timestamp),
    ("pkix_revocation", fuzzing::revocation),
];

#[test]
fn any_bytes() {
    fuzz_replay::any_bytes(TARGETS, 300, 64);
}

#[test]
fn near_misses() {
    fuzz_replay::near_misses(TARGETS, 256);
}

#[test]
fn the_corpus() {
    fuzz_replay::corpus(TARGETS);
}
