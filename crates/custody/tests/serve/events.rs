//! `POST /v1/events`.

use crate::rig::{Daemon, home, stored};
use crate::support::{event, id};

fn events(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| event(&id(n))).collect()
}

#[test]
fn every_form_of_body_is_taken_and_answered_in_order() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let one = daemon.post("/v1/events", "application/json", &token, events(0..1)[0].as_bytes());
    assert_eq!(one.status, 200, "{}", one.body);
    let first = one.json()["verdicts"][0]["index"].as_u64().unwrap();
    let array = format!("[{}]", events(1..4).join(", "));
    let many = daemon.post("/v1/events", "application/json; charset=utf-8", &token, array.as_bytes()).json();
    let lines = events(4..7).join("\n");
    let more = daemon.post("/v1/events", "application/x-ndjson", &token, lines.as_bytes()).json();
    let indices = |answer: &serde_json::Value| -> Vec<u64> {
        answer["verdicts"].as_array().unwrap().iter().map(|v| v["index"].as_u64().unwrap()).collect()
    };
    assert_eq!(indices(&many), [first + 1, first + 2, first + 3]);
    assert_eq!(indices(&more), [first + 4, first + 5, first + 6]);
    assert_eq!(many["verdicts"][2]["id"], id(3).as_str());
    // Offered again, they are acknowledged once.
    let again = daemon.post("/v1/events", "application/json", &token, array.as_bytes()).json();
    assert_eq!(again, many);
    let found = stored(&home, "AUTH.LOGIN.FAIL");
    assert_eq!(found.len(), 7);
    for event in &found {
        assert_eq!(event["ctx"]["peer.name"], "all");
        assert_eq!(event["ctx"]["peer.via"], "token");
        assert_eq!(event["ctx"]["peer.ip"], "127.0.0.1");
    }
    drop(daemon.stop());
    home.run(&["audit", "verify"], 0);
}

