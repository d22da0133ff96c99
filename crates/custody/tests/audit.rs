//! `custody audit` from the outside: what is acknowledged is there, refusals are named, proofs and checkpoints hold
//! offline, damage is found, and two processes share a home.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::{Home, event, id, text};

/// A home, made without the command line, so that these tests fail for their own reasons only.
fn home() -> Home {
    let home = Home::absent();
    audit::create_home(&home.path(), "test").unwrap();
    home.write("home/custody.toml", "");
    home
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(range: std::ops::Range<u64>) -> String {
    range.map(|n| event(&id(n)) + "\n").collect()
}

/// Events that a caller recorded, without the ledger's own.
fn recorded(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["--json", "audit", "query", "--act", "AUTH."], arguments].concat();
    json_lines(&home.run(&arguments, 0).stdout)
}

#[test]
fn receipts_come_in_order_and_the_events_are_there() {
    let home = home();
    let output = home.run_with(&["audit", "record"], events(0..300).as_bytes(), 0);
    let receipts = json_lines(&output.stdout);
    let ids: Vec<_> = receipts.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (0..300).map(id).collect::<Vec<_>>());
    let indices: Vec<_> = receipts.iter().map(|r| r["index"].as_u64().unwrap()).collect();
    assert!(indices.windows(2).all(|pair| pair[1] == pair[0] + 1), "{indices:?}");

    let found = recorded(&home, &[]);
    assert_eq!(found.len(), 300);
    assert_eq!(found[7]["id"], id(7));
    assert_eq!(found[7]["ctx"]["ip"], "192.168.3.5");
    assert_eq!(found[7]["ts"], "2026-11-20T08:30:45.123456789Z");
    assert!(found[7]["ctx"]["peer.exe"].as_str().unwrap().ends_with("custody"));
    assert!(found[7]["ctx"]["peer.pid"].as_str().unwrap().parse::<u32>().is_ok());
    home.run(&["audit", "verify"], 0);
}

#[test]
fn a_repeated_delivery_is_acknowledged_once_also_after_reopening() {
    let home = home();
    let twice = events(0..5) + &events(3..6);
    let first = json_lines(&home.run_with(&["audit", "record"], twice.as_bytes(), 0).stdout);
    assert_eq!(first[3], first[5]);
    assert_eq!(first[4], first[6]);
    let again = json_lines(&home.run_with(&["audit", "record"], events(0..6).as_bytes(), 0).stdout);
    assert_eq!(again[..5], first[..5]);
    assert_eq!(again[5], first[7]);
    assert_eq!(recorded(&home, &[]).len(), 6);

    let other = event(&id(2)).replace("users", "accounts");
    let refused = home.run_with(&["audit", "record"], other.as_bytes(), 2);
    assert!(text(&refused.stderr).contains("$.id names an event that is stored with other content"));
    assert_eq!(recorded(&home, &[]).len(), 6);
}

