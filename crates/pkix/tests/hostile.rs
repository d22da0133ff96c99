//! The fuzz targets' oracles on arbitrary bytes, on near misses of the kept corpus, and on the corpus itself.
#![allow(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::path::Path;

use pkix::fuzzing;
use proptest::prelude::*;

type Target = fn(&[u8]);

const TARGETS: &[(&str, Target)] = &[
    ("pkix_certificate", fuzzing::certificate),
    ("pkix_path", fuzzing::path),
    ("pkix_signed_data", fuzzing::signed_data),
    ("pkix_timestamp", fuzzing::timestamp),
    ("pkix_revocation", fuzzing::revocation),
];

/// The seeds of one target; a target without any is a mistake.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap();
    let seeds: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "{} is empty", folder.display());
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        TARGETS.iter().for_each(|(_, target)| target(&data));
    }

    #[test]
    fn near_misses(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        for (name, target) in TARGETS {
            for mut seed in seeds(name) {
                let at = at.index(seed.len());
                if cut { seed.truncate(at) } else { seed[at] = byte }
                target(&seed);
            }
        }
    }
}

#[test]
fn the_corpus() {
    for (name, target) in TARGETS {
        seeds(name).iter().for_each(|seed| target(seed));
    }
}
