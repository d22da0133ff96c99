//! What the tests of the public API share.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ledger::{Log, Options, Report, VerifyOptions};
use signing::Ed25519Signer;
use signing::note::{NoteSigner, NoteVerifier};

pub(crate) const ORIGIN: &str = "log.example/test";

/// One key for the whole test process.
pub(crate) fn signer() -> NoteSigner {
    static KEY: OnceLock<String> = OnceLock::new();
    let pem = KEY.get_or_init(|| Ed25519Signer::generate().unwrap().to_pkcs8_pem().unwrap().to_string());
    NoteSigner::new(ORIGIN, Ed25519Signer::from_pkcs8_pem(pem).unwrap()).unwrap()
}

pub(crate) fn verifier() -> NoteVerifier {
    signer().verifier()
}

/// A log that publishes only when it is told to.
pub(crate) fn options() -> Options {
    Options { create: true, publish_every: None, segment_bytes: 1 << 16, ..Options::new(ORIGIN, signer()) }
}

pub(crate) fn leaf(i: u64) -> Vec<u8> {
    format!("leaf {i}").into_bytes()
}

/// A closed log of the given size, published once at each of `sizes`.
pub(crate) fn log_of(home: &Path, sizes: &[u64]) {
    let (log, _) = Log::open(home, options()).unwrap();
    for &size in sizes {
        log.append((log.size()..size).map(leaf).collect()).unwrap();
        log.publish().unwrap();
    }
    log.close().unwrap();
}

pub(crate) fn verify(home: &Path) -> Report {
    ledger::verify(home, &verifier(), &VerifyOptions::default(), &mut |_, _| ()).unwrap()
}

/// Every file below a directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}
