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
