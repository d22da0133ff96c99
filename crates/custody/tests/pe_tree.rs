//! The tree inside a signature: the seal's roots are signed, and every file of the tree is checked in one go.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use support::pe::{authority, program};
use support::{Home, text};

const KEY: [&str; 4] = ["--key", "code.key.pem", "--cert", "code.pem"];

fn stage() -> Home {
    let home = Home::new();
    authority(home.folder());
    home.write("dist/bin/app.exe", program(2));
    home.write("dist/bin/tool.dll", program(1));
    home.write("dist/README", "read me\n");
    home.run(&["seal", "create", "dist", "-o", "dist.seal.json"], 0);
    home
}

fn verify(home: &Home, file: &str, code: i32) -> String {
    let output =
        home.run(&["pe", "verify", file, "--ca", "root.pem", "--seal", "dist.seal.json", "dist"], code);
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn signature_root_and_every_file_are_checked_in_one_go() {
    let home = stage();
    let sign = ["pe", "sign", "dist/bin/app.exe", "dist/bin/tool.dll", "--seal", "dist.seal.json"];
    home.run(&[&sign[..], &KEY].concat(), 0);
    assert!(verify(&home, "dist/bin/app.exe", 0).contains("is what the signature binds"));
    verify(&home, "dist/bin/tool.dll", 0);
    // Signing once more, with a nested signature, changes nothing of the tree.
    home.run(
        &[&["pe", "sign", "dist/bin/app.exe", "--append", "--seal", "dist.seal.json"], &KEY[..]].concat(),
        0,
    );
    verify(&home, "dist/bin/tool.dll", 0);

    home.write("dist/README", "read me not\n");
    assert!(verify(&home, "dist/bin/app.exe", 1).contains("README differs"));
    home.run(&[&sign[..], &KEY].concat(), 1);
    home.write("dist/README", "read me\n");
    verify(&home, "dist/bin/app.exe", 0);

    home.write("dist/extra", "");
    assert!(verify(&home, "dist/bin/app.exe", 1).contains("extra differs"));
    std::fs::remove_file(home.folder().join("dist/extra")).unwrap();

    // Another program in the place of one that was sealed: its own signature is good, and the roots are not.
    home.write("dist/bin/tool.dll", program(3));
    home.run(&[&["pe", "sign", "dist/bin/tool.dll"], &KEY[..]].concat(), 0);
    assert!(verify(&home, "dist/bin/app.exe", 1).contains("no good signature binds the tree"));
}

#[test]
fn a_signature_without_roots_binds_nothing() {
    let home = stage();
    home.run(&[&["pe", "sign", "dist/bin/app.exe"], &KEY[..]].concat(), 0);
    assert!(verify(&home, "dist/bin/app.exe", 1).contains("no good signature binds the tree"));
    home.write("elsewhere.exe", program(1));
    home.run(&[&["pe", "sign", "elsewhere.exe", "--seal", "dist.seal.json"], &KEY[..]].concat(), 2);
}

const VERIFY: [&str; 6] = ["verify", "dist", "--seal", "dist.seal.json", "--ca", "root.pem"];

fn judge(home: &Home, arguments: &[&str], code: i32) -> serde_json::Value {
    let output = home.run(&[arguments, &["--json"]].concat(), code);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fault(report: &serde_json::Value) -> &str {
    report["faults"][0].as_str().unwrap_or_default()
}

#[test]
fn a_whole_tree_is_verified_by_one_command() {
    let home = stage();
    home.write("dist/bin/plain.exe", program(1));
    home.run(&["seal", "create", "dist", "-o", "dist.seal.json"], 0);
    // Nothing is signed yet: the files are those that were sealed, and nothing binds them.
    let report = judge(&home, &VERIFY, 1);
    assert_eq!(fault(&report), "no program in it carries a good signature that binds the tree");
    let sign = ["pe", "sign", "dist/bin/app.exe", "dist/bin/tool.dll", "--seal", "dist.seal.json"];
    home.run(&[&sign[..], &KEY].concat(), 0);
    let report = judge(&home, &VERIFY, 0);
    let state = |at: usize| {
        let program = &report["programs"][at];
        ["signed", "changed", "holds", "bound"].map(|name| program[name].as_bool().unwrap())
    };
    assert_eq!(state(0), [true; 4], "{report}");
    assert_eq!(state(1), [false; 4]);
    assert_eq!(report["programs"][0]["signatures"][0]["seal"]["sha256"], report["root"]["sha256"]);
    // One program by itself, the tree found by the seal.
    judge(&home, &["verify", "dist/bin/app.exe", "--seal", "dist.seal.json", "--ca", "root.pem"], 0);
    let one = ["verify", "dist/bin/plain.exe", "--seal", "dist.seal.json", "--ca", "root.pem"];
    assert!(fault(&judge(&home, &one, 1)).contains("plain.exe"));
    let report = judge(&home, &[&VERIFY[..], &["--all-signed"]].concat(), 1);
    assert_eq!(fault(&report), "no good signature of bin/plain.exe binds the tree");
    home.run(&["verify", "dist/README", "--seal", "dist.seal.json", "--ca", "root.pem"], 2);
    // Without the authority nobody is believed.
    home.run(&["verify", "dist", "--seal", "dist.seal.json"], 1);
    // The seal's own signer must be known.
    let elsewhere = home.folder().join("nobody");
    let refused = home.command(&VERIFY).env("CUSTODY_HOME", &elsewhere).output().unwrap();
    assert_ne!(refused.status.code(), Some(0));
}

#[test]
fn whatever_was_changed_in_a_signed_tree_is_found() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = stage();
    let sign = ["pe", "sign", "dist/bin/app.exe", "dist/bin/tool.dll", "--seal", "dist.seal.json"];
    home.run(&[&sign[..], &KEY].concat(), 0);
    judge(&home, &VERIFY, 0);
    let app = home.folder().join("dist/bin/app.exe");
    let signed = std::fs::read(&app).unwrap();
    // A byte of a program; a file; a new one; a mode; a program without its signature; another one, well signed.
    home.write("dist/bin/app.exe", {
        let mut c = signed.clone();
        c[0x500] ^= 1;
        c
    });
    assert!(fault(&judge(&home, &VERIFY, 1)).starts_with("bin/app.exe: "));
    home.write("dist/bin/app.exe", &signed);
    home.write("dist/README", "read me not\n");
    assert!(fault(&judge(&home, &VERIFY, 1)).starts_with("README is not what"));
    home.write("dist/README", "read me\n");
    home.write("dist/new", "");
    assert!(fault(&judge(&home, &VERIFY, 1)).starts_with("new is not what"));
    std::fs::remove_file(home.folder().join("dist/new")).unwrap();
    let mode = std::fs::metadata(&app).unwrap().permissions().mode();
    std::fs::set_permissions(&app, std::fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(fault(&judge(&home, &VERIFY, 1)).starts_with("bin/app.exe is not what"));
    std::fs::set_permissions(&app, std::fs::Permissions::from_mode(mode)).unwrap();
    home.write("dist/bin/app.exe", program(2));
    // Its signature is gone, the program is not: the other one still binds the tree with it.
    judge(&home, &VERIFY, 0);
    home.write("dist/bin/app.exe", program(3));
    home.run(&[&["pe", "sign", "dist/bin/app.exe"], &KEY[..]].concat(), 0);
    let report = judge(&home, &VERIFY, 1);
    assert_eq!(fault(&report), "no program in it carries a good signature that binds the tree", "{report}");
    home.write("dist/bin/app.exe", &signed);
    judge(&home, &VERIFY, 0);
}

/// The seal itself may know of a program what signing leaves alone.
#[test]
fn a_tree_sealed_before_signing_holds_after_it() {
    let home = stage();
    home.run(&["seal", "create", "dist", "-o", "plain.seal.json"], 0);
    home.run(&["seal", "create", "dist", "-o", "dist.seal.json", "--authenticode"], 0);
    home.run(&[&["pe", "sign", "dist/bin/app.exe", "--page-hashes"], &KEY[..]].concat(), 0);
    home.run(&["seal", "verify", "dist", "--seal", "plain.seal.json"], 1);
    let report = judge(&home, &["seal", "verify", "dist", "--seal", "dist.seal.json"], 0);
    assert_eq!(report["signed"], serde_json::json!(["bin/app.exe"]));
    assert_eq!(report["changed"], serde_json::json!([]));
    // Another program, however well it is signed, is another one.
    home.write("dist/bin/tool.dll", program(3));
    home.run(&[&["pe", "sign", "dist/bin/tool.dll"], &KEY[..]].concat(), 0);
    let report = judge(&home, &["seal", "verify", "dist", "--seal", "dist.seal.json"], 1);
    assert_eq!(report["changed"], serde_json::json!(["bin/tool.dll"]));
    // A single program, and what an archive would unpack to.
    home.write("one.exe", program(1));
    home.run(&["seal", "create", "one.exe", "-o", "one.seal.json", "--authenticode"], 0);
    home.run(&[&["pe", "sign", "one.exe"], &KEY[..]].concat(), 0);
    judge(&home, &["seal", "verify", "one.exe", "--seal", "one.seal.json"], 0);
}
