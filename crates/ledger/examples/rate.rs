//! Figures behind `docs/design/0004-segments-and-rows.md`: the ledger alone beside the naive loop, in turn.
//!
//! ```console
//! $ cargo run --release -p ledger --example rate -- [DIR] [LEAVES] [ROUNDS]
//! ```
//!
//! The client is in the process: two threads offer batches of 1,000 leaves of 330 bytes, eight batches on their way
//! each. The naive loop writes the same batches, hashes them into one SHA-256 tree and syncs after each, on one thread.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger::{Leaves, Log, Options, Trees};
use signing::Ed25519Signer;
use signing::note::NoteSigner;
use tlog::{Frontier, Sha256, TreeHash as _};

const BATCH: u64 = 1000;
/// Bytes of a batch.
const BATCH_BYTES: usize = 1000 * (LEAF + 2);
const LEAF: usize = 330;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| ".".to_owned());
    let leaves: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(2_000_000);
    let rounds: u32 = args.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    for _ in 0..rounds {
        for trees in [Trees::Sha256, Trees::Both] {
            let home = tempfile::tempdir_in(&dir).expect("a directory to work in");
            measure(&format!("{trees:?}"), leaves, || ledger(home.path(), leaves, trees));
            verify(home.path(), leaves);
        }
        let home = tempfile::tempdir_in(&dir).expect("a directory to work in");
        measure("naive, SHA-256", leaves, || naive(&home.path().join("log"), leaves));
    }
    let home = tempfile::tempdir_in(&dir).expect("a directory to work in");
    singles(home.path(), 2000);
}

fn signer() -> NoteSigner {
    NoteSigner::new("log.example", Ed25519Signer::from_seed(&[7; 32])).expect("name")
}

fn open(home: &Path, trees: Trees) -> Log {
    Log::open(home, Options { create: true, trees, ..Options::new("log.example", signer()) }).expect("open").0
}

/// Seconds of both processors that this process has used.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(") ").next().unwrap_or("").split(' ').map(|f| f.parse().unwrap_or(0.0)).collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}

fn measure(what: &str, leaves: u64, run: impl FnOnce() -> Vec<Duration>) {
    let (wall, used) = (Instant::now(), cpu());
    let mut acks = run();
    let (wall, used) = (wall.elapsed().as_secs_f64(), cpu() - used);
    acks.sort();
    let at = |share: usize| acks[(acks.len() * share / 100).min(acks.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "{what:<16} {:.2} M/s on the clock, {:.2} us of processor a leaf, ack p50 {:.2} ms, p99 {:.2} ms",
        leaves as f64 / wall / 1e6,
        used / leaves as f64 * 1e6,
        at(50),
        at(99)
    );
}

fn leaf(i: u64) -> [u8; LEAF] {
    let mut leaf = [b'e'; LEAF];
    leaf[..8].copy_from_slice(&i.to_be_bytes());
    leaf
}

fn ledger(home: &Path, leaves: u64, trees: Trees) -> Vec<Duration> {
    let log = open(home, trees);
    let acks = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| offer(&log, leaves / 2))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    log.close().expect("close");
    acks
}

fn offer(log: &Log, leaves: u64) -> Vec<Duration> {
    let (mut flying, mut acks) = (VecDeque::new(), Vec::new());
    for n in 0..leaves / BATCH {
        let mut batch = Leaves::with_capacity(BATCH_BYTES);
        (0..BATCH).for_each(|i| batch.push(&leaf(n * BATCH + i)));
        flying.push_back((Instant::now(), log.submit_leaves(batch).expect("submit")));
        if flying.len() >= 8 {
            acks.extend(flying.pop_front().map(settle));
        }
    }
    acks.extend(flying.into_iter().map(settle));
    acks
}

fn settle((offered, ticket): (Instant, ledger::Ticket)) -> Duration {
    ticket.wait().expect("durable");
    offered.elapsed()
}

fn naive(path: &Path, leaves: u64) -> Vec<Duration> {
    let (mut file, mut tree, mut acks) =
        (File::create(path).expect("create"), Frontier::<Sha256>::new(), Vec::new());
    for n in 0..leaves / BATCH {
        let begun = Instant::now();
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        for i in 0..BATCH {
            let leaf = leaf(n * BATCH + i);
            tree.push(Sha256::leaf(&leaf));
            batch.extend_from_slice(&leaf);
        }
        file.write_all(&batch).and_then(|()| file.sync_data()).expect("write");
        acks.push(begun.elapsed());
    }
    assert_ne!(tree.root(), Sha256::empty());
    acks
}

fn verify(home: &Path, leaves: u64) {
    let (wall, used) = (Instant::now(), cpu());
    let options = ledger::VerifyOptions::default();
    let report = ledger::verify(home, &signer().verifier(), &options, &mut |_, _| ()).expect("verify");
    assert!(report.holds());
    let rate = |seconds: f64| leaves as f64 / seconds / 1e6;
    println!(
        "  verified       {:.2} M/s on the clock, {:.2} M/s a core",
        rate(wall.elapsed().as_secs_f64()),
        rate(cpu() - used)
    );
}

/// One leaf at a time, beside a plain append and `fdatasync` of the same bytes, in turn.
fn singles(home: &Path, count: u64) {
    std::fs::create_dir(home.join("log")).expect("a folder");
    let log = open(&home.join("log"), Trees::Both);
    let mut file = File::create(home.join("plain")).expect("create");
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for i in 0..count {
        let begun = Instant::now();
        log.append(vec![leaf(i).to_vec()]).expect("append");
        ours.push(begun.elapsed());
        let begun = Instant::now();
        file.write_all(&leaf(i)).and_then(|()| file.sync_data()).expect("write");
        plain.push(begun.elapsed());
    }
    ours.sort();
    plain.sort();
    let middle = |times: &[Duration]| times[times.len() / 2].as_secs_f64() * 1e6;
    println!(
        "single leaf      p50 {:.0} us; plain append and fdatasync {:.0} us",
        middle(&ours),
        middle(&plain)
    );
}
