//! The table of retention carried out, at made-up times (libfaketime): what no rule keeps goes, nothing else does, and what
//! was proved before is proved after.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::{Home, event, id, text};

const TABLE: &str = "version = 1\nregimes = [\"gb-t-22239\"]\n[clock]\nstep = \"400 days\"\n";
const JANUARY: &str = "2026-01-10 10:00:00";
const NEXT_DAY: &str = "2026-01-11 10:00:00";
const MARCH: &str = "2026-03-01 10:00:00";
const JULY: &str = "2026-07-20 10:00:00";

/// A home whose files may have become immutable.
struct Kept(Home);

impl Kept {
    fn new(table: &str) -> Option<Self> {
        if Command::new("faketime").arg("--version").output().is_err() {
            eprintln!("SKIPPED: no faketime (scripts/setup.sh installs it)");
            return None;
        }
        let home = Self(Home::absent());
        home.at(JANUARY, &["init"], "", 0);
        home.0.write("home/retention.toml", table);
        Some(home)
    }

    /// Runs `custody` with the clock at a time.
    #[track_caller]
    fn at(&self, time: &str, arguments: &[&str], input: &str, code: i32) -> String {
        let input_file = self.0.write("input", input);
        let output = Command::new("faketime")
            .args(["--exclude-monotonic", time, env!("CARGO_BIN_EXE_custody")])
            .args(arguments)
            .current_dir(self.0.folder())
            .env("CUSTODY_HOME", self.0.path())
            .env("TZ", "UTC")
            .stdin(std::fs::File::open(input_file).unwrap())
            .output()
            .unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\nstdout: {out}\nstderr: {err}");
        out
    }

    #[track_caller]
    fn apply(&self, time: &str, more: &[&str], code: i32) -> Value {
        let arguments = [&["--json", "audit", "retention", "apply"], more].concat();
        serde_json::from_str(&self.at(time, &arguments, "", code)).unwrap()
    }

    fn record(&self, time: &str, numbers: std::ops::Range<u64>) {
        let lines: String = numbers.map(|n| event(&id(n)) + "\n").collect();
        self.at(time, &["audit", "record"], &lines, 0);
    }

    fn found(&self, act: &str) -> Vec<Value> {
        let output = self.at(JULY, &["--json", "audit", "query", "--act", act], "", 0);
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn segments(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path().join("log/entries")).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = Command::new("chattr").args(["-R", "-i"]).arg(self.0.path()).output(); // where it could be set
    }
}

#[test]
fn what_no_rule_keeps_goes_and_proofs_issued_before_hold_after() {
    let Some(home) = Kept::new(TABLE) else { return };
    home.record(JANUARY, 0..3);
    home.at(JANUARY, &["audit", "prove", "--id", &id(1), "--with-event", "-o", "old.tlog-proof"], "", 0);
    home.at(JANUARY, &["audit", "checkpoint", "-o", "january.checkpoint"], "", 0);
    assert_eq!(home.apply(JANUARY, &[], 0)["ended_at"], Value::Null, "the day is not over");

    let next = home.apply(NEXT_DAY, &[], 0);
    assert_eq!((&next["compressed"], &next["pruned"]), (&Value::from(1), &Value::Null), "{next}");
    assert_eq!(next["blocked"]["by"], "gb-t-22239");
    assert_eq!(home.segments()[0], "0000000000000000.seg.zst");
    match next["not_protected"].as_str() {
        Some(why) => eprintln!("SKIPPED: files cannot be made immutable here: {why}"),
        None => {
            let first = home.0.path().join("log/entries/0000000000000000.seg.zst");
            assert_eq!(next["protected"], 1);
            assert!(std::fs::remove_file(first).is_err(), "nobody removes it");
        }
    }
    home.record(MARCH, 10..12);

    let dry = home.apply(JULY, &["--dry-run"], 0);
    let pruned = &dry["pruned"];
    assert_eq!((&pruned["from"], &pruned["segments"]), (&Value::from(0), &Value::from(1)), "{dry}");
    assert_eq!(home.segments()[0], "0000000000000000.seg.zst", "nothing was done");
    assert_eq!(home.apply(JULY, &["--keep"], 0)["pruned"], Value::Null);
    let done = home.apply(JULY, &[], 0);
    assert_eq!(&done["pruned"], pruned, "{done}");
    assert!(!home.segments()[0].starts_with("0000000000000000"));
    assert_eq!(home.apply(JULY, &[], 0)["pruned"], Value::Null, "there is nothing more");

    home.record(JULY, 12..13);
    let said = home.found("LEDGER.PRUNED");
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["obj"]["before"], pruned["before"].to_string());
    home.at(JULY, &["audit", "prove", "--check", "old.tlog-proof"], "", 0);
    let verified = home.at(JULY, &["--json", "audit", "verify"], "", 0);
    let verified: Value = serde_json::from_str(&verified).unwrap();
    assert_eq!(verified["pruned_before"], pruned["before"]);
    home.at(JULY, &["audit", "verify", "--checkpoint", "january.checkpoint"], "", 0);
    assert_eq!(home.found("AUTH.LOGIN.FAIL").len(), 3, "those of March and July are there");
    home.at(JULY, &["audit", "prove", "--index", "1"], "", 2);
    // The checkpoint says it too, under the log's key.
    let checkpoint = std::fs::read_to_string(home.0.path().join("log/checkpoint")).unwrap();
    assert!(checkpoint.contains(&format!("\nminimum {}\n", pruned["before"])), "{checkpoint}");
}