#[test]
fn refusals_name_line_and_path_and_stop_nothing() {
    let home = home();
    let lines = [
        event(&id(1)),
        event(&id(2)).replace("AUTH.LOGIN.FAIL", "AUTH.LOGIN.FIAL"),
        event(&id(3)).replace(r#""severity":"INFO","#, ""),
        String::new(),
        format!("{{\"pad\":\"{}\"}}", "x".repeat(70_000)),
        event(&id(4)).replace("192.168.3.5", "300.1.1.1").replace("user\"", "usr\""),
        event(&id(5)).replace("\"ip\"", "\"peer.pid\""),
        "not json".into(),
        event(&id(6)),
    ];
    let output = home.run_with(&["audit", "record"], lines.join("\n").as_bytes(), 2);
    let receipts = json_lines(&output.stdout);
    let ids: Vec<_> = receipts.iter().map(|r| r["id"].clone()).collect();
    assert_eq!(ids, [id(1), id(6)]);
    let said = text(&output.stderr);
    for expected in [
        "line 2: InvalidComplianceEvent\n  $.act is not an action of the catalogue: `AUTH.LOGIN.FIAL`; did you mean `AUTH.LOGIN.FAIL`?",
        "line 3: InvalidComplianceEvent\n  $.severity is missing",
        "line 5: InvalidComplianceEvent\n  $ is longer than",
        "line 6: InvalidComplianceEvent\n  $.sub.usr is not a subject kind of the catalogue; did you mean `user`?\n  $.ctx.ip must be an IPv4",
        "line 7: InvalidComplianceEvent\n  $.ctx['peer.pid'] is written by Custody",
        "line 8: InvalidComplianceEvent\n  $ is not JSON",
        "6 of 8 events were refused",
        "\nhint: ",
    ] {
        assert!(said.contains(expected), "{expected}\n--- in ---\n{said}");
    }
    assert!(said.len() < 4000, "a refused event is not repeated");

    let output = home.run_with(&["--json", "audit", "record"], lines[1].as_bytes(), 2);
    let said = json_lines(&output.stderr);
    assert_eq!(said[0]["line"], 1);
    assert_eq!(said[0]["faults"][0]["path"], "$.act");
    assert_eq!(said[0]["faults"][0]["rule"], "unknown");

    // Refusals are recorded, without what was refused.
    let output = home.run(&["--json", "audit", "query", "--act", "LEDGER.REFUSALS"], 0);
    let refusals = json_lines(&output.stdout);
    let count: u64 =
        refusals.iter().map(|r| r["ctx"]["refused"].as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(count, 7);
    assert!(!text(&output.stdout).contains("FIAL"));
}

#[test]
fn queries_filter() {
    let home = home();
    let varied: String = (0..600)
        .map(|n| {
            let act = if n % 3 == 0 { "AUTH.LOGIN.OK" } else { "AUTH.LOGIN.FAIL" };
            let severity = if n % 10 == 0 { "ERROR" } else { "INFO" };
            let line = event(&id(n)).replace("AUTH.LOGIN.FAIL", act).replace("INFO", severity);
            line.replace("10086", &format!("{}", n % 7)).replace("08:30:45", &format!("08:{:02}:45", n / 10))
                + "\n"
        })
        .collect();
    home.run_with(&["audit", "record"], varied.as_bytes(), 0);
    let ids = |arguments: &[&str]| -> Vec<String> {
        recorded(&home, arguments).iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect()
    };
    let expect = |keep: &dyn Fn(u64) -> bool| (0..600).filter(|n| keep(*n)).map(id).collect::<Vec<_>>();
    assert_eq!(ids(&["--subject", "user=3", "--severity", "warn"]), expect(&|n| n % 7 == 3 && n % 10 == 0));
    assert_eq!(
        ids(&["--since", "2026-11-20T08:10:00Z", "--until", "2026-11-20T08:20:00Z"]),
        expect(&|n| (100..200).contains(&n))
    );
    assert_eq!(ids(&["--id", &id(77)]), [id(77)]);
    assert_eq!(ids(&["--reverse", "--limit", "3"]), [id(599), id(598), id(597)]);
    assert_eq!(ids(&["--limit", "2"]), [id(0), id(1)]);
    assert_eq!(ids(&["--since", "2026-11-21"]), Vec::<String>::new());
    home.run(&["audit", "query", "--since", "yesterday"], 2);
    home.run(&["audit", "query", "--id", "7"], 2);
    let shown = text(&home.run(&["audit", "query", "--limit", "2"], 0).stdout);
    assert!(shown.lines().count() == 2 && shown.contains("LEDGER.OPENED"), "{shown}");
}

#[test]
fn proofs_hold_offline_and_only_for_their_event() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..10).as_bytes(), 0);
    home.run(&["audit", "checkpoint", "-o", "old.checkpoint"], 0);
    home.run_with(&["audit", "record"], events(10..400).as_bytes(), 0);
    home.run(&["audit", "prove", "--id", &id(5), "-o", "bare.tlog-proof"], 0);
    home.run(&["audit", "prove", "--id", &id(6), "--with-event", "-o", "full.tlog-proof"], 0);
    home.run(&["audit", "prove", "--consistency", "old.checkpoint", "-o", "grown.proof"], 0);
    std::fs::copy(home.path().join("keys/log.vkey"), home.folder().join("log.vkey")).unwrap();
    let stored = home.run(&["--json", "audit", "query", "--id", &id(5)], 0).stdout;
    home.write("five.json", &stored);
    home.write("other.json", text(&stored).replace("10086", "10087"));
    // The auditor has the proofs and the public key, and no ledger.
    std::fs::remove_dir_all(home.path().join("log")).unwrap();

    let check = |arguments: &[&str], code| {
        home.run(&[&["audit", "prove", "--key", "log.vkey", "--check"], arguments].concat(), code)
    };
    assert!(text(&check(&["full.tlog-proof"], 0).stdout).contains(&id(6)));
    check(&["bare.tlog-proof", "--event", "five.json"], 0);
    check(&["bare.tlog-proof", "--event", "other.json"], 1);
    check(&["bare.tlog-proof"], 2);
    check(&["grown.proof", "--since", "old.checkpoint"], 0);
    check(&["grown.proof"], 2);

    let forged = std::fs::read_to_string(home.folder().join("full.tlog-proof")).unwrap();
    let forged = forged.replacen("index ", "index 1", 1);
    home.write("forged.tlog-proof", forged);
    check(&["forged.tlog-proof"], 1);
    let other = Home::absent();
    let key = audit::create_home(&other.path(), "other").unwrap();
    home.write("other.vkey", key.to_string());
    home.run(&["audit", "prove", "--key", "other.vkey", "--check", "full.tlog-proof"], 1);
    home.run(&["audit", "prove", "--check", "five.json"], 2);
}

