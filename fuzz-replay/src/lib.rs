//! The fuzz targets' oracles in `cargo test`: on the seeds that `fuzz/corpus` keeps, on near misses of them, and on
//! arbitrary bytes.
//!
//! It is for tests only, stands beside the house, and panics where an oracle does.
#![forbid(unsafe_code)]
#![allow(clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// A fuzz target: its name, which is that of its folder of seeds, and its oracle.
pub type Target = (&'static str, fn(&[u8]));

/// Seeds above this length are not changed at every byte.
const SHORT: usize = 4 << 10;

/// The folder of a target's seeds.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// The seeds of a target, in the order of their names; a target without any is a mistake.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = folder(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.expect("an entry of the corpus").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| std::fs::read(file).expect("a readable seed")).collect()
}

/// Every seed as it is.
pub fn corpus(targets: &[Target]) {
    for (name, oracle) in targets {
        seeds(name).iter().for_each(|seed| oracle(seed));
    }
}

/// Every seed with each of its bytes changed in turn, and cut before each: for short seeds.
pub fn every_byte(targets: &[Target]) {
    for (name, oracle) in targets {
        for seed in seeds(name) {
            assert!(seed.len() <= SHORT, "a seed of {name} is too long to be changed at every byte");
            for at in 0..seed.len() {
                let mut changed = seed.clone();
                changed[at] ^= 0x11;
                oracle(&changed);
                oracle(&seed[..at]);
            }
        }
    }
}

/// Bytes of any kind, up to `longest` of them, given to all targets.
pub fn any_bytes(targets: &[Target], longest: usize, cases: u32) {
    run(cases, &proptest::collection::vec(any::<u8>(), 0..=longest), |bytes| {
        targets.iter().for_each(|(_, oracle)| oracle(&bytes));
    });
}

/// The seeds of each target with a few bytes changed, some of them cut.
pub fn near_misses(targets: &[Target], cases: u32) {
    let seeds: Vec<_> = targets.iter().map(|(name, oracle)| (seeds(name), *oracle)).collect();
    run(cases, &change(), |change| {
        for (seeds, oracle) in &seeds {
            oracle(&change.of(seeds));
        }
    });
}

/// The `inputs`, which a test made, with a few bytes changed, some of them cut, given to all targets.
pub fn near_misses_of(inputs: &[Vec<u8>], targets: &[Target], cases: u32) {
    run(cases, &change(), |change| {
        let changed = change.of(inputs);
        targets.iter().for_each(|(_, oracle)| oracle(&changed));
    });
}

#[derive(Clone, Debug)]
struct Change {
    which: Index,
    bytes: Vec<(Index, u8)>,
    cut: Option<Index>,
}

impl Change {
    fn of(&self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.which.index(inputs.len())].clone();
        if bytes.is_empty() {
            return bytes;
        }
        for (at, byte) in &self.bytes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Some(cut) = &self.cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    }
}

fn change() -> impl Strategy<Value = Change> {
    let bytes = proptest::collection::vec((any::<Index>(), any::<u8>()), 1..5);
    let cut = proptest::option::weighted(0.25, any::<Index>());
    (any::<Index>(), bytes, cut).prop_map(|(which, bytes, cut)| Change { which, bytes, cut })
}

fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static SEEN: AtomicUsize = AtomicUsize::new(0);

    fn counts(_: &[u8]) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }

    fn fails_on_long(bytes: &[u8]) {
        assert!(bytes.len() < 20);
    }

    #[test]
    fn oracles_are_called_and_may_fail() {
        let targets: &[Target] = &[("gm_sm2_key", counts)];
        corpus(targets);
        every_byte(targets);
        any_bytes(targets, 50, 16);
        near_misses(targets, 16);
        near_misses_of(&[vec![1, 2, 3]], targets, 16);
        assert!(SEEN.load(Ordering::Relaxed) > 100);
        let failed = std::panic::catch_unwind(|| any_bytes(&[("gm_sm2_key", fails_on_long)], 50, 64));
        assert!(failed.is_err());
    }
}
