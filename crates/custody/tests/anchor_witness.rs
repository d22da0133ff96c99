//! A witness of the ledger: it is shown consistent checkpoints alone, and its cosignature proves a file offline. The
//! witness is played here, and checks what c2sp.org/tlog-witness says that a witness must.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use signing::note::NoteVerifier;
use signing::{Ed25519Signer, Signer as _};
use support::Home;
use tlog::{Checkpoint, Hash, Sha256};

struct Witness {
    address: String,
    vkey: String,
    /// Size and root that it saw last, and how often it was asked.
    seen: Arc<Mutex<(u64, Hash, u32)>>,
}

const NAME: &str = "witness.example.com/w1";
const TIME: u64 = 1_795_000_000;

fn key_id(key: &Ed25519Signer) -> ([u8; 4], Vec<u8>) {
    let raw = [&[4u8][..], &key.verifier().to_bytes()].concat();
    let digest = gm::Dual::digest(&[NAME.as_bytes(), b"\n", &raw].concat()).sha256;
    ([digest[0], digest[1], digest[2], digest[3]], raw)
}

fn witness(log: NoteVerifier) -> Witness {
    let key = Ed25519Signer::generate().unwrap();
    let (id, raw) = key_id(&key);
    let vkey = format!("{NAME}+{}+{}", hex::encode(id), STANDARD.encode(raw));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new((0, [0; 32], 0)));
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (_, body) = support::http::request(&stream);
            let (status, answer) =
                add_checkpoint(std::str::from_utf8(&body).unwrap(), &log, &key, &mut shared.lock().unwrap());
            let head = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat());
        }
    });
    Witness { address, vkey, seen }
}

/// c2sp.org/tlog-witness, "add-checkpoint".
fn add_checkpoint(
    body: &str,
    log: &NoteVerifier,
    key: &Ed25519Signer,
    seen: &mut (u64, Hash, u32),
) -> (u16, String) {
    seen.2 += 1;
    let (head, note) = body.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let path: Vec<Hash> = lines.map(|line| STANDARD.decode(line).unwrap().try_into().unwrap()).collect();
    let Ok(opened) = log.open(note) else { return (403, String::new()) };
    let head = Checkpoint::parse(&opened.text).unwrap();
    if old != seen.0 {
        return (409, format!("{}\n", seen.0));
    }
    if seen.0 > 0 && tlog::verify_consistency::<Sha256>(old, head.size, &path, &seen.1, &head.root).is_err() {
        return (422, String::new());
    }
    (seen.0, seen.1) = (head.size, head.root);
    let message = format!("cosignature/v1\ntime {TIME}\n{}", opened.text);
    let blob = [&key_id(key).0[..], &TIME.to_be_bytes(), &key.sign(message.as_bytes()).unwrap()].concat();
    (200, format!("\u{2014} {NAME} {}\n", STANDARD.encode(blob)))
}

fn json(home: &Home, arguments: &[&str], code: i32) -> Value {
    serde_json::from_slice(&home.run(&[arguments, &["--json"]].concat(), code).stdout).unwrap()
}

#[test]
fn a_file_is_proved_by_an_event_that_a_witness_saw() {
    let home = Home::new();
    let vkey = std::fs::read_to_string(home.path().join("keys/log.vkey")).unwrap();
    let witness = witness(NoteVerifier::parse(&vkey).unwrap());
    home.write("w1.vkey", format!("{}\n", witness.vkey));
    home.write("log.vkey", &vkey);
    let submit = |file: &str| {
        let line = ["anchor", "submit", file, "--witness", &witness.address, "--witness-key", "w1.vkey"];
        json(&home, &line, 0)
    };
    for file in ["one", "two", "three"] {
        home.write(file, file);
        let sent = submit(file);
        assert_eq!(sent["anchors"][0]["status"], "success", "{sent}");
    }
    // The first at once; then each is told the size first, and shown the consistency after.
    assert_eq!(witness.seen.lock().unwrap().2, 5);
    let keys = ["--ledger-key", "log.vkey", "--witness-key", "w1.vkey"];
    for file in ["one", "two", "three"] {
        let held = json(&home, &[&["anchor", "verify", file][..], &keys].concat(), 0);
        assert_eq!(held["anchors"][0]["verdict"], "holds");
        assert_eq!(held["anchors"][0]["time"], "2026-11-18T11:06:40Z");
        assert_eq!(json(&home, &["anchor", "verify", file], 1)["anchors"][0]["verdict"], "untrusted");
    }
    // The proof of one file is none of another, and a changed event is none at all.
    let mut moved: Value =
        serde_json::from_slice(&std::fs::read(home.folder().join("one.anchor.json")).unwrap()).unwrap();
    let other: Value =
        serde_json::from_slice(&std::fs::read(home.folder().join("two.anchor.json")).unwrap()).unwrap();
    moved["subject"] = other["subject"].clone();
    home.write("moved.json", moved.to_string());
    let verify = [&["anchor", "verify", "two", "--proof", "moved.json"][..], &keys].concat();
    assert_eq!(json(&home, &verify, 1)["anchors"][0]["verdict"], "broken");
    let sha256 = |value: &Value| value["subject"]["digest"]["sha256"].as_str().unwrap().to_owned();
    let mine: Value =
        serde_json::from_slice(&std::fs::read(home.folder().join("one.anchor.json")).unwrap()).unwrap();
    let event = moved["anchors"][0]["event"].as_str().unwrap().replace(&sha256(&mine), &sha256(&other));
    moved["anchors"][0]["event"] = event.into();
    home.write("moved.json", moved.to_string());
    assert_eq!(json(&home, &verify, 1)["anchors"][0]["verdict"], "broken");
}

#[test]
fn a_ledger_that_lost_its_end_is_found_out() {
    let home = Home::new();
    let vkey = std::fs::read_to_string(home.path().join("keys/log.vkey")).unwrap();
    let witness = witness(NoteVerifier::parse(&vkey).unwrap());
    home.write("w1.vkey", &witness.vkey);
    home.write("one", "one");
    // The witness saw a longer ledger than there is.
    witness.seen.lock().unwrap().0 = 1_000_000;
    let line = ["anchor", "submit", "one", "--witness", &witness.address, "--witness-key", "w1.vkey"];
    let sent = json(&home, &line, 1);
    assert_eq!(sent["anchors"][0]["status"], "failed");
    assert!(sent["anchors"][0]["reason"].as_str().unwrap().contains("the witness saw 1000000"), "{sent}");
}
