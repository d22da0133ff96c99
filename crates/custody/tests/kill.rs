//! `kill -9` under load: after every reopening each acknowledged event is there, once, and the log verifies.
//!
//! The kill leaves the page cache alone, so this shows the order of acknowledgement and recovery, not durability;
//! the crash images in `crates/ledger` show that.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::Duration;

use support::{Home, event, id, text};

/// Kills in a test run; the soak does two hundred.
fn rounds() -> u64 {
    if std::env::var_os("CUSTODY_SOAK").is_some() { 200 } else { 12 }
}

#[test]
fn acknowledged_events_survive_kills() {
    let home = Home::new();
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    let mut wait = Delays(std::process::id().into());
    for round in 0..rounds() {
        for (id, index) in feed_and_kill(&home, round, wait.next()) {
            assert_eq!(acknowledged.insert(id, index), None, "an id was acknowledged twice");
        }
        check(&home, &acknowledged);
    }
    assert!(acknowledged.len() as u64 > rounds(), "the load was too small to show anything");
}

/// Pseudo-random delays of 0 to 63 ms (an LCG with Knuth's constants), so that a failure can be repeated.
struct Delays(u64);

impl Delays {
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(self.0 >> 58)
    }
}

/// Feeds events until the kill; the receipts that came out whole.
fn feed_and_kill(home: &Home, round: u64, delay: Duration) -> Vec<(String, u64)> {
    let mut command = home.command(&["--json", "audit", "record"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        // Until the pipe breaks.
        let _ = (0..u32::MAX).try_for_each(|n| {
            // A pace, not a flood: the whole ledger is read again after every kill.
            std::thread::sleep(Duration::from_micros(50));
            writeln!(stdin, "{}", event(&id(round << 32 | u64::from(n))))
        });
    });
    let mut receipts = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    receipts.read_line(&mut first).unwrap();
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut lines = vec![first];
    let mut line = Vec::new();
    while receipts.read_until(b'\n', &mut line).unwrap() > 0 {
        if line.ends_with(b"\n") {
            lines.push(text(&line));
        }
        line.clear();
    }
    feeder.join().unwrap();
    lines.iter().map(|line| receipt(line)).collect()
}

fn receipt(line: &str) -> (String, u64) {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    (value["id"].as_str().unwrap().to_owned(), value["index"].as_u64().unwrap())
}

fn check(home: &Home, acknowledged: &HashMap<String, u64>) {
    // The first command after the kill recovers.
    let output = home.run(&["--json", "audit", "query"], 0);
    let mut seen: HashMap<String, u32> = HashMap::new();
    for line in output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        *seen.entry(value["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for id in acknowledged.keys() {
        assert_eq!(seen.get(id), Some(&1), "{id} was acknowledged");
    }
    home.run(&["audit", "verify"], 0);
}
