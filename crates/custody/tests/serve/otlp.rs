//! `POST /v1/logs`: what OpenTelemetry's own exporter sends is recorded; what is rejected is told as OTLP says.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::rig::{Daemon, home, stored};
use crate::support::text;

const PROTOBUF: &str = "application/x-protobuf";

/// See data/README.md.
const CAPTURED: &[u8] = include_bytes!("data/otlp-python-1.45.2.bin");

#[test]
fn what_the_exporter_sent_is_recorded_once() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    for _ in 0..2 {
        let answer = daemon.post("/v1/logs", PROTOBUF, &token, CAPTURED);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "no partial success");
        assert!(
            answer.head.to_ascii_lowercase().contains("content-type: application/x-protobuf"),
            "{}",
            answer.head
        );
    }
    let found = stored(&home, "AUTH.LOGIN.FAIL");
    assert_eq!(found.len(), 3, "a repeated request is the same records");
    for (n, event) in found.iter().enumerate() {
        assert_eq!(event["sub"], json!({"user": (10000 + n).to_string(), "svc": "payments"}));
        assert_eq!(event["obj"], json!({"table": "users"}));
        assert_eq!(event["severity"], "WARN");
        let ctx = &event["ctx"];
        assert_eq!((&ctx["ip"], &ctx["message"]), (&json!("192.168.3.5"), &json!("wrong password")));
        assert_eq!((&ctx["tags"], &ctx["ratio"]), (&json!("[\"a\",\"b\"]"), &json!("0.5")));
        assert_eq!((&ctx["resource.host.name"], &ctx["scope"]), (&json!("node-7"), &json!("bank.auth")));
        assert_eq!(ctx["peer.name"], "all");
        assert!(event["ts"].as_str().unwrap().starts_with("2026-11-21T1"));
    }
    let page = daemon.get("/metrics", &token).body;
    assert!(page.contains("custody_intake_events_total{way=\"otlp\",outcome=\"accepted\"} 6"), "{page}");
    drop(daemon.stop());
    home.run(&["audit", "verify"], 0);
}

#[test]
fn rejected_records_are_a_partial_success_and_errors_a_status() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let record = |act: &str| json!({"timeUnixNano": "1763627445123456789", "eventName": act});
    let records = [record("AUTH.LOGOUT"), record("AUTH.LOGUOT"), record("")];
    let service = json!({"key": "service.name", "value": {"stringValue": "payments"}});
    let request = json!({"resourceLogs": [
        {"resource": {"attributes": [service]}, "scopeLogs": [{"logRecords": records}]}]});
    let answer = daemon.post("/v1/logs", "application/json", &token, request.to_string().as_bytes());
    assert_eq!(answer.status, 200);
    let partial = &answer.json()["partialSuccess"];
    assert_eq!(partial["rejectedLogRecords"], "2");
    let why = partial["errorMessage"].as_str().unwrap();
    assert!(why.contains("record 1: InvalidComplianceEvent: $.act is not an action"), "{why}");
    assert!(why.contains("record 2: InvalidComplianceEvent: $.act must be a dotted"), "{why}");
    let bad = daemon.post("/v1/logs", "application/json", &token, b"{\"resourceLogs\":7}");
    assert_eq!((bad.status, bad.json()["code"].as_u64()), (400, Some(3)));
    let bad = daemon.post("/v1/logs", PROTOBUF, &token, &[0x0a, 5, 1]);
    assert_eq!(bad.status, 400);
    assert!(bad.body.contains("at byte 2"), "{}", bad.body);
    assert_eq!(daemon.post("/v1/logs", PROTOBUF, "cst_wrong", CAPTURED).status, 401);
    assert_eq!(daemon.post("/v1/logs", "text/plain", &token, CAPTURED).status, 415);
    assert_eq!(daemon.post("/v1/logs", "application/json", &token, b"{}").body, "{}");
}

/// The exporter itself, where `cargo xtask peers` has put it.
#[test]
fn the_exporter_of_opentelemetry_is_served() {
    let rig = std::env::var_os("CUSTODY_RIG_DIR").unwrap_or_default();
    let python = Path::new(&rig).join("otlp/bin/python");
    if !python.is_file() {
        assert!(
            std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(),
            "the exporter is needed: {}",
            python.display()
        );
        eprintln!(
            "SKIPPED the_exporter_of_opentelemetry_is_served: no exporter; `cargo xtask peers` fetches it"
        );
        return;
    }
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/data/otlp_exporter.py");
    let url = format!("http://{}/v1/logs", daemon.address);
    let output = Command::new(python).arg(script).args([&url, &token, "1500"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    assert_eq!(stored(&home, "AUTH.LOGIN.FAIL").len(), 1500);
}
