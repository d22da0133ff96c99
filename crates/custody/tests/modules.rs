//! `custody modules verify` from the outside: words, exit codes, the event and the statement.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::{Home, text};

/// Packs a module, and computes both lines of go.sum with nothing of ours: golang.org/x/mod/sumdb/dirhash in Python.
const PACK: &str = r#"
import base64, hashlib, os, zipfile
name, version = "example.org/hello", "v1.0.0"
files = {"go.mod": b"module example.org/hello\n", "hello.go": b"package hello\n", "a/b.txt": b"x" * 70000}
beside = f"modcache/cache/download/{name}/@v"
os.makedirs(beside)
os.makedirs("src")
with zipfile.ZipFile(f"{beside}/{version}.zip", "w", zipfile.ZIP_DEFLATED) as out:
    for path, data in files.items():
        out.writestr(f"{name}@{version}/{path}", data)
open(f"{beside}/{version}.mod", "wb").write(files["go.mod"])
def h1(named):
    lines = "".join(f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in sorted(named.items()))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()
whole = h1({f"{name}@{version}/{path}": data for path, data in files.items()})
with open("src/go.sum", "w") as out:
    out.write(f"{name} {version} {whole}\n{name} {version}/go.mod {h1({'go.mod': files['go.mod']})}\n")
"#;

fn stage() -> Option<Home> {
    let home = Home::new();
    let packed = Command::new("python3").args(["-c", PACK]).current_dir(home.folder()).output();
    let Ok(packed) = packed else {
        eprintln!("SKIPPED: no python3 to pack a module");
        return None;
    };
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    Some(home)
}

fn verify(home: &Home, more: &[&str], code: i32) -> Value {
    let arguments = [&["--json", "modules", "verify", "src", "--modcache", "modcache"], more].concat();
    serde_json::from_slice(&home.run(&arguments, code).stdout).unwrap()
}

#[test]
fn what_go_sum_promised_is_stated_and_signed() {
    let Some(home) = stage() else { return };
    let report = verify(&home, &["-o", "modules.intoto.json"], 0);
    assert_eq!((&report["holds"], &report["content"], &report["sums"]), (&true.into(), &2.into(), &2.into()));
    let envelope = std::fs::read(home.folder().join("modules.intoto.json")).unwrap();
    let envelope: Value = serde_json::from_slice(&envelope).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["subject"][0]["name"], "go.sum");
    assert_eq!(statement["predicate"]["sums"][0]["module"], "example.org/hello");
    let pem = home.run(&["key", "show", "default", "--pem"], 0).stdout;
    let key = signing::Ed25519Verifier::from_spki_pem(&text(&pem)).unwrap();
    let bytes = serde_json::to_vec(&envelope).unwrap();
    let opened = signing::dsse::Envelope::parse(&bytes).unwrap();
    assert_eq!(opened.verify(&[&key]).unwrap().0, payload);
    let events = text(&home.run(&["--json", "audit", "query", "--act", "MODULES."], 0).stdout);
    assert!(events.contains("MODULES.VERIFIED"), "{events}");
}

#[test]
fn the_module_that_lies_is_named() {
    let Some(home) = stage() else { return };
    home.write("modcache/example.org/hello@v1.0.0/hello.go", "package hello // other\n");
    let report = verify(&home, &["-o", "modules.intoto.json"], 1);
    assert_eq!(report["findings"][0]["witness"], "folder");
    assert_eq!(report["findings"][0]["module"], "example.org/hello");
    assert!(!home.folder().join("modules.intoto.json").exists(), "a statement of what does not hold");
    let output = home.run(&["modules", "verify", "src", "--modcache", "modcache"], 1);
    assert!(
        text(&output.stdout).contains("example.org/hello@v1.0.0: the folder lies"),
        "{}",
        text(&output.stdout)
    );
    assert!(text(&output.stderr).contains("cannot be trusted"));
}

#[test]
fn a_database_that_does_not_know_a_module_proves_nothing() {
    let Some(home) = stage() else { return };
    std::fs::create_dir(home.folder().join("empty")).unwrap();
    let report = verify(&home, &["--sumdb", "empty"], 1);
    assert_eq!(report["findings"][0]["witness"], "database");
    let report = verify(&home, &["--sumdb", "empty", "--private", "example.org/*"], 0);
    assert_eq!(report["proven"], 0);
    home.run(&["modules", "verify", "src", "--sumdb", "nowhere"], 2);
    home.run(&["modules", "verify", "nowhere"], 2);
    home.write("src/go.sum", "../../etc v1.0.0 h1:x\n");
    home.run(&["modules", "verify", "src"], 2);
}

#[test]
fn what_is_not_in_the_cache_counts_when_it_must() {
    let Some(home) = stage() else { return };
    std::fs::remove_dir_all(home.folder().join("modcache")).unwrap();
    assert_eq!(verify(&home, &[], 0)["absent"], 2);
    assert_eq!(verify(&home, &["--require-all"], 1)["findings"][0]["witness"], "cache");
}
