//! Reads through the command line: each is an event before its result, the index never changes an answer, a home that
//! cannot be written can be read, and a tail is coloured by severity.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use support::{Home, event, id, text};

fn home() -> Home {
    let home = Home::absent();
    audit::create_home(&home.path(), "test").unwrap();
    home.write("home/custody.toml", "");
    home
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Varied events: `n` decides everything.
fn events(range: std::ops::Range<u64>) -> String {
    range
        .map(|n| {
            let act = ["AUTH.LOGIN.OK", "AUTH.LOGIN.FAIL", "DATA.READ"][usize::try_from(n % 3).unwrap()];
            let severity = if n % 1_000 == 0 { "ERROR" } else { "INFO" };
            let line = event(&id(n)).replace("AUTH.LOGIN.FAIL", act).replace("INFO", severity);
            let trace = format!("192.168.3.5\",\"trace_id\":\"trace-{}", n / 2);
            line.replace("192.168.3.5", &trace)
                .replace("\"10086\"", &format!("\"{}\"", n % 5_000))
                .replace("users", &format!("table-{}", n % 11))
                .replace("08:30:45", &format!("{:02}:{:02}:45", n / 10_000 % 24, n / 200 % 60))
                + "\n"
        })
        .collect()
}

fn reads(home: &Home) -> Vec<Value> {
    json_lines(&home.run(&["--json", "audit", "query", "--act", "AUDIT.READ"], 0).stdout)
}

#[test]
fn a_read_is_an_event_with_who_what_and_how_many() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..30).as_bytes(), 0);
    home.run(
        &["audit", "query", "--sub", "user=7", "--obj", "table=table-7", "--limit", "5", "--text", "trace"],
        0,
    );
    let read = reads(&home).remove(0);
    let uid = text(&std::process::Command::new("id").arg("-u").output().unwrap().stdout);
    let name = text(&std::process::Command::new("id").arg("-un").output().unwrap().stdout);
    assert_eq!(read["sub"]["uid"], *uid.trim());
    assert_eq!(read["sub"]["user"], *name.trim());
    assert_eq!(read["ctx"]["results"], "1");
    assert_eq!(read["ctx"]["via"], "cli");
    assert_eq!(read["ctx"]["peer.uid"], *uid.trim());
    assert!(read["ctx"]["tty"].is_string());
    assert_eq!(read["obj"]["filter.sub.user"], "7");
    assert_eq!(read["obj"]["filter.obj.table"], "table-7");
    assert_eq!(read["obj"]["filter.limit"], "5");
    assert_eq!(read["obj"]["filter.text"], "trace");
    // Who looked for that person can be asked.
    let who = ["--json", "audit", "query", "--act", "AUDIT.READ", "--obj", "filter.sub.user=7"];
    assert_eq!(json_lines(&home.run(&who, 0).stdout).len(), 1);
    home.run(&["audit", "prove", "--index", "3", "-o", "p"], 0);
    assert!(reads(&home).iter().any(|read| read["obj"]["proof.index"] == "3"));
    home.run(&["audit", "tail", "-n", "3", "--duration", "0"], 0);
    assert!(reads(&home).iter().any(|read| read["ctx"]["results"] == "follows"));
    home.run(&["audit", "verify"], 0);
}

