//! What is read over HTTP, and that it is recorded.

use crate::rig::{Daemon, home, stored};
use crate::support::{event, id};

#[test]
fn an_event_is_read_with_its_proof_and_the_reading_is_an_event() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let posted = daemon.post("/v1/events", "application/json", &token, event(&id(1)).as_bytes()).json();
    let index = posted["verdicts"][0]["index"].as_u64().unwrap();
    let read = daemon.get(&format!("/v1/events/{}", id(1)), &token);
    assert_eq!(read.status, 200, "{}", read.body);
    assert_eq!(read.json()["index"], index);
    assert!(read.json()["event"].as_str().unwrap().contains("\"peer.name\":\"all\""));
    let proof = daemon.get(&format!("/v1/proof/{index}"), &token);
    assert!(proof.body.starts_with("c2sp.org/tlog-proof@v1\n"), "{}", proof.body);
    assert_eq!(daemon.get(&format!("/v1/events/{}", id(77)), &token).status, 404);
    assert_eq!(daemon.get("/v1/events/x", &token).status, 400);
    assert_eq!(daemon.get("/v1/proof/99999", &token).status, 404);
    assert_eq!(daemon.get("/v1/proof/x", &token).status, 400);
    drop(daemon);
    let reads = stored(&home, "AUDIT.READ");
    let mine: Vec<_> = reads.iter().filter(|read| read["sub"]["client"] == "all").collect();
    assert_eq!(mine.len(), 1, "{reads:?}");
}

#[test]
fn a_monitor_reads_the_log_as_tiles() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let many: String = (0..600).map(|n| event(&id(n)) + "\n").collect();
    assert_eq!(daemon.post("/v1/events", "application/x-ndjson", &token, many.as_bytes()).status, 200);
    home.run(&["audit", "checkpoint"], 0);
    let checkpoint = daemon.get("/checkpoint", &token);
    let size: u64 = checkpoint.body.lines().nth(1).unwrap().parse().unwrap();
    assert!(size >= 600, "{}", checkpoint.body);
    for path in ["/tile/0/000", "/tile/0/001", "/tile/entries/000"] {
        assert_eq!(daemon.get(path, &token).status, 200, "{path}");
    }
    for path in ["/tile/entries/001", "/tile/entries/000"] {
        assert_eq!(daemon.get(path, &token).status, 200, "{path}");
    }
    let said = stored(&home, "AUDIT.READ");
    let bundles: Vec<_> = said.iter().filter(|read| read["obj"]["bundles_from"] == "0").collect();
    assert_eq!(bundles.len(), 1, "one reading, one event: {said:?}");
    assert_eq!(bundles[0]["obj"]["bundles_to"], ((size - 1) / 256).to_string());
    for path in
        ["/tile/0/0", "/tile/0/../../keys/log.pem", "/tile/..%2f..%2fkeys", "/tile/9/000", "/tile/0/999"]
    {
        assert_eq!(daemon.get(path, &token).status, 404, "{path}");
    }
}

#[test]
fn a_trace_was_seen_or_not() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let traced = event(&id(1)).replace(r#""ip":"#, r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","ip":"#);
    assert_eq!(daemon.post("/v1/events", "application/json", &token, traced.as_bytes()).status, 200);
    let seen = |path: &str| {
        let answer = daemon.get(path, &token);
        (answer.status, answer.json()["seen"].as_bool())
    };
    assert_eq!(seen("/v1/trace/4bf92f3577b34da6a3ce929d0e0e4736/seen?within=5m"), (200, Some(true)));
    assert_eq!(seen("/v1/trace/4bf92f3577b34da6a3ce929d0e0e4736/seen"), (200, Some(true)));
    assert_eq!(seen("/v1/trace/00f92f3577b34da6a3ce929d0e0e4736/seen?within=1h"), (200, Some(false)));
    assert_eq!(seen("/v1/trace/4bf9/seen?within=soon").0, 400);
    assert_eq!(seen("/v1/trace/4bf9").0, 404);
}

#[test]
fn the_figures_are_what_happened() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let body = [event(&id(1)), event(&id(1)), "{}".into(), event(&id(2))].join("\n");
    assert_eq!(daemon.post("/v1/events", "application/x-ndjson", &token, body.as_bytes()).status, 422);
    let page = daemon.get("/metrics", &token);
    assert!(page.head.contains("text/plain; version=0.0.4"), "{}", page.head);
    for line in [
        "custody_http_requests_total{route=\"/v1/events\",code=\"422\"} 1",
        "custody_intake_events_total{way=\"http\",outcome=\"accepted\"} 3",
        "custody_intake_events_total{way=\"http\",outcome=\"refused\"} 1",
        "custody_ledger_repeated_total 1",
        "custody_ledger_refused_total{rule=\"missing\"} 1",
    ] {
        assert!(page.body.lines().any(|found| found == line), "{line}\n{}", page.body);
    }
    // The two events, and what the owner says of itself.
    let accepted = page.body.lines().find_map(|line| line.strip_prefix("custody_ledger_accepted_total "));
    assert!(accepted.unwrap().parse::<u64>().unwrap() > 2, "{}", page.body);
    assert!(page.body.contains("custody_ledger_acknowledgement_seconds_bucket{le=\"+Inf\"}"));
}

/// Tessera's `fsck` and client judge the running daemon, as any monitor would.
#[test]
fn tessera_finds_nothing_wrong_over_http() {
    let skipped = |why: &str| {
        assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "peers are required: {why}");
        eprintln!("SKIPPED: {why}");
    };
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/tests/tessera-judge");
    let (home, token) = home();
    let judge = home.folder().join("judge");
    let go = |arguments: &[&str]| {
        let mut go =
            std::process::Command::new(std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into()));
        go.args(arguments).current_dir(&source);
        go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly").env("GOWORK", "off").output()
    };
    if !go(&["mod", "download"]).is_ok_and(|output| output.status.success()) {
        return skipped("no Go, or Tessera's modules are not available");
    }
    let built = go(&["build", "-o", judge.to_str().unwrap(), "."]).unwrap();
    assert!(built.status.success(), "{}", crate::support::text(&built.stderr));
    let daemon = Daemon::start(&home, &[]);
    let many: String = (0..700).map(|n| event(&id(n)) + "\n").collect();
    assert_eq!(daemon.post("/v1/events", "application/x-ndjson", &token, many.as_bytes()).status, 200);
    home.run(&["audit", "checkpoint"], 0);
    let key = std::fs::read_to_string(home.path().join("keys/log.vkey")).unwrap();
    let judged = std::process::Command::new(judge)
        .arg(format!("http://{}/", daemon.address))
        .arg(key.trim())
        .env("TOKEN", &token)
        .output()
        .unwrap();
    assert!(judged.status.success(), "{}", crate::support::text(&judged.stderr));
    assert!(crate::support::text(&judged.stdout).starts_with("size 7"));
}
