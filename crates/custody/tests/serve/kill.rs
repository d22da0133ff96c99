//! `kill -9` of the daemon under load over HTTP: what was acknowledged is there, once.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::rig::{Daemon, home, stored};
use crate::support::{event, id};

/// Kills in a test run; the soak does fifty.
fn rounds() -> u64 {
    if std::env::var_os("CUSTODY_SOAK").is_some() { 50 } else { 4 }
}

/// Posts on one connection until it breaks; the ids that were acknowledged.
fn feed(mut stream: TcpStream, token: &str, base: u64, enough: &AtomicBool) -> Vec<(String, u64)> {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut acknowledged = Vec::new();
    let mut next = base;
    while !enough.load(Ordering::Relaxed) {
        let body: String = (0..5).map(|n| event(&id(next + n)) + "\n").collect();
        next += 5;
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
            break;
        }
        let Some(answer) = read_answer(&mut input) else { break };
        for verdict in answer["verdicts"].as_array().unwrap() {
            acknowledged
                .push((verdict["id"].as_str().unwrap().to_owned(), verdict["index"].as_u64().unwrap()));
        }
    }
    acknowledged
}

fn read_answer(input: &mut BufReader<TcpStream>) -> Option<serde_json::Value> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

#[test]
fn acknowledged_events_survive_the_death_of_the_daemon() {
    let (home, token) = home();
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    for round in 0..rounds() {
        let mut daemon = Daemon::start(&home, &[]);
        let enough = AtomicBool::new(false);
        let receipts: Vec<(String, u64)> = std::thread::scope(|scope| {
            let feeders: Vec<_> = (0..4u64)
                .map(|n| {
                    let (stream, token, enough) = (daemon.connect(), &token, &enough);
                    scope.spawn(move || feed(stream, token, (round * 4 + n) << 32, enough))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(60 + round * 37 % 100));
            daemon.child.kill().unwrap();
            daemon.child.wait().unwrap();
            enough.store(true, Ordering::Relaxed);
            feeders.into_iter().flat_map(|feeder| feeder.join().unwrap()).collect()
        });
        for (id, index) in receipts {
            assert_eq!(acknowledged.insert(id, index), None);
        }
    }
    assert!(acknowledged.len() > 20, "the load was too small to show anything: {}", acknowledged.len());
    let mut seen: HashMap<String, u32> = HashMap::new();
    for event in stored(&home, "AUTH.LOGIN.FAIL") {
        *seen.entry(event["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for id in acknowledged.keys() {
        assert_eq!(seen.get(id), Some(&1), "{id} was acknowledged");
    }
    home.run(&["audit", "verify"], 0);
}
