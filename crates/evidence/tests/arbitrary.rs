//! Any bytes, and the seeds of the fuzz targets, keep the oracles' promises.
//!
//! The seeds were made with Python's `zipfile` and `tarfile`, `gzip`, `lzma` and `zstd`, those of 7z with `7zz`.

use evidence::fuzzing;
use fuzz_replay::{Target, seeds};

const TARGETS: &[Target] = &[
    ("evidence_zip", fuzzing::zip),
    ("evidence_sevenz", fuzzing::sevenz),
    ("evidence_tar", fuzzing::tar),
    ("evidence_detect", fuzzing::detect),
    ("evidence_modules", fuzzing::modules),
];

#[test]
fn any_bytes() {
    fuzz_replay::any_bytes(TARGETS, 2000, 256);
}

#[test]
fn near_misses() {
    fuzz_replay::near_misses(TARGETS, 256);
}

#[test]
fn the_corpus() {
    fuzz_replay::corpus(TARGETS);
}

#[test]
fn the_seeds_are_archives_that_read() {
    let behind_a_byte =
        ["evidence_tar", "evidence_sevenz"].into_iter().flat_map(seeds).map(|s| s[1..].to_vec());
    for seed in seeds("evidence_zip").into_iter().chain(behind_a_byte) {
        let file = tempfile::NamedTempFile::new().expect("a temporary folder");
        std::fs::write(file.path(), &seed).expect("a writable temporary folder");
        let found = evidence::collect(file.path(), &evidence::Options::default(), &|_, _| {});
        // Without this the oracles above would have nothing to look at.
        assert!(found.is_ok_and(|e| e.into_seal().is_ok_and(|s| s.tree().entries().len() >= 3)));
    }
}
