//! `custody key`, from the outside: words, exit codes, and what stands on disk afterwards.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        let made = home.custody(&["init"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        home
    }

    fn key(&self, args: &[&str]) -> Output {
        self.custody(&[&["key"], args].concat())
    }

    fn custody(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_custody"))
            .args(args)
            .env("CUSTODY_HOME", self.dir.path())
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.key(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.key(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?} printed data and failed");
        text(&output.stderr)
    }

    fn status(&self, id: &Value) -> Value {
        let list = self.json(&["list"]);
        let row = list["keys"].as_array().unwrap().iter().find(|k| k["key_id"] == *id).unwrap();
        row["status"].clone()
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every name and byte below the home.
fn snapshot(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(snapshot(&path));
        } else {
            all.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn the_life_of_a_key() {
    let home = Home::new();
    let made = home.json(&["new", "release"]);
    assert_eq!((&made["act"], &made["name"]), (&"KEY.CREATED".into(), &"release".into()));
    assert!(Path::new(made["public_key_file"].as_str().unwrap()).is_file());

    let rotated = home.json(&["rotate", "release"]);
    assert_eq!(rotated["replaced"], made["key_id"]);
    assert_eq!(home.status(&made["key_id"]), "retired");
    assert_eq!(home.status(&rotated["key_id"]), "active");

    home.json(&["revoke", made["key_id"].as_str().unwrap(), "--reason", "found in an old backup"]);
    assert_eq!(home.status(&made["key_id"]), "revoked");
    assert_eq!(home.status(&rotated["key_id"]), "active");
    let shown = home.json(&["show", made["key_id"].as_str().unwrap()]);
    assert_eq!(shown["reason"], "found in an old backup");
}

#[test]
fn a_public_key_travels_from_one_home_to_another() {
    let (ours, theirs) = (Home::new(), Home::new());
    let made = theirs.json(&["new", "build"]);
    let pem = theirs.key(&["show", "build", "--pem"]);
    std::fs::write(ours.path().join("build.pub.pem"), &pem.stdout).unwrap();
    let trusted = ours.json(&["trust", "build.pub.pem", "--name", "build@ci.example"]);
    assert_eq!(trusted["key_id"], made["key_id"]);
    assert_eq!(ours.status(&made["key_id"]), "active");
    ours.json(&["revoke", "build@ci.example", "--reason", "it leaked"]);
    assert_eq!(ours.status(&made["key_id"]), "revoked");
    // Revoked beats trusted, also under another name.
    assert!(ours.fails(1, &["trust", "build.pub.pem", "--name", "again"]).contains("it leaked"));
}

#[test]
fn wrong_input_ends_with_2_and_a_hint() {
    let home = Home::new();
    home.json(&["new", "release"]);
    std::fs::write(home.path().join("noise.pem"), "noise").unwrap();
    for args in [
        &["new", "release"][..],
        &["new", "../release"],
        &["new", "log"],
        &["rotate", "log"],
        &["trust", "noise.pem", "--name", "log"],
        &["rotate", "nobody"],
        &["show", "nobody"],
        &["revoke", "nobody", "--reason", "x"],
        &["trust", "missing.pem", "--name", "x"],
    ] {
        assert!(home.fails(2, args).contains("\nhint: "), "{args:?} has no hint");
    }
    home.fails(2, &["revoke", "release", "--reason", " "]);
    home.fails(2, &["trust", "noise.pem", "--name", "x"]);
    home.fails(2, &["trust", "keys/release.pem", "--name", "x"]);
}

#[test]
fn no_home_says_how_to_make_one() {
    let home = Home::new();
    std::fs::remove_file(home.path().join("custody.toml")).unwrap();
    assert!(home.fails(2, &["list"]).contains("custody init"));
    assert!(home.fails(2, &["new"]).contains("custody init"));
}

#[test]
fn a_dry_run_changes_nothing() {
    let home = Home::new();
    let other = Home::new();
    let pem = other.json(&["new", "theirs"])["public_key_file"].as_str().unwrap().to_owned();
    let before = snapshot(home.path());
    for args in [
        &["new", "next", "--dry-run"][..],
        &["rotate", "default", "--dry-run"],
        &["revoke", "default", "--reason", "x", "--dry-run"],
        &["trust", &pem, "--name", "x", "--dry-run"],
    ] {
        assert_eq!(home.json(args)["dry_run"], true, "{args:?}");
        assert_eq!(snapshot(home.path()), before, "{args:?} changed something");
    }
    home.fails(2, &["new", "default", "--dry-run"]);
}

#[test]
fn nothing_printed_holds_a_secret() {
    let home = Home::new();
    let made = home.key(&["new", "release"]);
    let private = std::fs::read_to_string(home.path().join("keys/release.pem")).unwrap();
    let secret = private.lines().nth(1).unwrap();
    assert!(secret.len() > 40);
    for output in [made, home.key(&["list", "--json"]), home.key(&["show", "release", "--json"])] {
        assert!(!(text(&output.stdout) + &text(&output.stderr)).contains(&secret[24..]));
    }
}

#[cfg(unix)]
#[test]
fn a_key_open_to_others_cannot_be_used_here() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let file = home.path().join("keys/default.pem");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(home.fails(3, &["rotate"]).contains("chmod go="));
}

/// Another implementation reads both halves, and agrees about the id.
#[test]
fn openssl_reads_the_keys() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED openssl_reads_the_keys: there is no openssl here");
        return;
    }
    let home = Home::new();
    let made = home.json(&["show", "default"]);
    let public = |args: &[&str]| {
        let run = Command::new("openssl").arg("pkey").args(args).current_dir(home.path()).output().unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
        run.stdout
    };
    let from_private = public(&["-in", "keys/default.pem", "-pubout", "-outform", "DER"]);
    let from_public = public(&["-pubin", "-in", "keys/default.pub.pem", "-pubout", "-outform", "DER"]);
    assert_eq!(from_private, from_public);
    assert_eq!(signing::KeyId::of_spki(&from_public).as_str(), made["key_id"]);
}

/// A key that nobody could learn of must not come to be.
#[test]
fn a_change_that_cannot_be_recorded_is_not_made() {
    let home = Home::new();
    std::fs::remove_file(home.path().join("keys/log.vkey")).unwrap();
    let before = snapshot(&home.path().join("keys"));
    for args in [&["new", "release"][..], &["rotate"], &["revoke", "default", "--reason", "x"]] {
        assert!(!home.key(args).status.success(), "{args:?}");
    }
    assert_eq!(snapshot(&home.path().join("keys")), before);
    assert!(!home.path().join("trust/revoked").exists());
}

#[test]
fn every_change_is_in_the_ledger() {
    let (home, other) = (Home::new(), Home::new());
    let pem = other.json(&["show", "default"])["public_key"].as_str().unwrap().to_owned();
    std::fs::write(home.path().join("other.pem"), pem).unwrap();
    home.json(&["new", "release"]);
    home.json(&["rotate", "release"]);
    home.json(&["trust", "other.pem", "--name", "other"]);
    home.json(&["revoke", "other", "--reason", "it leaked"]);
    home.key(&["new", "unmade", "--dry-run"]);
    let events = text(&home.custody(&["audit", "query", "--json"]).stdout);
    let acts: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|entry| Some(entry["event"]["act"].as_str().or(entry["act"].as_str())?.to_owned()))
        .filter(|act| act.starts_with("KEY."))
        .collect();
    assert_eq!(acts, ["KEY.CREATED", "KEY.CREATED", "KEY.ROTATED", "KEY.TRUSTED", "KEY.REVOKED"], "{events}");
}
