//! Any bytes, and the seeds of the fuzz targets, keep the oracles' promises.

use anchor::fuzzing;
use fuzz_replay::{Target, seeds};

const TARGETS: &[Target] = &[
    ("anchor_receipt", fuzzing::receipt),
    ("anchor_bundle", fuzzing::bundle),
    ("anchor_rekor", fuzzing::rekor),
    ("anchor_root", fuzzing::root),
    ("anchor_baas", fuzzing::baas),
    ("anchor_witness", fuzzing::witness),
    ("anchor_fulcio", fuzzing::fulcio),
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
    assert!(seeds("anchor_bundle").iter().any(|seed| anchor::sigstore::Bundle::parse(seed).is_ok()));
    assert!(seeds("anchor_receipt").iter().any(|seed| anchor::Anchored::parse(seed).is_ok()));
}
