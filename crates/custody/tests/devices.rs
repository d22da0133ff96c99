//! `[crypto]` of custody.toml: who computes SM3, keys that stay in a device, and what is recorded when a device cannot.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Home, text};

/// The library of `gmdevice`'s tests: GM/T 0018 over `gm`, and no card.
fn library() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "-p", "gmdevice", "--example", "sdf_library"]);
    assert!(
        cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).status().unwrap().success()
    );
    let name = format!("{}sdf_library{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let built = std::env::current_exe().unwrap().parent().unwrap().join("../examples").join(name);
    assert!(built.exists(), "{} was not built", built.display());
    built
}

fn home(crypto: &str) -> Home {
    let home = Home::new();
    home.write("home/custody.toml", format!("version = 1\n[crypto]\n{crypto}"));
    home.run(&["key", "new"], 0);
    home.write("bin/app", "abc");
    home
}

/// The tree of `bin`, as one home sees it.
fn tree(home: &Home) -> serde_json::Value {
    let sealed = home.run(&["seal", "create", "bin", "-o", "bin.seal.json", "--json"], 0);
    let sealed: serde_json::Value = serde_json::from_slice(&sealed.stdout).unwrap();
    home.run(&["seal", "verify", "bin", "--seal", "bin.seal.json"], 0);
    sealed["tree"].clone()
}

fn fallbacks(home: &Home) -> String {
    text(&home.run(&["audit", "query", "--act", "CRYPTO.FALLBACK", "--json"], 0).stdout)
}

#[test]
fn a_device_computes_and_what_it_cannot_is_recorded() {
    let library = library();
    let plain = tree(&home(""));
    let by_device = home(&format!("seal_sm3 = \"sdf\"\nsdf_library = {library:?}"));
    assert_eq!(tree(&by_device), plain);
    assert_eq!(fallbacks(&by_device), "");

    let without = home("seal_sm3 = \"sdf\"\nsdf_library = \"/nonexistent/libsdf.so\"");
    assert_eq!(tree(&without), plain);
    let recorded = fallbacks(&without);
    assert_eq!(recorded.lines().count(), 2, "one for the seal, one for its verification: {recorded}");
    assert!(recorded.contains("/nonexistent/libsdf.so") && recorded.contains("seal.sm3"), "{recorded}");

    let strict = home("seal_sm3 = \"sdf\"\nfall_back = false\nsdf_library = \"/nonexistent/libsdf.so\"");
    let refused = strict.run(&["seal", "create", "bin", "-o", "bin.seal.json"], 3);
    assert!(text(&refused.stderr).contains("fall_back"), "{}", text(&refused.stderr));
    assert_eq!(fallbacks(&strict), "");
}

#[test]
fn a_device_that_errs_is_not_believed() {
    let home = home(&format!("seal_sm3 = \"sdf\"\nsdf_library = {:?}", library()));
    let faulty = |fault: &str, code: i32| {
        let arguments = ["seal", "create", "bin", "-o", "bin.seal.json"];
        let output = home.command(&arguments).env("SDF_TEST_FAULT", fault).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{fault}: {}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(faulty("digest", 0).contains("computes SM3 wrongly"));
    home.write("bin/app", "longer than what it fails at");
    assert!(faulty("update", 3).contains("SDF_HashUpdate"));
}

#[test]
fn a_key_of_the_device_signs_seals() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "12345678\n").unwrap();
    let home = home(&format!("sdf_library = {:?}\nsdf_password_file = {password:?}", library()));
    home.run(&["seal", "create", "bin", "-o", "bin.seal.json", "--key", "sdf:1"], 0);
    home.run(&["seal", "verify", "bin", "--seal", "bin.seal.json"], 1);
    let pem = home.run(&["key", "show", "sdf:1", "--pem"], 0).stdout;
    home.write("device.pub.pem", pem);
    home.run(&["seal", "verify", "bin", "--seal", "bin.seal.json", "--trust", "device.pub.pem"], 0);
    home.run(&["seal", "create", "bin", "-o", "other.seal.json", "--key", "sdf:2"], 3);
    home.run(&["seal", "create", "bin", "-o", "other.seal.json", "--key", "sdf:x"], 2);
    std::fs::write(&password, "wrong").unwrap();
    home.run(&["seal", "create", "bin", "-o", "other.seal.json", "--key", "sdf:1"], 3);
}
