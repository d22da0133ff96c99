//! Alerts: from events to a signed message at the other end, and over the past.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::rig::{Daemon, home, stored};
use crate::support::{Home, event, id, text};

/// A place that takes messages: each request's head and body. The first is turned away with 503.
fn receiver() -> (u16, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for (stream, n) in listener.incoming().zip(0..) {
            let mut stream = stream.unwrap();
            let mut input = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let at = head.len();
                input.read_line(&mut head).unwrap();
                if let Some(value) = head[at..].to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            input.read_exact(&mut body).unwrap();
            let status = if n == 0 { "503 Service Unavailable" } else { "204 No Content" };
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            if send.send((head, text(&body))).is_err() {
                return;
            }
        }
    });
    (port, receive)
}

fn rules(home: &Home, port: u16) {
    home.write(
        "home/alerts.toml",
        format!(
            "version = 1\n\
             [[rule]]\nname = \"logins\"\ncount = \"AUTH.LOGIN.FAIL\"\nby = \"ctx.ip\"\nevery = 0.5\nthreshold = 5\n\
             row = 1\nquiet = 1\nwebhooks = [\"ops\"]\n\
             [[rule]]\nname = \"refused\"\nrefusals = true\nevery = 0.5\nthreshold = 0\nrow = 1\nquiet = 1\n\
             webhooks = [\"ops\"]\n\
             [[webhook]]\nname = \"ops\"\nurl = \"http://127.0.0.1:{port}/hook\"\nsecret_file = \"keys/ops.secret\"\n"
        ),
    );
    let secret = home.write("home/keys/ops.secret", "a secret of enough bytes\n");
    std::fs::set_permissions(secret, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// HMAC-SHA256 by openssl.
fn signature(home: &Home, text: &str) -> Option<String> {
    let file = home.write("signed", text);
    let key = ["dgst", "-sha256", "-mac", "HMAC", "-macopt", "key:a secret of enough bytes"];
    let output = std::process::Command::new("openssl").args(key).arg(file).output().ok()?;
    Some(crate::support::text(&output.stdout).trim().rsplit(' ').next().unwrap().to_owned())
}

#[test]
fn an_alert_is_an_event_and_a_signed_message_and_both_end() {
    let (home, token) = home();
    let (port, messages) = receiver();
    rules(&home, port);
    let daemon = Daemon::start(&home, &[]);
    let many: String = (0..20).map(|n| event(&id(n)) + "\n").collect();
    assert_eq!(daemon.post("/v1/events", "application/x-ndjson", &token, many.as_bytes()).status, 200);
    let next = || messages.recv_timeout(Duration::from_secs(20)).unwrap();
    let (first, second) = (next(), next());
    assert_eq!(first.1, second.1, "what was turned away comes again");
    let raised: Value = serde_json::from_str(&second.1).unwrap();
    assert_eq!(
        (&raised["rule"], &raised["state"], &raised["level"]),
        (&"logins".into(), &"raised".into(), &"P1".into())
    );
    assert_eq!(raised["key"], "192.168.3.5");
    assert!(raised["delta"].as_f64().unwrap() > 5.0, "{raised}");
    let header = second.0.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-custody-signature").then(|| value.trim().to_owned())
    });
    let header = header.unwrap();
    let (time, signed) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    match signature(&home, &format!("{time}.{}", second.1)) {
        Some(expected) => assert_eq!(signed, expected),
        None => eprintln!("SKIPPED the signature by openssl: there is none"),
    }
    let cleared: Value = serde_json::from_str(&next().1).unwrap();
    assert_eq!(
        (&cleared["rule"], &cleared["state"], &cleared["reason"]),
        (&"logins".into(), &"cleared".into(), &"quiet".into())
    );
    // Discard and alert: a refusal.
    assert_eq!(daemon.post("/v1/events", "application/json", &token, b"{}").status, 422);
    let refused: Value = serde_json::from_str(&next().1).unwrap();
    assert_eq!((&refused["rule"], &refused["state"]), (&"refused".into(), &"raised".into()));
    let page = daemon.get("/metrics", &token).body;
    assert!(page.contains("custody_webhook_messages_total{outcome=\"sent\"}"), "{page}");
    drop(daemon.stop());
    let events = stored(&home, "ALERT.");
    assert_eq!(events[0]["id"], raised["event"]);
    assert_eq!((&events[0]["act"], &events[0]["severity"]), (&"ALERT.RAISED".into(), &"CRITICAL".into()));
    assert_eq!(events[0]["obj"], serde_json::json!({"rule": "logins", "key": "192.168.3.5"}));
    assert_eq!(events[1]["act"], "ALERT.CLEARED");
}

#[test]
fn rules_are_tried_on_the_past_and_faulty_ones_are_refused() {
    let (home, _) = home();
    rules(&home, 1);
    // Ten failures within one second of the event's own time, then one an hour later.
    let at = |n: u64, ts: &str| event(&id(n)).replace("2026-11-20T08:30:45.123456789Z", ts) + "\n";
    let mut events: String = (0..10).map(|n| at(n, "2026-11-20T08:30:45.2Z")).collect();
    events += &at(10, "2026-11-20T09:30:45Z");
    home.run_with(&["audit", "record"], events.as_bytes(), 0);
    let check = ["--json", "audit", "alerts", "check", "home/alerts.toml"];
    let until = ["--since", "2026-11-20T08:00:00Z", "--until", "2026-11-20T10:00:00Z"];
    let output = text(&home.run(&[&check[..], &until].concat(), 0).stdout);
    let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        lines.iter().map(|l| (l["state"].as_str().unwrap(), l["at"].as_str().unwrap())).collect();
    assert_eq!(told, [("raised", "2026-11-20T08:30:45.5Z"), ("quiet", "2026-11-20T08:30:47Z")], "{output}");
    home.write("bad.toml", "version = 1\n[[rule]]\nname = \"x\"\nthreshold = 1\n");
    let bad = home.run(&["audit", "alerts", "check", "bad.toml"], 2);
    assert!(text(&bad.stderr).contains("`x` must have one of"), "{}", text(&bad.stderr));
    std::fs::copy(home.folder().join("bad.toml"), home.path().join("alerts.toml")).unwrap();
    home.run(&["serve", "--listen", "127.0.0.1:0"], 2);
}