/// On a full disk nothing can be recorded: then nothing is shown.
#[test]
fn a_read_that_cannot_be_recorded_shows_nothing() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..30).as_bytes(), 0);
    // An operator's catalogue cannot take AUDIT.READ away, so the write is made impossible: no file may grow.
    let line = format!("ulimit -f 0; trap '' XFSZ; exec {} audit query", env!("CARGO_BIN_EXE_custody"));
    let output = std::process::Command::new("sh")
        .args(["-c", &line])
        .env("CUSTODY_HOME", home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn the_same_is_found_with_an_index_without_one_and_with_a_damaged_one() {
    let home = home();
    // More than a segment, so that a written one is asked and a growing one too.
    home.run_with(&["audit", "record"], events(0..70_000).as_bytes(), 0);
    let questions: &[&[&str]] = &[
        &["--id", &id(33_333)],
        &["--trace-id", "trace-30000"],
        &["--trace-id", "trace-34999"],
        &["--sub", "user=77", "--act", "DATA."],
        &["--severity", "ERROR", "--reverse", "--limit", "9"],
        &["--obj", "table=table-3", "--since", "2026-11-20T03:10:00Z", "--until", "2026-11-20T03:11:00Z"],
        // Of the callers' events only: a read is recorded with the text it looked for.
        &["--text", "trace-12346", "--act", "DATA."],
        &["--text", "trace-34567", "--act", "AUTH."],
        &["--act", "NOTHING."],
    ];
    let ask = |home: &Home| -> Vec<Vec<u8>> {
        questions.iter().map(|q| home.run(&[&["--json", "audit", "query"], *q].concat(), 0).stdout).collect()
    };
    let folder = home.path().join("index");
    let scanned = ask(&home);
    indexed_by_now(&home);
    let indexed = ask(&home);
    assert!(scanned == indexed, "the index changed an answer");
    assert_eq!(json_lines(&indexed[0]).len(), 1);
    assert_eq!(json_lines(&indexed[1]).len(), 2);
    assert_eq!(json_lines(&indexed[2]).len(), 2);
    assert_eq!(json_lines(&indexed[4]).len(), 9);
    assert!(!indexed[6].is_empty() && !indexed[7].is_empty() && indexed[8].is_empty());
    for spoil in [flip_all, truncate_all, forge_bound, remove_all] {
        spoil(&folder);
        assert!(ask(&home) == indexed, "an index that was tampered with changed an answer");
    }
    home.run(&["audit", "verify"], 0);
}

/// An owner indexes behind everything else, and a little at its end: on a busy machine it takes several.
fn indexed_by_now(home: &Home) {
    let folder = home.path().join("index");
    for _ in 0..60 {
        if folder.join("0000000000000000.idx").exists() && folder.join("bound").exists() {
            return;
        }
        home.run(&["audit", "tail", "--act", "NOTHING.", "--duration", "1"], 0);
    }
    panic!("nothing was indexed");
}

fn each_file(folder: &Path, change: impl Fn(&Path, Vec<u8>)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        change(&path, bytes);
    }
}

fn flip_all(folder: &Path) {
    each_file(folder, |path, mut bytes| {
        if path.extension().is_some() {
            bytes.iter_mut().skip(10_000).step_by(97).for_each(|byte| *byte ^= 0x20);
            std::fs::write(path, bytes).unwrap();
        }
    });
}

fn truncate_all(folder: &Path) {
    each_file(folder, |path, bytes| std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap());
}

/// As if it were of another history of the log.
fn forge_bound(folder: &Path) {
    std::fs::write(folder.join("bound"), format!("custody-index 1\n65536 {}\n", "ab".repeat(32))).unwrap();
}

fn remove_all(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
}

/// A home put back to an earlier state, and continued otherwise, under an index that saw the later one.
#[test]
fn an_index_of_another_history_is_not_used() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..10).as_bytes(), 0);
    let kept = home.folder().join("kept");
    copy(&home.path(), &kept);
    home.run_with(&["audit", "record"], events(10..70_000).as_bytes(), 0);
    indexed_by_now(&home);
    std::fs::remove_dir_all(home.path().join("log")).unwrap();
    copy(&kept.join("log"), &home.path().join("log"));
    home.run_with(&["audit", "record"], events(100_000..170_000).as_bytes(), 0);
    for n in [5, 100_000, 130_000, 169_999] {
        let found = home.run(&["--json", "audit", "query", "--id", &id(n)], 0).stdout;
        assert_eq!(json_lines(&found).len(), 1, "{n}");
    }
    assert!(home.run(&["--json", "audit", "query", "--id", &id(60_000)], 0).stdout.is_empty());
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// A user who may read a home and not write it; root may do both.
#[test]
fn a_home_that_cannot_be_written_is_read_and_says_that_it_leaves_no_trace() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..600).as_bytes(), 0);
    let before = json_lines(&home.run(&["--json", "audit", "query"], 0).stdout).len();
    let done = |mode: &str| {
        let arguments = [mode, home.folder().to_str().unwrap()];
        assert!(std::process::Command::new("chmod").arg("-R").args(arguments).status().unwrap().success());
    };
    done("a+rX");
    // Keys stay the owner's; what reads needs the public one only.
    let key = home.path().join("keys/log.pem");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let root = nix_is_root();
    let run = |arguments: &[&str]| {
        let mut command = if root {
            let mut command = std::process::Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_custody")]);
            command
        } else {
            std::process::Command::new(env!("CARGO_BIN_EXE_custody"))
        };
        command.args(arguments).env("CUSTODY_HOME", home.path()).current_dir("/").output().unwrap()
    };
    if !root {
        done("a-w");
    }
    let found = run(&["--json", "audit", "query", "--sub", "user=7"]);
    assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
    assert_eq!(json_lines(&found.stdout).len(), 1);
    assert!(text(&found.stderr).contains("this read is not recorded"));
    let tailed = run(&["--json", "audit", "tail", "-n", "4", "--duration", "1"]);
    assert_eq!(tailed.status.code(), Some(0), "{}", text(&tailed.stderr));
    assert_eq!(json_lines(&tailed.stdout).len(), 4);
    let proved = run(&["audit", "prove", "--id", &id(7), "--with-event"]);
    assert_eq!(proved.status.code(), Some(0), "{}", text(&proved.stderr));
    assert!(text(&proved.stderr).contains("this read is not recorded"));
    let proof = home.write("read-only.tlog-proof", &proved.stdout);
    home.run(&["audit", "prove", "--check", proof.to_str().unwrap()], 0);
    done("u+w");
    // Two more than before: the first query of this test, and this one does not find itself.
    assert_eq!(json_lines(&home.run(&["--json", "audit", "query"], 0).stdout).len(), before + 1);
}

