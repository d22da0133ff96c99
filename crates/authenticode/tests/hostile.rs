//! The fuzz targets' oracles on arbitrary bytes, on near misses of the kept corpus, and on the corpus itself.

use authenticode::fuzzing;
use fuzz_replay::Target;

const TARGETS: &[Target] = &[
    ("authenticode_attached", fuzzing::attached),
    ("authenticode_catalog", fuzzing::catalog),
    ("authenticode_document", fuzzing::document),
    ("authenticode_icon", fuzzing::icon),
    ("authenticode_image", fuzzing::image),
    ("authenticode_portal", fuzzing::portal),
    ("authenticode_resources", fuzzing::resources),
    ("authenticode_rewritten", fuzzing::rewritten),
    ("authenticode_table", fuzzing::table),
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
