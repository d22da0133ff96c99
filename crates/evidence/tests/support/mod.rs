//! Writers of archives, good and bad, and short ways to read them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod sumdb;
pub mod tar;
pub mod zip;

use std::io::Write as _;
use std::path::Path;

use evidence::{Evidence, EvidenceError, Options};
use seal::{Comparison, Seal};

/// Reads bytes as a file of its own.
pub fn observe(bytes: &[u8], options: &Options) -> Result<Evidence, EvidenceError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    evidence::collect(file.path(), options, &|_, _| {})
}

pub fn read(bytes: &[u8]) -> Result<Evidence, EvidenceError> {
    observe(bytes, &Options::default())
}

pub fn sealed(bytes: &[u8]) -> Seal {
    read(bytes).unwrap().into_seal().unwrap()
}

/// How `bytes` differ from what was sealed.
pub fn compare(seal: &Seal, bytes: &[u8]) -> Comparison {
    let found = observe(bytes, &Options::for_comparison(seal, evidence::Limits::default())).unwrap();
    Comparison::of(seal, &found.observation)
}

pub fn collect(path: &Path) -> Result<Evidence, EvidenceError> {
    evidence::collect(path, &Options::default(), &|_, _| {})
}

/// The whole chain of causes.
pub fn reason(result: Result<Evidence, EvidenceError>) -> String {
    result.expect_err("it was taken").reason()
}

/// Paths of changed entries.
pub fn changed(comparison: &Comparison) -> Vec<&str> {
    comparison.changed.iter().map(|c| c.path.as_str()).collect()
}

/// Letters that compress to about two thirds.
pub fn text(size: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + u8::try_from(state >> 24).unwrap() % 26
    };
    (0..size).map(|_| letter()).collect()
}

/// Whether a program is here; says loudly when a test does without.
pub fn has(program: &str) -> bool {
    let found = std::process::Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: `{program}` is not installed");
    }
    found
}