#[test]
fn refusals_stand_beside_receipts_with_their_paths() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let good = event(&id(1));
    let bad = good.replace("AUTH.LOGIN.FAIL", "AUTH.LOGIN.FIAL").replace("192.168.3.5", "here");
    let twice = good.replace(r#""severity":"INFO""#, r#""severity":"INFO","severity":"WARN""#);
    let deep = good.replace(r#""10086""#, &format!("{}1{}", "[".repeat(2000), "]".repeat(2000)));
    let forged = good.replace(r#""ip":"#, r#""peer.name":"root","ip":"#);
    let body = [good.as_str(), &bad, &twice, &deep, &forged, "7", "{"].join("\n");
    let answer = daemon.post("/v1/events", "application/x-ndjson", &token, body.as_bytes());
    assert_eq!(answer.status, 422);
    let answer = answer.json();
    assert_eq!((answer["accepted"].as_u64(), answer["refused"].as_u64()), (Some(1), Some(6)));
    let paths = |n: usize| -> Vec<(String, String)> {
        let faults = answer["verdicts"][n]["faults"].as_array().unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        faults.iter().map(|fault| (text(&fault["path"]), text(&fault["rule"]))).collect()
    };
    let pair = |path: &str, rule: &str| (path.to_owned(), rule.to_owned());
    assert_eq!(paths(1), [pair("$.act", "unknown"), pair("$.ctx.ip", "form")]);
    assert_eq!(paths(2), [pair("$.severity", "duplicate")]);
    assert_eq!(paths(3), [pair("$.sub.user", "type")]);
    assert_eq!(paths(4), [pair("$.ctx['peer.name']", "reserved")]);
    assert_eq!(paths(5), [pair("$", "type")]);
    assert_eq!(paths(6), [pair("$", "json")]);
    let mut raw = good.into_bytes();
    raw[60] = 0xff;
    let answer = daemon.post("/v1/events", "application/json", &token, &raw);
    assert_eq!(
        (answer.status, answer.json()["verdicts"][0]["faults"][0]["rule"].as_str()),
        (422, Some("json"))
    );
    drop(daemon.stop());
    // Counted, with who it was, and without a word of what was refused.
    let refusals = stored(&home, "LEDGER.REFUSALS");
    let count: u64 =
        refusals.iter().map(|e| e["ctx"]["refused"].as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(count, 7);
    assert_eq!(refusals[0]["sub"]["client"], "all");
}

#[test]
fn proofs_come_with_the_receipts_and_hold_offline() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let body = format!("[{}]", events(0..3).join(","));
    let answer = daemon.post("/v1/events?proof=1", "application/json", &token, body.as_bytes()).json();
    let proof = home.write("event.proof", answer["verdicts"][1]["proof"].as_str().unwrap());
    let event = home.run(&["--json", "audit", "query", "--id", &id(1)], 0);
    let event = home.write("event.json", event.stdout);
    let (proof, event) = (proof.to_str().unwrap(), event.to_str().unwrap());
    home.run(&["audit", "prove", "--check", proof, "--event", event, "--key", "home/keys/log.vkey"], 0);
    assert_eq!(daemon.post("/v1/events?proof=yes", "application/json", &token, b"{}").status, 400);
    assert_eq!(daemon.post("/v1/events?prof=1", "application/json", &token, b"{}").status, 400);
}

#[test]
fn a_packed_body_is_unpacked_and_a_bomb_is_not() {
    use std::io::Write as _;
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let pack = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let kind = "application/json\r\ncontent-encoding: gzip";
    let answer = daemon.post("/v1/events", kind, &token, &pack(events(0..1)[0].as_bytes()));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let bomb = pack(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(daemon.post("/v1/events", kind, &token, &bomb).status, 413);
    assert_eq!(daemon.post("/v1/events", kind, &token, b"not gzip").status, 400);
    let other = "application/json\r\ncontent-encoding: br";
    assert_eq!(daemon.post("/v1/events", other, &token, b"{}").status, 415);
    assert_eq!(daemon.post("/v1/events", "text/plain", &token, b"{}").status, 415);
}

/// Go's own client, with a body that it packed.
#[test]
fn a_go_service_posts_what_it_has() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let go = std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into());
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/data/client/main.go");
    let (home, token) = home();
    let client = home.folder().join("client");
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(&client).arg(source).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    let Ok(built) = build.current_dir(home.folder()).output() else {
        assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "Go is needed");
        eprintln!("SKIPPED a_go_service_posts_what_it_has: no Go (CUSTODY_GO)");
        return;
    };
    assert!(built.status.success(), "{}", crate::support::text(&built.stderr));
    let daemon = Daemon::start(&home, &[]);
    let url = format!("http://{}/v1/events", daemon.address);
    let mut client = Command::new(client);
    client.args([&url, &token]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().unwrap();
    client.stdin.take().unwrap().write_all(events(0..1000).join("\n").as_bytes()).unwrap();
    let output = crate::support::text(&client.wait_with_output().unwrap().stdout);
    let (status, answer) = output.split_once('\n').unwrap();
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    assert_eq!((status, answer["accepted"].as_u64()), ("200", Some(1000)));
}

#[test]
fn an_event_without_a_trace_gets_that_of_its_request() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let post = |body: &str, trace: &str| {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             traceparent: 00-{trace}-00f067aa0ba902b7-01"
        );
        let answer = daemon.ask(&head, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["verdicts"][0]["index"].as_u64().unwrap()
    };
    let own = event(&id(2)).replace(r#""ip":"#, r#""trace_id":"own","ip":"#);
    let (first, second) = (post(&event(&id(1)), trace), post(&own, trace));
    // Sent again within another request, it is the same event.
    assert_eq!(post(&event(&id(1)), "00000000000000000000000000000001"), first);
    assert_eq!(post(&own, "00000000000000000000000000000001"), second);
    drop(daemon.stop());
    let stored = stored(&home, "AUTH.LOGIN.FAIL");
    assert_eq!(
        (&stored[0]["ctx"]["trace_id"], &stored[0]["ctx"]["peer.trace"]),
        (&trace.into(), &"traceparent".into())
    );
    assert_eq!(
        (&stored[1]["ctx"]["trace_id"], &stored[1]["ctx"]["peer.trace"]),
        (&"own".into(), &serde_json::Value::Null)
    );
    let opened = crate::rig::stored(&home, "LEDGER.OPENED");
    assert!(!opened[0]["ctx"]["host"].as_str().unwrap().is_empty());
}
