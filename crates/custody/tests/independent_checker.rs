//! The format document is enough: a checker in another language, written from docs/formats/seal.md alone, agrees with
//! `custody` about what holds and what does not.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::{Home, text};

/// Packs `app` three ways with Python's own writers.
const PACK: &str = r#"
import os, tarfile, zipfile
with zipfile.ZipFile("app.zip", "w", zipfile.ZIP_DEFLATED) as out:
    for folder, _, names in sorted(os.walk("app")):
        out.write(folder)
        for name in sorted(names):
            full = os.path.join(folder, name)
            if not os.path.islink(full):
                out.write(full)
for name, mode in (("app.tar", "w"), ("app.tgz", "w:gz")):
    with tarfile.open(name, mode) as out:
        out.add("app")
"#;

fn python(home: &Home, arguments: &[&str]) -> Option<Output> {
    let found = Command::new("python3").args(arguments).current_dir(home.folder()).output();
    if found.is_err() {
        eprintln!("SKIPPED: no python3 to run the independent checker");
    }
    found.ok()
}

fn check(home: &Home, artefact: &str) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent/seal_check.py");
    let output =
        python(home, &[script.to_str().unwrap(), "it.seal.json", "default.pub.pem", artefact]).unwrap();
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    (output.status.success(), text(&output.stdout))
}

/// `custody` and the checker must say the same.
fn agree(home: &Home, artefact: &str, holds: bool) -> String {
    home.run(&["seal", "verify", artefact, "--seal", "it.seal.json"], i32::from(!holds));
    let (same, found) = check(home, artefact);
    assert_eq!(same, holds, "{artefact}: {found}");
    found
}

#[test]
fn a_checker_written_from_the_document_agrees() {
    let home = Home::new();
    home.write("app/bin/payments", "a program".repeat(9000));
    home.write("app/empty file", "");
    home.write("app/\u{fc}ber/deep/er.txt", "x");
    fs::create_dir(home.folder().join("app/empty")).unwrap();
    std::os::unix::fs::symlink("bin/payments", home.folder().join("app/latest")).unwrap();
    if python(&home, &["-c", PACK]).is_none() {
        return;
    }
    home.write("default.pub.pem", home.run(&["key", "show", "default", "--pem"], 0).stdout);
    for artefact in ["app", "app.zip", "app.tar", "app.tgz", "app/bin/payments"] {
        home.run(&["seal", "create", artefact, "-o", "it.seal.json"], 0);
        agree(&home, artefact, true);
        let path = home.folder().join(artefact);
        if path.is_dir() {
            continue;
        }
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole.as_slice(), b"!"].concat()).unwrap();
        if artefact.ends_with("payments") {
            agree(&home, artefact, false);
        } else {
            home.run(&["seal", "verify", artefact, "--seal", "it.seal.json"], 1);
        }
        fs::write(&path, whole).unwrap();
    }
    home.run(&["seal", "create", "app", "-o", "it.seal.json"], 0);
    home.write("app/empty file", "not any more");
    assert_eq!(agree(&home, "app", false), "entry empty file\n");
    // An envelope that somebody touched: the checker refuses it as `custody` does.
    let seal = home.folder().join("it.seal.json");
    let touched = fs::read_to_string(&seal).unwrap().replacen("\"sig\": \"", "\"sig\": \"A", 1);
    let touched = touched.replacen("\"sig\":\"", "\"sig\":\"A", 1);
    fs::write(&seal, touched).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent/seal_check.py");
    let output =
        python(&home, &[script.to_str().unwrap(), "it.seal.json", "default.pub.pem", "app"]).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}
