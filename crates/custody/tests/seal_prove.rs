//! One file of a sealed artefact, handed over and checked alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::fs;

use serde_json::Value;
use support::{Home, text};

#[test]
fn one_file_is_handed_over_and_checked_alone() {
    let maker = Home::new();
    for n in 0..300 {
        maker.write(&format!("app/d{}/f{n}", n % 10), format!("content {n}"));
    }
    maker.run(&["seal", "create", "app", "-o", "app.seal.json"], 0);
    maker.run(&["seal", "prove", "app.seal.json", "d7/f207", "-o", "f207.proof.json"], 0);
    let key = maker.run(&["key", "show", "default", "--pem"], 0).stdout;

    // The other side has the file under another name, the proof, and the maker's key; no seal and no home.
    let other = Home::absent();
    other.write("received", "content 207");
    other.write("maker.pub.pem", key);
    let proof = fs::read(maker.folder().join("f207.proof.json")).unwrap();
    assert!(proof.len() < 8192, "{} bytes", proof.len());
    other.write("p.json", &proof);
    let verify = ["seal", "verify", "received", "--proof", "p.json", "--trust", "maker.pub.pem", "--json"];
    let held: Value = serde_json::from_slice(&other.run(&verify, 0).stdout).unwrap();
    assert_eq!((&held["path"], &held["entries"]), (&"d7/f207".into(), &310.into()));

    // Another content, nobody trusted, a changed proof.
    other.write("received", "content 208");
    let refused = other.run(&verify, 1);
    let refused: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(refused["act"], "SEAL.MISMATCH");
    other.write("received", "content 207");
    let nobody = other.run(&["seal", "verify", "received", "--proof", "p.json"], 1);
    assert!(text(&nobody.stderr).contains("not trusted here"), "{}", text(&nobody.stderr));
    let mut changed: Value = serde_json::from_slice(&proof).unwrap();
    changed["entry"]["mode"] = "0755".into();
    other.write("p.json", changed.to_string());
    let refused = other.run(&verify, 1);
    assert!(text(&refused.stderr).contains("proves nothing"), "{}", text(&refused.stderr));
    other.write("p.json", "{}");
    other.run(&verify, 2);
}

#[test]
fn only_files_that_the_seal_lists_are_proved() {
    let home = Home::new();
    home.write("app/bin/payments", "a program");
    home.run(&["seal", "create", "app", "-o", "app.seal.json"], 0);
    for (path, said) in [("bin/missing", "has no entry"), ("bin", "only files")] {
        let refused = home.run(&["seal", "prove", "app.seal.json", path, "-o", "p.json"], 2);
        assert!(text(&refused.stderr).contains(said), "{}", text(&refused.stderr));
    }
    assert!(!home.folder().join("p.json").exists());
    // A seal from before there were heads: its envelope alone.
    let mut seal: Value =
        serde_json::from_slice(&fs::read(home.folder().join("app.seal.json")).unwrap()).unwrap();
    seal.as_object_mut().unwrap().remove("head");
    home.write("old.seal.json", seal.to_string());
    home.run(&["seal", "verify", "app", "--seal", "old.seal.json"], 0);
    let refused = home.run(&["seal", "prove", "old.seal.json", "bin/payments", "-o", "p.json"], 2);
    assert!(text(&refused.stderr).contains("--key"), "{}", text(&refused.stderr));
    home.run(&["seal", "prove", "old.seal.json", "bin/payments", "-o", "p.json", "--key", "default"], 0);
    home.run(&["seal", "verify", "app/bin/payments", "--proof", "p.json"], 0);
}