#[test]
fn a_clock_that_leaps_lets_nothing_go() {
    let Some(home) = Kept::new("version = 1\nregimes = [\"gb-t-22239\"]\n") else { return };
    home.record(JANUARY, 0..3);
    home.apply(NEXT_DAY, &[], 0);
    let applied = home.apply(JULY, &[], 0);
    assert_eq!(applied["pruned"], Value::Null);
    assert!(applied["doubt"].as_str().unwrap().contains("2026-07-20"), "{applied}");
    home.at(JULY, &["audit", "retention", "check", "--clock-checked"], "", 0);
    assert_eq!(home.apply(JULY, &[], 0)["pruned"]["from"], 0);
}

#[test]
fn a_hold_keeps_the_events_of_its_subject_however_they_are_stored() {
    // Plain in `obj`, sealed in `ctx`, a token of the identifier in `ctx`.
    let policy = "version = 1\npolicy = 1\n\
        [[rule]]\nname = \"phone\"\nfields = [\"ctx.phone\"]\nsubject = \"customer=ctx.owner\"\naction = \"sm4-gcm\"\n\
        [[rule]]\nname = \"owner\"\nfields = [\"ctx.owner\"]\nsubject = \"customer=value\"\naction = \"hmac-sm3\"\n";
    let sealed = ("\"phone\":\"13812341234\",\"owner\":\"4711\"", "\"table\":\"users\"");
    let token = ("\"owner\":\"4711\"", "\"table\":\"users\"");
    let plain = ("\"note\":\"x\"", "\"customer\":\"4711\"");
    for (ctx, obj) in [sealed, token, plain] {
        let Some(home) = Kept::new(TABLE) else { return };
        home.0.write("home/redaction.toml", policy);
        let held = event(&id(1))
            .replace("\"table\":\"users\"", obj)
            .replace("\"ctx\":{", &format!("\"ctx\":{{{ctx},"));
        home.at(JANUARY, &["audit", "keys", "init"], "", 0);
        home.at(JANUARY, &["audit", "record"], &held, 0);
        home.at(JANUARY, &["audit", "hold", "add", "--subject", "customer:4711", "--reason", "court"], "", 0);
        home.apply(NEXT_DAY, &[], 0);
        let applied = home.apply(JULY, &[], 0);
        assert_eq!(applied["pruned"], Value::Null, "{ctx}: {applied}");
        assert!(applied["blocked"]["by"].as_str().unwrap().starts_with("hold "), "{ctx}: {applied}");
        let list = home.at(JULY, &["--json", "audit", "hold", "list"], "", 0);
        let hold: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
        let hold = hold["holds"][0]["id"].as_str().unwrap_or_else(|| hold["id"].as_str().unwrap()).to_owned();
        home.at(JULY, &["audit", "hold", "release", &hold, "--reason", "settled"], "", 0);
        assert_eq!(home.apply(JULY, &[], 0)["pruned"]["from"], 0, "{ctx}");
    }
}

#[test]
fn nothing_goes_that_an_archive_has_not_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let table = format!("{TABLE}[archive.folders]\nnas = \"{}\"\n", folder.path().display());
    let Some(home) = Kept::new(&table) else { return };
    home.record(JANUARY, 0..3);
    for time in [NEXT_DAY, JULY] {
        let applied = home.apply(time, &[], 3);
        assert_eq!((&applied["pruned"], &applied["archived"][0][1]), (&Value::Null, &Value::from(0)));
        assert!(applied["archives_failed"][0][1].as_str().unwrap().contains("mounted"), "{applied}");
    }
    std::fs::write(folder.path().join("custody-archive"), "").unwrap();
    let applied = home.apply(JULY, &[], 0);
    assert_eq!(applied["pruned"]["from"], 0, "{applied}");
    let said = home.found("LEDGER.ARCHIVED");
    assert_eq!((said.len(), &said[0]["obj"]["archive"]), (2, &Value::from("nas")));
    assert_eq!((&said[0]["obj"]["from"], &said[1]["obj"]["from"]), (&"0".into(), &said[0]["obj"]["before"]));
    let place = Path::new(said[0]["ctx"]["place"].as_str().unwrap());
    // What went is in the archive, as everybody's tools read it.
    let sum = Command::new("sha256sum").arg(place).output().unwrap();
    assert!(text(&sum.stdout).starts_with(said[0]["ctx"]["sha256"].as_str().unwrap()));
    let entries = Command::new("zstd").arg("-dc").arg(place).output().unwrap();
    assert!(text(&entries.stdout).contains(&id(2)));
    assert!(place.with_file_name("checkpoint").is_file());
    home.at(JULY, &["audit", "verify"], "", 0);
}

