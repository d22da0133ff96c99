//! Two seals, and two builds: what differs, and why.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Home, text};

fn json(home: &Home, arguments: &[&str], code: i32) -> Value {
    serde_json::from_slice(&home.run(&[arguments, &["--json"]].concat(), code).stdout).unwrap()
}

#[test]
fn two_seals_are_told_apart_entry_for_entry() {
    let home = Home::new();
    for (folder, changed) in [("one", "a"), ("two", "b")] {
        home.write(&format!("{folder}/same"), "same");
        home.write(&format!("{folder}/changed"), changed);
        home.write(&format!("{folder}/only-{folder}"), folder);
        let seal = format!("{folder}.seal.json");
        home.run(&["seal", "create", folder, "-o", &seal], 0);
    }
    let same = json(&home, &["seal", "diff", "one.seal.json", "one.seal.json"], 0);
    assert_eq!(same["same"], true);
    let found = json(&home, &["seal", "diff", "one.seal.json", "two.seal.json"], 1);
    assert_eq!(found["changed"][0]["path"], "changed");
    assert_eq!((&found["added"][0], &found["removed"][0]), (&"only-two".into(), &"only-one".into()));
    let shown = text(&home.run(&["seal", "diff", "one.seal.json", "two.seal.json"], 1).stdout);
    assert!(shown.contains("changed    changed  (sealed sha256:"), "{shown}");
    // Nobody trusted signed the second.
    let stranger = Home::new();
    stranger.write("x", "x");
    stranger.run(&["seal", "create", "x", "-o", "x.seal.json"], 0);
    home.write("x.seal.json", std::fs::read(stranger.folder().join("x.seal.json")).unwrap());
    home.run(&["seal", "diff", "one.seal.json", "x.seal.json"], 1);
}

/// Builds the example service with these arguments besides; nothing without Go.
fn build(home: &Home, out: &str, more: &[&str]) -> Option<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/payments");
    let mut build = Command::new(std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into()));
    build.args(["build", "-buildvcs=false", "-o"]).arg(home.folder().join(out)).args(more).arg(".");
    let built =
        build.current_dir(source).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0").output().ok()?;
    assert!(built.status.success(), "{}", text(&built.stderr));
    Some(())
}

#[test]
fn two_builds_of_a_go_program_say_why_they_differ() {
    let home = Home::absent();
    let stamp = |time: &str| format!("-ldflags=-X main.built={time}");
    let test = "two_builds_of_a_go_program_say_why_they_differ";
    if build(&home, "one/payments", &["-trimpath", &stamp("2026-11-20T08:30:00Z")]).is_none() {
        eprintln!("SKIPPED {test}: no Go (CUSTODY_GO)");
        return;
    }
    build(&home, "again/payments", &["-trimpath", &stamp("2026-11-20T08:30:00Z")]).unwrap();
    let same = json(&home, &["seal", "compare", "one", "again"], 0);
    assert_eq!(same["same"], true, "{same}");
    // Another flag, and with the paths of this machine.
    build(&home, "two/payments", &[&stamp("2026-11-21T09:00:00Z")]).unwrap();
    let found = json(&home, &["seal", "compare", "one", "two"], 1);
    let causes = found["causes"][0]["causes"].as_array().unwrap();
    let kinds: Vec<&str> = causes.iter().map(|cause| cause["kind"].as_str().unwrap()).collect();
    for kind in ["setting", "build-id", "path"] {
        assert!(kinds.contains(&kind), "{kind}: {causes:?}");
    }
    let trimpath = causes.iter().find(|cause| cause["what"] == "-trimpath").unwrap();
    assert_eq!((&trimpath["first"], &trimpath["second"]), (&"true".into(), &"absent".into()));
    // Two files under other names are the same artefact.
    let file = json(&home, &["seal", "compare", "one/payments", "two/payments"], 1);
    assert!(!file["causes"][0]["causes"].as_array().unwrap().is_empty());
}

