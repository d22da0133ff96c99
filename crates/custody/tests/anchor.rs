//! `custody anchor` from the outside: a real timestamp authority (`openssl ts` behind a few lines of HTTP), what is on
//! record, and what is proved offline afterwards.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use support::pe::{authority, issue};
use support::{Home, text};

const CONFIG: &str = "[tsa]\ndefault_tsa=x\n[x]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4\n\
digests=sha256,sha384\ness_cert_id_chain=no\ness_cert_id_alg=sha256\ntsa_name=no\nordering=no\n";

/// The authority at an address; it answers 503 while it is told to be down.
struct Tsa {
    address: String,
    down: Arc<AtomicBool>,
}

fn serve(home: &Home) -> Tsa {
    authority(home.folder());
    issue(home.folder(), "tsa", "RSA", "tsa", "root");
    home.write("tsa.cnf", CONFIG);
    home.write("serial", "01\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (dir, down) = (home.folder().to_owned(), Arc::new(AtomicBool::new(false)));
    let is_down = Arc::clone(&down);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (_, body) = support::http::request(&stream);
            if is_down.load(Ordering::SeqCst) {
                let _ =
                    stream.write_all(b"HTTP/1.1 503 X\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy");
                continue;
            }
            std::fs::write(dir.join("request.tsq"), body).unwrap();
            let line = "ts -reply -config tsa.cnf -queryfile request.tsq -signer tsa.pem -inkey tsa.key.pem -out reply.tsr";
            let made = Command::new("openssl").args(line.split(' ')).current_dir(&dir).output().unwrap();
            assert!(made.status.success(), "{}", text(&made.stderr));
            let reply = std::fs::read(dir.join("reply.tsr")).unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", reply.len());
            let _ = stream.write_all(&[head.as_bytes(), &reply].concat());
        }
    });
    Tsa { address, down }
}

fn json(home: &Home, arguments: &[&str], code: i32) -> Value {
    let output = home.run(&[arguments, &["--json"]].concat(), code);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Actions of events about anchors, the oldest first.
fn acts(home: &Home) -> Vec<String> {
    let found = text(&home.run(&["audit", "query", "--act", "ANCHOR.", "--json"], 0).stdout);
    let mut acts: Vec<String> = found
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["event"]["act"].as_str().or(line["act"].as_str()).unwrap().to_owned())
        .collect();
    acts.retain(|act| act.starts_with("ANCHOR."));
    acts
}

#[test]
fn a_file_is_anchored_by_a_timestamp_authority_and_proved_offline() {
    let home = Home::new();
    let tsa = serve(&home);
    home.write("release.bin", "what is anchored");
    let sent = json(&home, &["anchor", "submit", "release.bin", "--tsa", &tsa.address], 0);
    assert_eq!(sent["anchors"][0]["status"], "success");
    assert_eq!(acts(&home), ["ANCHOR.REQUESTED", "ANCHOR.CONFIRMED"]);
    let held = json(&home, &["anchor", "verify", "release.bin", "--ca", "root.pem"], 0);
    assert_eq!((&held["holds"], &held["anchors"][0]["verdict"]), (&true.into(), &"holds".into()));
    assert_eq!(held["anchors"][0]["time"], sent["anchors"][0]["marks"]["time"]);

    // OpenSSL judges the same token over the same bytes.
    let proof: Value =
        serde_json::from_slice(&std::fs::read(home.folder().join("release.bin.anchor.json")).unwrap())
            .unwrap();
    let token = base64(proof["anchors"][0]["token"].as_str().unwrap());
    home.write("token.der", token);
    support::pe::openssl(
        home.folder(),
        "ts -verify -token_in -in token.der -data release.bin -CAfile root.pem -untrusted tsa.pem",
    );

    // Nobody trusted, another authority, other bytes.
    json(&home, &["anchor", "verify", "release.bin"], 1);
    json(&home, &["anchor", "verify", "release.bin", "--ca", "code.pem"], 1);
    home.write("release.bin", "what is anchored?");
    let broken = json(&home, &["anchor", "verify", "release.bin", "--ca", "root.pem"], 1);
    assert_eq!(broken["anchors"][0]["verdict"], "broken");
    // The proof of one content never becomes that of another.
    home.run(&["anchor", "submit", "release.bin", "--tsa", &tsa.address], 1);
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn who_is_down_is_asked_again_and_nothing_is_lost() {
    let home = Home::new();
    let tsa = serve(&home);
    home.write("release.bin", "what is anchored");
    tsa.down.store(true, Ordering::SeqCst);
    let nobody = "http://127.0.0.1:1/";
    let sent = ["anchor", "submit", "release.bin", "--tsa", &tsa.address, "--tsa", nobody];
    let sent = json(&home, &sent, 0);
    assert_eq!(
        (&sent["anchors"][0]["status"], &sent["anchors"][1]["status"]),
        (&"pending".into(), &"pending".into())
    );
    assert_eq!(acts(&home), ["ANCHOR.REQUESTED", "ANCHOR.REQUESTED"]);
    let pending = json(&home, &["anchor", "verify", "release.bin", "--ca", "root.pem"], 1);
    assert_eq!(pending["anchors"][0]["verdict"], "pending");

    let waiting = json(&home, &["anchor", "status", "release.bin.anchor.json", "--offline"], 0);
    assert_eq!(waiting["anchors"][0]["status"], "pending");
    tsa.down.store(false, Ordering::SeqCst);
    let now = json(&home, &["anchor", "status", "release.bin.anchor.json"], 0);
    assert_eq!(
        (&now["anchors"][0]["status"], &now["anchors"][1]["status"]),
        (&"success".into(), &"pending".into())
    );
    json(&home, &["anchor", "verify", "release.bin", "--ca", "root.pem"], 0);
    // Asked again, the one that answered is kept; a repeated submission adds no second pending request.
    json(&home, &["anchor", "submit", "release.bin", "--tsa", nobody], 0);
    let proof = json(&home, &["anchor", "status", "release.bin.anchor.json", "--offline"], 0);
    assert_eq!(proof["anchors"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_used_is_refused_before_anybody_is_asked() {
    let home = Home::new();
    home.write("a", "a");
    home.run(&["anchor", "submit", "a"], 2);
    home.run(&["anchor", "submit", "missing", "--tsa", "http://127.0.0.1:1/"], 2);
    home.run(&["anchor", "submit", "a", "--tsa", "http://127.0.0.1:1/", "--biz-id", "no spaces"], 2);
    home.run(&["anchor", "verify", "a", "--proof", "a"], 2);
    let dry =
        text(&home.run(&["anchor", "submit", "a", "--tsa", "http://127.0.0.1:1/", "--dry-run"], 0).stdout);
    assert!(dry.contains("rfc3161 http://127.0.0.1:1/"), "{dry}");
    assert!(acts(&home).is_empty());
}
