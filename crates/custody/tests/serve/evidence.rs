//! `POST /v1/evidence`: taken when it is durable, anchored behind that, once for each id, and not lost while the chain
//! or the daemon is down. The chain is played here: a service that wants a JWT.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Daemon, home, stored};
use crate::support::Home;

/// What the chain keeps: by id, the digest, and how often it was asked for since.
#[derive(Default)]
struct Kept {
    down: bool,
    by_id: BTreeMap<String, (String, u32)>,
    submissions: u32,
}

fn chain() -> (String, Arc<Mutex<Kept>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::new(Mutex::new(Kept::default()));
    let shared = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length, mut bearer) = (String::new(), 0, false);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let lower = line.to_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                bearer |= lower.trim() == "authorization: bearer good";
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let (status, answer) = act(&first, &body, bearer, &mut shared.lock().unwrap());
            let head = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat());
        }
    });
    (address, kept)
}

fn act(first: &str, body: &[u8], bearer: bool, kept: &mut Kept) -> (u16, String) {
    if first.starts_with("POST /token ") {
        return (200, json!({"access_token": "good", "expires_in": 3600}).to_string());
    }
    if kept.down || !bearer {
        return (if kept.down { 503 } else { 401 }, "{}".into());
    }
    if first.starts_with("POST /v1/evidence ") {
        let asked: Value = serde_json::from_slice(body).unwrap();
        let (id, hash) = (asked["bizId"].as_str().unwrap(), asked["contentHash"].as_str().unwrap());
        kept.submissions += 1;
        let known = kept.by_id.entry(id.to_owned()).or_insert_with(|| (hash.to_owned(), 0));
        return match known.0 == hash {
            true => (200, json!({"status": "pending", "txId": format!("tx-{id}")}).to_string()),
            false => (409, "{}".into()),
        };
    }
    let id = first.split(' ').nth(1).unwrap().rsplit('/').next().unwrap().to_owned();
    let (_, asked) = kept.by_id.get_mut(&id).unwrap();
    *asked += 1;
    // In a block when it is asked for the second time.
    let answer = match *asked {
        1 => json!({"status": "pending", "txId": format!("tx-{id}")}),
        _ => json!({"status": "success", "txId": format!("tx-{id}"), "blockHeight": 1_234_567}),
    };
    (200, answer.to_string())
}

fn configured(home: &Home, address: &str) {
    let secret = home.write("home/chain.secret", "s3cret\n");
    std::fs::set_permissions(secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = home.path().join("custody.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let more = format!(
        "[[anchor]]\nname = \"chain\"\nkind = \"rest\"\nurl = \"{address}\"\ntoken_url = \"{address}/token\"\n\
         access_id = \"custody\"\nsecret_file = \"chain.secret\"\n"
    );
    std::fs::write(path, before.replace("[serve]\n", "[serve]\nevidence = \"chain\"\n") + &more).unwrap();
}

fn post(daemon: &Daemon, token: &str, body: &Value) -> (u16, Value) {
    let answer = daemon.post("/v1/evidence", "application/json", token, body.to_string().as_bytes());
    (answer.status, answer.json())
}

/// Waits until a request is final.
fn settled(daemon: &Daemon, token: &str, id: &str) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let now = daemon.get(&format!("/v1/evidence/{id}"), token).json();
        if now["status"] != "pending" {
            return now;
        }
        assert!(Instant::now() < end, "{now}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // SHA-256 of `abc`, FIPS 180-4

#[test]
fn evidence_is_anchored_once_for_each_id_and_another_content_is_a_conflict() {
    let ((home, token), (address, kept)) = (home(), chain());
    configured(&home, &address);
    let daemon = Daemon::start(&home, &[]);
    let order = json!({"bizId": "order_20241105_8892", "contentHash": HASH, "timestamp": 1_730_800_000_000_i64,
        "metadata": {"source": "erp-system"}});
    let (status, taken) = post(&daemon, &token, &order);
    assert_eq!((status, &taken["status"], &taken["txId"]), (202, &json!("pending"), &Value::Null));
    let last = settled(&daemon, &token, "order_20241105_8892");
    assert_eq!((&last["status"], &last["blockHeight"]), (&json!("success"), &json!(1_234_567)));
    assert_eq!((&last["txId"], &last["contentHash"]), (&json!("tx-order_20241105_8892"), &json!(HASH)));
    // The content instead of its digest is the same request; another content is a conflict, here and now.
    let (status, again) = post(&daemon, &token, &json!({"bizId": "order_20241105_8892", "content": "abc"}));
    assert_eq!((status, &again["status"]), (200, &json!("success")));
    let (status, _) = post(&daemon, &token, &json!({"bizId": "order_20241105_8892", "content": "abd"}));
    assert_eq!(status, 409);
    assert_eq!(kept.lock().unwrap().submissions, 1);
    for bad in [
        json!({"bizId": "a"}),
        json!({"bizId": "a", "contentHash": "xyz"}),
        json!({"bizId": "a", "contentHash": HASH, "content": "other"}),
        json!({"bizId": "no spaces", "content": "abc"}),
        json!({"bizId": "a", "content": "abc", "unknown": 1}),
    ] {
        assert_eq!(post(&daemon, &token, &bad).0, 400, "{bad}");
    }
    assert_eq!(daemon.get("/v1/evidence/nobody", &token).status, 404);
    drop(daemon);
    let acts: Vec<Value> = stored(&home, "ANCHOR.").iter().map(|event| event["act"].clone()).collect();
    assert_eq!(acts, ["ANCHOR.REQUESTED", "ANCHOR.CONFIRMED"]);
}

#[test]
fn nothing_is_lost_while_the_chain_is_down_and_the_daemon_is_killed() {
    let ((home, token), (address, kept)) = (home(), chain());
    configured(&home, &address);
    kept.lock().unwrap().down = true;
    let daemon = Daemon::start(&home, &[]);
    for n in 0..5 {
        let (status, _) =
            post(&daemon, &token, &json!({"bizId": format!("n{n}"), "content": format!("{n}")}));
        assert_eq!(status, 202);
    }
    drop(daemon); // killed
    kept.lock().unwrap().down = false;
    let daemon = Daemon::start(&home, &[]);
    for n in 0..5 {
        assert_eq!(settled(&daemon, &token, &format!("n{n}"))["status"], "success");
    }
    drop(daemon);
    let all = stored(&home, "ANCHOR.");
    let count = |act: &str| all.iter().filter(|event| event["act"] == act).count();
    assert_eq!((count("ANCHOR.REQUESTED"), count("ANCHOR.CONFIRMED")), (5, 5));
}

#[test]
fn without_a_chain_there_is_no_such_resource() {
    let (home, token) = home();
    let reader = crate::rig::token(&home, "reader", "read");
    let daemon = Daemon::start(&home, &[]);
    assert_eq!(daemon.post("/v1/evidence", "application/json", &token, b"{}").status, 404);
    assert_eq!(daemon.post("/v1/evidence", "application/json", &reader, b"{}").status, 403);
}