#[test]
fn what_differs_inside_archives_is_explained() {
    let home = Home::absent();
    for (folder, time) in [("one", "2026-11-20T08:30:00Z"), ("two", "2026-11-21T09:00:00Z")] {
        home.write(&format!("{folder}/stamp"), format!("built {time} and nothing else"));
        home.write(&format!("{folder}/same"), "same");
        let line = format!(
            "cd {folder} && tar -cf ../{folder}.tar.gz --gzip * && python3 -m zipfile -c ../{folder}.zip stamp same"
        );
        let made = Command::new("sh").args(["-c", &line]).current_dir(home.folder()).output();
        if made.as_ref().is_ok_and(|made| text(&made.stderr).contains("python3: not found")) {
            eprintln!("SKIPPED what_differs_inside_archives_is_explained: `python3` is not installed");
            return;
        }
        let made = made.unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    for [first, second] in [
        ["one.zip", "two.zip"],
        ["one.tar.gz", "two.tar.gz"],
        ["one", "two"],
        ["one.zip", "two"],
        ["one.zip", "two.tar.gz"],
    ] {
        let found = json(&home, &["seal", "compare", first, second], 1);
        let explained = found["causes"].as_array().unwrap();
        let stamp = explained.iter().find(|explained| explained["path"] == "stamp");
        let causes =
            stamp.map(|explained| explained["causes"].as_array().unwrap().clone()).unwrap_or_default();
        assert_eq!(causes.len(), 1, "{first} {second}: {found}");
        assert_eq!(causes[0]["kind"], "timestamp");
        assert_eq!(causes[0]["first"], "built 2026-11-20T08:30:00Z and nothing else");
        assert_eq!(causes[0]["second"], "built 2026-11-21T09:00:00Z and nothing else");
    }
}

#[test]
fn archives_that_hold_the_same_differ_in_their_times() {
    let home = Home::absent();
    home.write("d/file", "content");
    for (name, time) in [("a.tar.gz", "2026-01-01"), ("b.tar.gz", "2026-02-02")] {
        let line =
            format!("tar --sort=name --owner=0 --group=0 --mtime={time} -C d -cf - . | gzip -n > {name}");
        let made = Command::new("sh").args(["-c", &line]).current_dir(home.folder()).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    let found = json(&home, &["seal", "compare", "a.tar.gz", "b.tar.gz"], 1);
    assert_eq!((&found["container_differs"], &found["changed"]), (&true.into(), &Value::Array(vec![])));
}

#[test]
fn provenance_is_stated_of_what_was_sealed() {
    let home = Home::new();
    if build(&home, "bin/payments", &["-trimpath"]).is_none() {
        eprintln!("SKIPPED provenance_is_stated_of_what_was_sealed: no Go (CUSTODY_GO)");
        return;
    }
    home.run(&["seal", "create", "bin/payments", "-o", "p.seal.json"], 0);
    let line = [
        "seal",
        "provenance",
        "p.seal.json",
        "--builder",
        "https://ci.example.com/runner/4",
        "--build-type",
        "https://ci.example.com/go@v1",
        "--from",
        "bin/payments",
        "--parameter",
        "ref=v1.2.3",
        "--started",
        "2026-11-20T08:30:00Z",
        "-o",
        "p.json",
    ];
    home.run(&line, 0);
    let envelope: Value =
        serde_json::from_slice(&std::fs::read(home.folder().join("p.json")).unwrap()).unwrap();
    let payload = envelope["payload"].as_str().unwrap();
    let statement: Value = {
        use base64::Engine as _;
        serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(payload).unwrap()).unwrap()
    };
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let sha256 = Command::new("sha256sum").arg(home.folder().join("bin/payments")).output().unwrap();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], text(&sha256.stdout)[..64]);
    let predicate = &statement["predicate"];
    assert_eq!(predicate["runDetails"]["builder"]["id"], "https://ci.example.com/runner/4");
    assert_eq!(predicate["runDetails"]["metadata"]["startedOn"], "2026-11-20T08:30:00Z");
    assert_eq!(predicate["buildDefinition"]["externalParameters"]["ref"], "v1.2.3");
    let first = predicate["buildDefinition"]["resolvedDependencies"][0]["uri"].as_str().unwrap();
    assert!(first.starts_with("pkg:golang/stdlib@go1."), "{first}");
    let bad = [&line[..3], &["--builder", "nobody", "--build-type", "urn:x", "-o", "q.json"]].concat();
    home.run(&bad, 2);
}
