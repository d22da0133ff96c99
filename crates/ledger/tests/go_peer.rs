//! Go's `golang.org/x/mod/sumdb/{note,tlog}` read the exported log.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{files, log_of, verifier};

fn go(dir: &Path) -> Command {
    let program = std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into());
    let mut command = Command::new(program);
    command.current_dir(dir).env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly").env("GOWORK", "off");
    command
}

/// Builds the reader; `None`, said loudly, when there is no Go or its module cannot be had.
fn build(out: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go-reader");
    let ready = go(&source).args(["mod", "download"]).output();
    match ready {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            eprintln!("SKIPPED go_peer: golang.org/x/mod is not available: {why}");
            return None;
        }
        Err(error) => {
            eprintln!("SKIPPED go_peer: no Go toolchain (set CUSTODY_GO): {error}");
            return None;
        }
    }
    let reader = out.join("go-reader");
    let built = go(&source).arg("build").arg("-o").arg(&reader).arg(".").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(reader)
}

/// The plain layout of c2sp.org/tlog-tiles, beside the log.
fn export(home: &Path) {
    ledger::Reader::open(home, &verifier()).unwrap().export(&home.join("plain")).unwrap();
}

fn read(reader: &Path, home: &Path, indices: &[u64]) -> Output {
    let mut command = Command::new(reader);
    command.arg(home.join("plain")).arg(verifier().to_string());
    command.args(indices.iter().map(u64::to_string)).output().unwrap()
}

#[test]
fn go_opens_the_checkpoint_and_checks_trees_and_records() {
    let dir = tempfile::tempdir().unwrap();
    let Some(reader) = build(dir.path()) else { return };
    for size in [1u64, 2, 255, 256, 257, 600, 65535, 65536, 65537] {
        let home = tempfile::tempdir().unwrap();
        log_of(home.path(), &[size / 3 + 1, size]);
        let mut indices: Vec<u64> = [0, 1, 254, 255, 256, 257, size / 2, size - 1].into();
        indices.retain(|index| *index < size);
        export(home.path());
        let output = read(&reader, home.path(), &indices);
        assert!(output.status.success(), "size {size}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(&format!("size {size} root ")), "{said}");
    }
}

#[test]
fn go_refuses_a_changed_file() {
    let dir = tempfile::tempdir().unwrap();
    let Some(reader) = build(dir.path()) else { return };
    let home = tempfile::tempdir().unwrap();
    log_of(home.path(), &[300]);
    export(home.path());
    let all: Vec<u64> = (0..300).collect();
    assert!(read(&reader, home.path(), &all).status.success());
    for path in files(&home.path().join("plain")) {
        let bytes = std::fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(!read(&reader, home.path(), &all).status.success(), "{}", path.display());
        std::fs::write(&path, bytes).unwrap();
    }
}
