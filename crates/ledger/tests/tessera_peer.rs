//! Tessera's client and `fsck` judge the exported log: the implementation that runs Certificate Transparency and Rekor.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{files, log_of, verifier};

/// Says why nothing is judged; a failure where peers are required.
fn skipped(why: &str) -> Option<PathBuf> {
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "peers are required: {why}");
    eprintln!("SKIPPED tessera_peer: {why}");
    None
}

fn build(out: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tessera-judge");
    let go = |arguments: &[&str]| {
        let mut go = Command::new(std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into()));
        go.args(arguments).current_dir(&source);
        go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly").env("GOWORK", "off").output()
    };
    match go(&["mod", "download"]) {
        Ok(output) if output.status.success() => {}
        Ok(output) => return skipped(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => return skipped(&format!("no Go toolchain (set CUSTODY_GO): {error}")),
    }
    let judge = out.join("tessera-judge");
    let built = go(&["build", "-o", judge.to_str().unwrap(), "."]).unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(judge)
}

fn judged(judge: &Path, home: &Path) -> Output {
    Command::new(judge).arg(home.join("plain")).arg(verifier().to_string()).output().unwrap()
}

fn export(home: &Path) {
    ledger::Reader::open(home, &verifier()).unwrap().export(&home.join("plain")).unwrap();
}

#[test]
fn tessera_finds_nothing_wrong_and_every_changed_file() {
    let dir = tempfile::tempdir().unwrap();
    let Some(judge) = build(dir.path()) else { return };
    for size in [1u64, 2, 255, 256, 257, 600, 65_536, 65_793] {
        let home = tempfile::tempdir().unwrap();
        log_of(home.path(), &[size / 3 + 1, size]);
        export(home.path());
        let output = judged(&judge, home.path());
        assert!(output.status.success(), "size {size}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("size {size}\n"));
    }
    let home = tempfile::tempdir().unwrap();
    log_of(home.path(), &[300]);
    export(home.path());
    for path in files(&home.path().join("plain")) {
        let bytes = std::fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(!judged(&judge, home.path()).status.success(), "{}", path.display());
        std::fs::write(&path, bytes).unwrap();
    }
}
