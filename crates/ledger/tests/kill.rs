//! `kill -9` at random moments, at least 200 times: every acknowledged leaf is there once after each reopening.
//!
//! A kill does not test durability (the page cache survives it); the crash images do. This tests that a real
//! process on real files leaves nothing that recovery cannot mend.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![cfg(unix)]

mod common;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::ORIGIN;
use ledger::{Log, Options};
use signing::Ed25519Signer;
use signing::note::NoteSigner;

const CHILD: &str = "CUSTODY_KILL_TEST_HOME";
const CYCLES: u64 = 200;

fn options(dir: &Path) -> Options {
    let key = std::fs::read_to_string(dir.join("key.pem")).unwrap();
    let signer = NoteSigner::new(ORIGIN, Ed25519Signer::from_pkcs8_pem(&key).unwrap()).unwrap();
    Options {
        publish_every: Some(Duration::from_millis(7)),
        segment_bytes: 128 << 10,
        create: true,
        ..Options::new(ORIGIN, signer)
    }
}

/// The victim: not a test by itself. Appends from three threads and prints each acknowledgement.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let dir = Path::new(&dir);
    let (log, _) = Log::open(&dir.join("home"), options(dir)).unwrap();
    let run = std::process::id();
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let log = &log;
            scope.spawn(move || {
                for n in 0u64.. {
                    let count = 1 + (n * 7 + thread) % 5;
                    let fill = usize::try_from(n * 131 % 900).unwrap();
                    let leaf = |i| format!("{run}/{thread}/{n}/{i} {}", "z".repeat(fill)).into_bytes();
                    let range = log.append((0..count).map(leaf).collect()).unwrap();
                    let first = format!("{run}/{thread}/{n}/0");
                    let line = format!("ack {} {count} {first}\n", range.start);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// Runs the victim for a while, kills it, and answers what it had acknowledged: index, count, first leaf's name.
fn run_and_kill(dir: &Path, after: Duration) -> Vec<(u64, u64, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout);
        let (mut acks, mut line) = (Vec::new(), String::new());
        while lines.read_line(&mut line).unwrap() > 0 {
            let ack = line.strip_suffix('\n').and_then(|line| line.split("ack ").nth(1));
            if let Some([index, count, name]) = ack.map(|a| a.split(' ').collect::<Vec<_>>()).as_deref() {
                acks.push((index.parse().unwrap(), count.parse().unwrap(), (*name).to_owned()));
            }
            line.clear();
        }
        acks
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn name(entry: &[u8]) -> String {
    String::from_utf8(entry.to_vec()).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn killed_two_hundred_times_it_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let key = Ed25519Signer::generate().unwrap().to_pkcs8_pem().unwrap();
    std::fs::write(dir.path().join("key.pem"), key.as_bytes()).unwrap();
    let mut seen: HashMap<String, u64> = HashMap::new();
    let (mut size, mut acknowledged, mut replays, mut torn, mut dice) =
        (0, 0, 0, 0, 0x1234_5678_9abc_def1u64);
    let mut last = None;
    let started = Instant::now();
    for cycle in 0..CYCLES {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let acks = run_and_kill(dir.path(), Duration::from_millis(5 + dice % 70));
        if cycle % 25 == 0 && cycle > 0 {
            // Also as the killed owner left it, before anyone opens it.
            let report = verify_with(&home, dir.path());
            assert!(report.holds(), "cycle {cycle}: {:?}", report.damage);
        }
        let (log, recovery) = Log::open(&home, options(dir.path())).unwrap();
        replays += u64::from(recovery.replayed > 0);
        torn += u64::from(recovery.torn.is_some());
        let end = log.durable_size();
        for (index, entry) in (size..end).zip(log.entries(size..end)) {
            let doubled = seen.insert(name(&entry.unwrap()), index);
            assert_eq!(doubled, None, "cycle {cycle}: entry {index} is there twice");
        }
        for (index, count, first) in &acks {
            assert_eq!(seen.get(first), Some(index), "cycle {cycle}: acknowledged and not there");
            assert!(index + count <= end, "cycle {cycle}: only a part of a batch is there");
            acknowledged += count;
        }
        let latest = log.latest_checkpoint();
        if let Some(old) = last.replace(latest.clone()) {
            log.prove_consistency(old.size()).unwrap().verify(&old.checkpoint, &latest.checkpoint).unwrap();
        }
        size = end;
        log.close().unwrap();
    }
    let report = verify_with(&home, dir.path());
    assert!(report.holds(), "{:?}", report.damage);
    let elapsed = started.elapsed();
    println!(
        "{CYCLES} kills in {elapsed:?}: {acknowledged} acknowledged of {size}, {replays} replays, {torn} torn"
    );
    assert!(
        acknowledged > 1000 && replays > 20,
        "{acknowledged} acknowledged, {replays} replays: too idle to tell"
    );
}

fn verify_with(home: &Path, dir: &Path) -> ledger::Report {
    let verifier = options(dir).signer.verifier();
    ledger::verify(home, &verifier, &ledger::VerifyOptions::default(), &mut |_, _| ()).unwrap()
}