#[test]
fn proofs_come_with_receipts_on_request() {
    let home = home();
    let output = home.run_with(&["audit", "record", "--proof"], events(0..3).as_bytes(), 0);
    for (n, receipt) in (0..).zip(json_lines(&output.stdout)) {
        let proof = receipt["proof"].as_str().unwrap();
        assert!(proof.starts_with("c2sp.org/tlog-proof@v1\n"), "{proof}");
        home.write("p", proof);
        home.write("e", home.run(&["--json", "audit", "query", "--id", &id(n)], 0).stdout);
        home.run(&["audit", "prove", "--check", "p", "--event", "e"], 0);
    }
}

#[test]
fn what_does_not_exist_cannot_be_proved() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..1).as_bytes(), 0);
    home.run(&["audit", "prove", "--index", "99"], 2);
    home.run(&["audit", "prove", "--id", &id(9)], 2);
    home.run(&["audit", "prove", "--id", "nine"], 2);
    home.run(&["audit", "prove"], 2);
}

#[test]
fn a_flipped_byte_is_named() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..600).as_bytes(), 0);
    home.run(&["audit", "checkpoint", "-o", "good.checkpoint"], 0);
    home.run(&["audit", "verify", "--checkpoint", "good.checkpoint"], 0);
    let mut files = Vec::new();
    walk(&home.path().join("log"), &mut files);
    assert!(files.len() > 6, "{files:?}");
    for file in &files {
        let good = std::fs::read(file).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x04;
            std::fs::write(file, &bad).unwrap();
            let output = home.run(&["audit", "verify"], 1);
            let name = file.strip_prefix(home.path()).unwrap().to_str().unwrap().to_owned();
            let said = text(&output.stderr);
            assert!(said.contains(&name), "{name} at {at}: {said}");
        }
        std::fs::write(file, &good).unwrap();
    }
    home.run(&["audit", "verify"], 0);
    let shown = home.run(&["--json", "audit", "verify"], 0);
    assert_eq!(json_lines(&shown.stdout)[0]["holds"], true);
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

