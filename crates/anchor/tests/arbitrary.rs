//! Any bytes, and the seeds of the fuzz targets, keep the oracles' promises.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::path::Path;

use anchor::fuzzing;
use proptest::prelude::*;

/// A target's name and its oracle.
type Target = (&'static str, fn(&[u8]));

const ALL: [Target; 7] = [
    ("receipt", fuzzing::receipt),
    ("bundle", fuzzing::bundle),
    ("rekor", fuzzing::rekor),
    ("root", fuzzing::root),
    ("baas", fuzzing::baas),
    ("witness", fuzzing::witness),
    ("fulcio", fuzzing::fulcio),
];

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/corpus/anchor_{name}"));
    std::fs::read_dir(corpus).unwrap().map(|seed| std::fs::read(seed.unwrap().path()).unwrap()).collect()
}

#[test]
fn seeds_keep_the_promises() {
    for (name, oracle) in ALL {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.iter().for_each(|seed| oracle(seed));
    }
    assert!(seeds("bundle").iter().any(|seed| anchor::sigstore::Bundle::parse(seed).is_ok()));
    assert!(seeds("receipt").iter().any(|seed| anchor::Anchored::parse(seed).is_ok()));
}

proptest! {
    #[test]
    fn any_bytes_keep_the_promises(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        ALL.iter().for_each(|(_, oracle)| oracle(&bytes));
    }

    #[test]
    fn changed_seeds_keep_the_promises(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for (name, oracle) in ALL {
            for mut seed in seeds(name) {
                let at = at.index(seed.len());
                seed[at] = byte;
                oracle(&seed);
            }
        }
    }
}