#[test]
fn a_daemon_carries_out_the_table_and_the_erasures_that_are_due() {
    let Some(home) = Kept::new(TABLE) else { return };
    let rolled = home.0.folder().join("rolled");
    let table = format!("{TABLE}[rolling]\nfolder = \"{}\"\n", rolled.display());
    home.0.write("home/retention.toml", table);
    let policy = "version = 1\npolicy = 1\n[[rule]]\nname = \"phone\"\nfields = [\"ctx.phone\"]\n\
        subject = \"customer=obj.table\"\naction = \"sm4-gcm\"\n";
    home.0.write("home/redaction.toml", policy);
    let sealed = event(&id(1)).replace("\"ctx\":{", "\"ctx\":{\"phone\":\"13812341234\",");
    home.at(JANUARY, &["audit", "record"], &sealed, 0);
    home.at(JANUARY, &["audit", "hold", "add", "--subject", "customer:users", "--reason", "court"], "", 0);
    home.at(JANUARY, &["audit", "erase", "--subject", "customer:users", "--reason", "asked"], "", 0);
    // The next day's stamp of the ledger's own says when the event was recorded, at the latest.
    home.apply(NEXT_DAY, &["--keep"], 0);
    let token = home.at(JANUARY, &["serve", "token", "new", "all", "--rights", "record"], "", 0);
    assert!(!token.trim().is_empty());
    let config = home.0.path().join("custody.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    let written = written.replace("[retention]\n", "[retention]\nevery = 1\nprune = true\n");
    std::fs::write(&config, written).unwrap();

    let mut daemon = Command::new("faketime")
        .args(["--exclude-monotonic", JULY, env!("CARGO_BIN_EXE_custody")])
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("CUSTODY_HOME", home.0.path())
        .env("TZ", "UTC")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let wait = |what: &str, holds: &dyn Fn() -> bool| {
        let there = (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            holds()
        });
        assert!(there, "{what}");
    };
    let rolled = rolled.join("audit-2026-01-10-1.ndjson.gz");
    wait("rolled files", &|| rolled.is_file());
    let closed = Command::new("gzip").arg("-dc").arg(&rolled).output().unwrap();
    assert!(text(&closed.stdout).contains(&id(1)), "{}", text(&closed.stderr));
    assert!(home.found("ERASURE.DESTROYED").is_empty(), "the hold protects it");
    assert!(home.found("LEDGER.PRUNED").is_empty(), "the hold keeps it");
    let list = home.at(JULY, &["--json", "audit", "hold", "list"], "", 0);
    let hold: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    let hold = hold["holds"][0]["id"].as_str().unwrap_or_else(|| hold["id"].as_str().unwrap()).to_owned();
    home.at(JULY, &["audit", "hold", "release", &hold, "--reason", "settled"], "", 0);
    wait("the erasure", &|| home.found("ERASURE.DESTROYED").len() == 1);
    wait("the pruning", &|| home.found("LEDGER.PRUNED").len() == 1);
    // Delivered once more, with something new: the first receipt for what was kept for its time, and then let go.
    let again = format!("{sealed}\n{}\n", event(&id(2)));
    let receipts = home.at(JULY, &["audit", "record"], &again, 0);
    let receipts: Vec<Value> = receipts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&receipts[0]["id"], &receipts[1]["id"]), (&id(1).into(), &id(2).into()));
    assert!(receipts[0]["index"].as_u64() < receipts[1]["index"].as_u64(), "{receipts:?}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();
    home.at(JULY, &["audit", "verify"], "", 0);
}

#[test]
fn segments_end_by_size_too_and_are_compressed_as_the_table_says() {
    let table = "version = 1\n[segments]\nevery = \"never\"\nsize = \"64KB\"\ncompression = \"gzip\"\nprotect = false\n";
    let Some(home) = Kept::new(table) else { return };
    for n in 0..3 {
        home.record(JANUARY, n * 100..n * 100 + 100);
    }
    assert!(home.segments().len() > 1, "{:?}", home.segments());
    let applied = home.apply(JULY, &[], 0);
    assert_eq!((&applied["ended_at"], &applied["protected"]), (&Value::Null, &Value::from(0)), "{applied}");
    assert!(applied["compressed"].as_u64().unwrap() >= 1, "{applied}");
    assert_eq!(home.segments()[0], "0000000000000000.seg.gz");
    let file = home.0.path().join("log/entries/0000000000000000.seg.gz");
    let entries = Command::new("gzip").arg("-dc").arg(file).output().unwrap();
    assert!(text(&entries.stdout).contains(&id(7)));
    home.at(JULY, &["audit", "verify"], "", 0);
}