#[test]
fn a_ledger_that_was_cut_back_or_replaced_does_not_extend_the_old_checkpoint() {
    let one = home();
    one.run_with(&["audit", "record"], events(0..20).as_bytes(), 0);
    one.run(&["audit", "checkpoint", "-o", "kept"], 0);
    std::fs::remove_dir_all(one.path().join("log")).unwrap();
    one.run_with(&["audit", "record"], events(0..5).as_bytes(), 1);
    one.run(&["init"], 1);
    one.run(&["audit", "verify"], 1);
    // Whoever has the log's key can begin another ledger under it, as here; a checkpoint kept elsewhere tells.
    std::fs::remove_file(one.path().join("custody.toml")).unwrap();
    audit::create_home(&one.path(), "test").unwrap();
    one.write("home/custody.toml", "");
    one.run_with(&["audit", "record"], events(0..5).as_bytes(), 0);
    one.run(&["audit", "verify"], 0);
    assert!(
        text(&one.run(&["audit", "verify", "--checkpoint", "kept"], 1).stderr).contains("earlier checkpoint")
    );
    one.run_with(&["audit", "record"], events(30..90).as_bytes(), 0);
    one.run(&["audit", "verify", "--checkpoint", "kept"], 1);
}

#[test]
fn an_event_without_a_trace_gets_that_of_the_environment() {
    let home = home();
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let own = event(&id(1)).replace("\"ctx\":{", "\"ctx\":{\"trace_id\":\"of-its-own\",");
    // The second one's fault is found where it stands, as without a trace.
    let lines = format!("{own}\n{{\"act\":1}}\n{}\n", event(&id(2)));
    home.write("lines", &lines);
    let record = |value: &str| {
        let input = std::fs::File::open(home.folder().join("lines")).unwrap();
        let output =
            home.command(&["audit", "record"]).env("TRACEPARENT", value).stdin(input).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let said = record(&format!("00-{TRACE}-00f067aa0ba902b7-01"));
    assert!(said.contains("line 2: InvalidComplianceEvent") && said.contains("$.act"), "{said}");
    let traces: Vec<_> = recorded(&home, &[]).iter().map(|event| event["ctx"]["trace_id"].clone()).collect();
    assert_eq!(traces.iter().filter(|trace| *trace == TRACE).count(), 1, "{traces:?}");
    assert_eq!(traces.iter().filter(|trace| *trace == "of-its-own").count(), 1, "{traces:?}");
    home.write("lines", format!("{}\n{{}}\n", event(&id(3))));
    assert!(record("00-zz").contains("TRACEPARENT is not a traceparent"));
    assert!(
        recorded(&home, &[]).iter().any(|event| event["id"] == *id(3) && event["ctx"]["trace_id"].is_null())
    );
}

#[test]
fn a_second_process_connects_to_the_owner_and_replaces_it() {
    let home = home();
    let mut owner = home.command(&["audit", "record"]);
    let mut owner = owner.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut feed = owner.stdin.take().unwrap();
    let mut receipts = BufReader::new(owner.stdout.take().unwrap());
    let mut line = String::new();
    writeln!(feed, "{}", event(&id(1))).unwrap();
    receipts.read_line(&mut line).unwrap();
    assert!(line.contains(&id(1)), "an acknowledgement does not wait for more input");

    // Everything works through the owner, and the kernel says who asked.
    home.run_with(&["audit", "record"], events(2..600).as_bytes(), 0);
    let refused = home.run_with(&["audit", "record"], b"{}\n", 2);
    assert!(text(&refused.stderr).contains("$.act is missing"));
    let found = recorded(&home, &[]);
    assert_eq!(found.len(), 599);
    let pids: Vec<_> = found.iter().map(|e| e["ctx"]["peer.pid"].as_str().unwrap()).collect();
    assert_eq!(pids[0], owner.id().to_string());
    assert_ne!(pids[1], pids[0]);
    home.run(&["audit", "prove", "--id", &id(599), "-o", "p"], 0);
    home.run(&["audit", "verify"], 0);
    let tailed = home.run(&["--json", "audit", "tail", "--lines", "700", "--limit", "5"], 0);
    assert_eq!(json_lines(&tailed.stdout).len(), 5);

    // A client that outlives the owner goes on.
    let mut client = home.command(&["audit", "record"]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut client_feed = client.stdin.take().unwrap();
    let mut client_receipts = BufReader::new(client.stdout.take().unwrap());
    writeln!(client_feed, "{}", event(&id(1000))).unwrap();
    client_receipts.read_line(&mut line).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    writeln!(client_feed, "{}", event(&id(1001))).unwrap();
    line.clear();
    client_receipts.read_line(&mut line).unwrap();
    assert!(line.contains(&id(1001)), "{line}");
    drop(client_feed);
    assert!(client.wait().unwrap().success());
    assert_eq!(recorded(&home, &[]).len(), 601);
    home.run(&["audit", "verify"], 0);
}

#[test]
fn a_tail_shows_what_comes() {
    let home = home();
    let mut tail = home.command(&["--json", "audit", "tail", "--act", "AUTH.", "--limit", "3"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    // The tail owns the home as soon as its socket is there.
    while !home.path().join("custody.sock").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    home.run_with(&["audit", "record"], events(0..3).as_bytes(), 0);
    let lines: Vec<String> =
        BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(tail.wait().unwrap().success());
    assert_eq!(lines.len(), 3);
    assert!(lines[2].contains(&id(2)));
}

/// Kills an owner that has just acknowledged an event, and leaves of its last record what a crash leaves of one
/// whose end did not reach the disk. Answers the segment; nothing when a checkpoint covers the record already.
fn tear_last_record(home: &Home) -> Option<std::path::PathBuf> {
    let mut owner = home.command(&["audit", "record"]);
    let mut owner = owner.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut feed = owner.stdin.take().unwrap();
    let mut receipts = BufReader::new(owner.stdout.take().unwrap());
    writeln!(feed, "{}", event(&id(5))).unwrap();
    let mut receipt = String::new();
    receipts.read_line(&mut receipt).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    let index = json_lines(receipt.as_bytes())[0]["index"].as_u64().unwrap();
    let note = std::fs::read_to_string(home.path().join("log/checkpoint")).unwrap();
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    if size > index {
        return None;
    }
    let mut segments = Vec::new();
    walk(&home.path().join("log/entries"), &mut segments);
    segments.sort();
    let segment = segments.pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|b| *b != 0).unwrap();
    bytes[end - 100..=end].fill(0);
    std::fs::write(&segment, &bytes).unwrap();
    Some(segment)
}

#[test]
fn a_torn_last_record_is_repaired_and_reported() {
    // The owner publishes each second; a kill just after that leaves no record to tear. Then the next one will.
    let torn = (0..20).find_map(|_| {
        let home = home();
        home.run_with(&["audit", "record"], events(0..5).as_bytes(), 0);
        tear_last_record(&home).map(|segment| (home, segment))
    });
    let (home, segment) = torn.unwrap();
    let output = home.run(&["--json", "audit", "query", "--act", "LEDGER.RECOVERED"], 0);
    let reports = json_lines(&output.stdout);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0]["severity"], "WARN");
    assert_eq!(reports[0]["ctx"]["sm3_root"].as_str().unwrap().len(), 64);
    assert!(segment.ends_with(reports[0]["obj"]["segment"].as_str().unwrap()));
    home.run(&["audit", "verify"], 0);
    let again = json_lines(&home.run_with(&["audit", "record"], events(0..7).as_bytes(), 0).stdout);
    assert_eq!(again.len(), 7);
    assert_eq!(recorded(&home, &[]).len(), 7);
    home.run(&["audit", "verify"], 0);
}

#[test]
fn a_tail_outlives_the_owner() {
    let home = home();
    let mut owner = home.command(&["audit", "record"]);
    let mut owner = owner.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut feed = owner.stdin.take().unwrap();
    let mut receipts = BufReader::new(owner.stdout.take().unwrap());
    let mut line = String::new();
    writeln!(feed, "{}", event(&id(1))).unwrap();
    receipts.read_line(&mut line).unwrap();
    let mut tail = home.command(&["--json", "audit", "tail", "--act", "AUTH.", "-n", "9", "--limit", "3"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains(&id(1)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    home.run_with(&["audit", "record"], events(2..4).as_bytes(), 0);
    assert!(lines.next().unwrap().contains(&id(2)));
    assert!(lines.next().unwrap().contains(&id(3)));
    assert_eq!(lines.next(), None);
    assert!(tail.wait().unwrap().success());
}

#[test]
fn the_operators_catalogue_counts() {
    let home = home();
    let loan = event(&id(1)).replace("AUTH.LOGIN.FAIL", "LOAN.APPROVED").replace("\"user\"", "\"branch\"");
    home.run_with(&["audit", "record"], loan.as_bytes(), 2);
    home.write(
        "home/catalogue.toml",
        "[actions]\n\"LOAN.APPROVED\" = \"a loan was approved\"\n[subjects]\nbranch = \"a branch\"\n",
    );
    home.run_with(&["audit", "record"], loan.as_bytes(), 0);
    assert!(text(&home.run(&["audit", "catalogue"], 0).stdout).contains("a loan was approved"));
    home.write("home/catalogue.toml", "[actions]\nloan = \"x\"\n");
    let said = text(&home.run_with(&["audit", "record"], loan.as_bytes(), 2).stderr);
    assert!(said.contains("`loan` is not an action code") && said.contains("hint:"), "{said}");
}

#[test]
fn without_a_home_the_mend_is_named() {
    let home = Home::absent();
    for verb in [&["audit", "record"][..], &["audit", "query"], &["audit", "verify"], &["audit", "tail"]] {
        let said = text(&home.run(verb, 2).stderr);
        assert!(said.contains("no Custody home at") && said.contains("custody init"), "{said}");
    }
    assert!(!home.path().exists(), "nothing is made by looking");
}

#[test]
fn a_bench_measures_and_leaves_nothing() {
    let home = Home::absent();
    let output = home.run(&["--json", "audit", "bench", "--events", "2000", "--dir", "."], 0);
    let report = &json_lines(&output.stdout)[0];
    let mut fields: Vec<_> = report.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    let settled = ["ack_p50_us", "ack_p99_us", "durable", "events", "events_per_second", "seconds"];
    let circumstances = [
        "batch",
        "checkpoint_interval_ms",
        "client",
        "commitments",
        "event_bytes",
        "in_flight",
        "producers",
        "trees",
    ];
    assert!(
        settled.iter().chain(&circumstances).all(|name| fields.iter().any(|field| field == name)),
        "{fields:?}"
    );
    assert_eq!(report["events"], 2000);
    assert!(report["ack_p50_us"].as_u64() <= report["ack_p99_us"].as_u64());
    assert_eq!(std::fs::read_dir(home.folder()).unwrap().count(), 0);
}

/// Runs a shell script in a mount namespace of its own, with the home's folder as `$1` and the binary as `$0`;
/// nothing where that is not allowed.
fn with_mounts(home: &Home, script: &str, input: &[u8]) -> Option<std::process::Output> {
    let allowed = std::process::Command::new("unshare").args(["--mount", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: a file system of its own needs root (unshare --mount)");
        return None;
    }
    let binary = env!("CARGO_BIN_EXE_custody");
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, binary]).arg(home.path());
    command.current_dir(home.folder()).env("CUSTODY_HOME", home.path());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input))); // it may give up before the end
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Some(output)
}

