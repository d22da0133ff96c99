//! Backups and rolled files through the command line: what is put back is the same log, nothing that was changed is, and
//! other programs read what is exported.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Home, event, id, text};

fn home() -> Home {
    let home = Home::absent();
    audit::create_home(&home.path(), "test").unwrap();
    home.write("home/custody.toml", "version = 1\n");
    home
}

fn events(range: std::ops::Range<u64>) -> String {
    range.map(|n| event(&id(n)) + "\n").collect()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The home of the same test that lies beside the usual one.
fn beside(home: &Home, name: &str, arguments: &[&str], code: i32) -> std::process::Output {
    let folder = home.folder().join(name);
    home.run(&[&["--home", folder.to_str().unwrap()], arguments].concat(), code)
}

#[test]
fn a_backup_is_taken_while_others_record_and_put_back_as_the_same_log() {
    let home = home();
    home.write("home/retention.toml", "version = 1\n");
    let owner = audit::open(&home.path()).unwrap();
    home.run_with(&["audit", "record"], events(0..3_000).as_bytes(), 0);
    home.run(&["audit", "prove", "--id", &id(77), "--with-event", "-o", "old.proof"], 0);
    home.run(&["audit", "export", "--backup", "full.backup"], 0);
    home.run(&["audit", "checkpoint", "-o", "kept.checkpoint"], 0);
    home.run_with(&["audit", "record"], events(3_000..4_000).as_bytes(), 0);
    let since = json(&home.run(&["--json", "audit", "restore", "full.backup", "--dry-run"], 0).stdout);
    home.write("full.checkpoint", since["checkpoint"].as_str().unwrap());
    home.run(&["audit", "export", "--backup", "later.backup", "--since", "full.checkpoint"], 0);
    drop(owner);

    let key = home.path().join("keys/log.pem");
    let key = key.to_str().unwrap();
    home.run(&["audit", "restore", "full.backup", "later.backup", "--to", "again", "--log-key", key], 0);
    beside(&home, "again", &["audit", "verify"], 0);
    beside(&home, "again", &["audit", "verify", "--checkpoint", "kept.checkpoint"], 0);
    beside(&home, "again", &["audit", "prove", "--check", "old.proof"], 0);
    let found = beside(&home, "again", &["--json", "audit", "query", "--act", "AUTH."], 0);
    assert_eq!(text(&found.stdout).lines().count(), 4_000);
    let files = home.folder().join("again/retention.toml");
    assert_eq!(std::fs::read_to_string(files).unwrap(), "version = 1\n");
    assert!(!home.folder().join("again/vault").exists());
    // A copy that is older than a saved checkpoint is told.
    home.run(&["audit", "restore", "full.backup", "--to", "older", "--log-key", key], 0);
    beside(&home, "older", &["audit", "verify"], 0);
    home.run(&["audit", "checkpoint", "-o", "newest.checkpoint"], 0);
    let output = beside(&home, "older", &["audit", "verify", "--checkpoint", "newest.checkpoint"], 1);
    assert!(text(&output.stderr).contains("earlier checkpoint"), "{}", text(&output.stderr));
    // Both acts are events.
    let created = home.run(&["--json", "audit", "query", "--act", "BACKUP.CREATED"], 0);
    assert_eq!(text(&created.stdout).lines().count(), 2);
    let restored = beside(&home, "again", &["--json", "audit", "query", "--act", "BACKUP.RESTORED"], 0);
    assert_eq!(text(&restored.stdout).lines().count(), 1);
}

#[test]
fn a_backup_that_was_changed_is_not_put_back() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..300).as_bytes(), 0);
    home.run(&["audit", "export", "--backup", "good.backup"], 0);
    let good = std::fs::read(home.folder().join("good.backup")).unwrap();
    for at in (0..good.len()).step_by(good.len() / 23) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        home.write("bad.backup", &bad);
        home.run(&["audit", "restore", "bad.backup", "--dry-run"], 1);
    }
    home.write("bad.backup", &good[..good.len() / 2]);
    let target = ["audit", "restore", "bad.backup", "--to", "new"];
    home.run(&target, 1);
    // What is not finished is no home.
    assert!(!home.folder().join("new/custody.toml").exists());
    let other = Home::absent();
    let key = audit::create_home(&other.path(), "other").unwrap();
    home.write("other.vkey", key.to_string());
    home.run(&["audit", "restore", "good.backup", "--dry-run", "--key", "other.vkey"], 1);
    home.run(&["audit", "restore", "good.backup", "--to", "home"], 2);
    home.run(&["audit", "restore", "good.backup", "good.backup", "--dry-run"], 1);
}

#[test]
fn a_lost_key_is_replaced_and_the_old_checkpoint_named() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..20).as_bytes(), 0);
    home.run(&["audit", "export", "--backup", "full.backup"], 0);
    let old = json(&home.run(&["--json", "audit", "restore", "full.backup", "--dry-run"], 0).stdout);
    home.run(&["audit", "restore", "full.backup", "--to", "new"], 0);
    beside(&home, "new", &["audit", "verify"], 0);
    let named = beside(&home, "new", &["--json", "audit", "query", "--act", "LEDGER.KEY.REPLACED"], 0);
    let named = json(&named.stdout);
    assert_eq!(named["obj"]["origin"], old["origin"]);
    assert_eq!(named["ctx"]["checkpoint"], old["checkpoint"]);
    let keys =
        ["home", "new"].map(|name| std::fs::read(home.folder().join(name).join("keys/log.vkey")).unwrap());
    assert_ne!(keys[0], keys[1]);
    assert_eq!(
        text(&beside(&home, "new", &["--json", "audit", "query", "--act", "AUTH."], 0).stdout)
            .lines()
            .count(),
        20
    );
}

#[test]
fn rolled_files_are_read_by_gzip_and_hold_every_event_once() {
    let home = home();
    home.write(
        "home/retention.toml",
        "version = 1\n[rolling]\nsize = \"64KB\"\npattern = \"app-%d{yyyy-MM-dd}-%i.log\"\n",
    );
    let mut all = String::new();
    for part in 0..3 {
        home.run_with(&["audit", "record"], events(part * 400..(part + 1) * 400).as_bytes(), 0);
        home.run(&["audit", "export", "--rolling", "out"], 0);
    }
    let state = json(&std::fs::read(home.folder().join("out/rolling.json")).unwrap());
    let closed = state["closed"].as_array().unwrap();
    assert!(closed.len() > 4, "{state}");
    for name in closed {
        let name = name.as_str().unwrap();
        assert!(name.starts_with("app-20") && name.ends_with(".log.gz"), "{name}");
        let output =
            Command::new("gzip").arg("-dc").arg(home.folder().join("out").join(name)).output().unwrap();
        assert!(output.status.success() && output.stdout.len() <= 64 << 10);
        all.push_str(&text(&output.stdout));
    }
    all.push_str(&std::fs::read_to_string(home.folder().join("out/current.ndjson")).unwrap());
    let stored = home.run(&["--json", "audit", "query", "--act", "AUTH."], 0).stdout;
    let exported: String =
        all.lines().filter(|line| line.contains("\"AUTH.")).map(|line| format!("{line}\n")).collect();
    assert_eq!(exported, text(&stored));
    assert_eq!(all.matches("AUDIT.EXPORTED").count(), 3);
}
