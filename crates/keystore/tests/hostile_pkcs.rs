//! The fuzz targets' oracles on arbitrary bytes, on near misses of the kept corpus, and on the corpus itself.

use fuzz_replay::Target;
use keystore::fuzzing;

const TARGETS: &[Target] =
    &[("keystore_pkcs12", fuzzing::pkcs12), ("keystore_pkcs11_uri", fuzzing::pkcs11_uri)];

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