#[test]
fn a_read_only_home_is_read_and_not_written() {
    let home = home();
    home.run_with(&["audit", "record"], events(0..10).as_bytes(), 0);
    let script = r#"
        mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"
        "$0" audit verify
        "$0" --json audit query --act AUTH. | wc -l
        "$0" audit prove --index 1 --with-event -o read-only.tlog-proof
        "$0" audit record
    "#;
    let Some(output) = with_mounts(&home, script, events(10..11).as_bytes()) else { return };
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{out}{err}");
    assert!(out.contains("holds") && out.ends_with("\n10\n"), "{out}");
    home.run(&["audit", "prove", "--check", "read-only.tlog-proof"], 0);
    assert!(err.contains("may not") && err.contains("hint: the home must be writable"), "{err}");
    assert!(err.contains(home.path().join("lock").to_str().unwrap()), "{err}");
    assert_eq!(recorded(&home, &[]).len(), 10);
}

#[test]
fn a_full_disk_is_exit_code_3_and_what_was_acknowledged_stays() {
    let home = home();
    let script = r#"
        mount -t tmpfs -o size=40m none "$1"
        "$0" init > /dev/null
        code=0; "$0" audit record > receipts 2> errors || code=$?
        mount -o remount,size=400m "$1"
        "$0" --json audit query --act AUTH. > found
        "$0" audit verify > /dev/null
        exit $code
    "#;
    // Much more than fits, in the write-ahead log and in tiles.
    let padding = format!("\"obj\":{{\"pad\":\"{}\",", "x".repeat(8000));
    let many: String = (0..12_000).map(|n| event(&id(n)).replace("\"obj\":{", &padding) + "\n").collect();
    let Some(output) = with_mounts(&home, script, many.as_bytes()) else { return };
    let read = |name: &str| std::fs::read(home.folder().join(name)).unwrap();
    let said = text(&read("errors"));
    assert_eq!(output.status.code(), Some(3), "{said}{}", text(&output.stderr));
    assert!(said.contains("no space left") && said.contains("hint: make room"), "{said}");
    let acknowledged = json_lines(&read("receipts"));
    assert!(!acknowledged.is_empty());
    let found: Vec<_> = json_lines(&read("found")).iter().map(|e| e["id"].clone()).collect();
    for receipt in &acknowledged {
        let times = found.iter().filter(|id| **id == receipt["id"]).count();
        assert_eq!(times, 1, "{receipt}");
    }
}