fn nix_is_root() -> bool {
    text(&std::process::Command::new("id").arg("-u").output().unwrap().stdout).trim() == "0"
}

#[test]
fn a_tail_begins_with_the_newest_that_meet_the_filter_and_is_coloured_on_request() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..2_500).as_bytes(), 0);
    let tail = ["audit", "tail", "-n", "2", "--duration", "0", "--severity", "ERROR"];
    let plain = text(&home.run(&tail, 0).stdout);
    assert_eq!(plain.lines().count(), 2, "{plain}");
    assert!(plain.contains("trace-500") && plain.contains("trace-1000") && !plain.contains('\x1b'));
    let coloured = text(&home.run(&[&tail[..], &["--color", "always"]].concat(), 0).stdout);
    assert!(coloured.contains("\x1b[31mERROR   \x1b[0m"), "{coloured:?}");
    let json = home.run(&[&["--json"], &tail[..], &["--color", "always"]].concat(), 0).stdout;
    assert_eq!(json_lines(&json).len(), 2);
    home.run(&["audit", "query", "--obj", "table"], 2);
    home.run(&["audit", "query", "--sub", "a b=1"], 2);
}

#[test]
fn retention_is_shown_and_checked() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..3).as_bytes(), 0);
    let shown = json_lines(&home.run(&["--json", "audit", "retention", "show"], 0).stdout).remove(0);
    let names: Vec<_> =
        shown["regimes"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gb-t-22239", "pci-dss-10.5.1", "gdpr-12.3"]);
    assert_eq!(shown["rolling"]["keep"], 30);
    let report = json_lines(&home.run(&["--json", "audit", "retention", "check"], 0).stdout).remove(0);
    assert_eq!(report["plan"]["keep_from"], 0);
    assert_eq!(report["plan"]["blocked"]["by"], "pci-dss-10.5.1");
    // A request that came long ago.
    let request = event(&id(9))
        .replace("AUTH.LOGIN.FAIL", "PRIVACY.REQUESTED")
        .replace("\"table\":\"users\"", "\"request\":\"r-1\"");
    let request = request.replace("2026-11-20T08:30:45", "2026-01-31T08:30:45");
    home.run_with(&["audit", "record"], request.as_bytes(), 0);
    let late = home.run(&["--json", "audit", "retention", "check"], 1);
    let report = json_lines(&late.stdout).remove(0);
    assert_eq!(report["requests"][0]["due"], "2026-02-28");
    assert!(text(&late.stderr).contains("r-1 was due on 2026-02-28"));
    let answered = request.replace("PRIVACY.REQUESTED", "PRIVACY.ANSWERED").replace(&id(9), &id(10));
    home.run_with(&["audit", "record"], answered.as_bytes(), 0);
    home.run(&["audit", "retention", "check"], 0);
    home.write("home/retention.toml", "version = 1\nregimes = [\"nobody\"]");
    assert!(text(&home.run(&["audit", "retention", "show"], 2).stderr).contains("none of the known regimes"));
    home.run(&["audit", "retention", "check"], 2);
    // What only the ledger's owner says cannot be said from outside.
    let forged = event(&id(11)).replace("AUTH.LOGIN.FAIL", "LEDGER.CLOCK.CONFIRMED");
    home.run_with(&["audit", "record"], forged.as_bytes(), 2);
    let mode = std::fs::metadata(home.path()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}