#[test]
fn a_disk_that_is_full_from_the_start_is_exit_code_3() {
    // Limits the size of any file this process may write: what a full disk looks like, without one.
    let home = home();
    home.run_with(&["audit", "record"], events(0..10).as_bytes(), 0);
    let script = "ulimit -f 0; trap '' XFSZ; exec \"$0\" audit record";
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", script, env!("CARGO_BIN_EXE_custody")]).env("CUSTODY_HOME", home.path());
    let mut child =
        limited.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(events(10..12).as_bytes()); // it may have given up before
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(recorded(&home, &[]).len(), 10);
    home.run(&["audit", "verify"], 0);
}

#[test]
fn a_value_without_its_form_is_answered_with_the_form() {
    let home = home();
    for (option, value, mend) in [
        ("--since", "yesterday", "2026-11-20T08:30:00Z"),
        ("--until", "2026-13-01", "2026-11-20T08:30:00Z"),
        ("--severity", "bad", "--severity WARN"),
        ("--id", "7", "query --json"),
    ] {
        let error = text(&home.run(&["audit", "query", option, value], 2).stderr);
        let hint = error.split("hint: ").nth(1);
        assert!(hint.is_some_and(|hint| hint.contains(mend)), "{option}: {error}");
    }
}

#[test]
fn a_file_that_is_no_checkpoint_is_not_taken_for_damage_of_the_ledger() {
    let home = home();
    home.run(&["audit", "checkpoint", "-o", "own.checkpoint"], 0);
    home.write("wrong", "not a checkpoint");
    let error = text(&home.run(&["audit", "verify", "--checkpoint", "wrong"], 1).stderr);
    assert!(error.contains("the checkpoint that was given"), "{error}");
    assert!(error.contains("hint: name one that `custody audit checkpoint"), "{error}");
}
