//! Figures behind `docs/design/0002-tiles-on-disk.md`, and a first idea of what a machine does.
//!
//! ```console
//! $ cargo run --release -p ledger --example throughput -- [DIR] [LEAVES]
//! ```
#![cfg_attr(not(target_os = "linux"), allow(unused, reason = "the figures are of Linux"))]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger::{Log, Options};
use signing::Ed25519Signer;
use signing::note::NoteSigner;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| ".".to_owned());
    let leaves: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let home = tempfile::tempdir_in(dir).expect("a directory to work in");
    appends(home.path(), leaves);
    latency(home.path(), 2000);
    tiles(home.path(), leaves / 256);
}

fn open(home: &Path) -> Log {
    std::fs::create_dir_all(home).expect("home");
    let signer = NoteSigner::new("log.example", Ed25519Signer::generate().expect("key")).expect("name");
    Log::open(home, Options { create: true, ..Options::new("log.example", signer) }).expect("open").0
}

/// Leaves of 200 bytes in batches of 1000 from two threads, until all are under a checkpoint.
fn appends(dir: &Path, leaves: u64) {
    let log = open(&dir.join("appends"));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut tickets = std::collections::VecDeque::new();
                for n in 0..leaves / 2000 {
                    let batch = (0..1000u64).map(|i| leaf(n * 1000 + i)).collect();
                    tickets.push_back(log.submit_all(batch).expect("submit"));
                    if tickets.len() > 8 {
                        tickets.pop_front().map(|ticket| ticket.wait().expect("durable"));
                    }
                }
                for ticket in tickets {
                    ticket.wait().expect("durable");
                }
            });
        }
    });
    let durable = started.elapsed();
    log.publish().expect("publish");
    let published = started.elapsed();
    let size = log.durable_size();
    let rate = |time: Duration| size as f64 / time.as_secs_f64();
    println!(
        "append: {size} leaves of 200 bytes, {:.0}/s durable, {:.0}/s published",
        rate(durable),
        rate(published)
    );
}

fn leaf(i: u64) -> Vec<u8> {
    let mut leaf = vec![b'e'; 200];
    leaf[..8].copy_from_slice(&i.to_be_bytes());
    leaf
}

#[cfg(target_os = "linux")]
/// One leaf at a time, against a plain write and `fdatasync` of the same bytes into a reserved file.
fn latency(dir: &Path, count: u64) {
    let log = open(&dir.join("latency"));
    let acks = times(count, |i| {
        log.append(vec![leaf(i)]).expect("append");
    });
    let mut file = File::create(dir.join("plain")).expect("file");
    file.write_all(&vec![0; 1 << 20]).and_then(|()| file.sync_all()).expect("reserve");
    let plain = times(count, |i| {
        std::os::unix::fs::FileExt::write_all_at(&file, &leaf(i), i * 200).expect("write");
        file.sync_data().expect("sync");
    });
    for (name, mut times) in [("ack of one leaf", acks), ("plain write and fdatasync", plain)] {
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 100];
        println!("{name}: p50 {:?}, p99 {:?}", at(50), at(99));
    }
}

fn times(count: u64, mut body: impl FnMut(u64)) -> Vec<Duration> {
    let timed = |i| {
        let started = Instant::now();
        body(i);
        started.elapsed()
    };
    (0..count).map(timed).collect()
}

#[cfg(target_os = "linux")]
/// What a second at full rate writes (a bundle of 256 entries of 200 bytes and two tiles each), as files and packed.
fn tiles(dir: &Path, tiles: u64) {
    let (bundle, tile) = (vec![1u8; 256 * 202], vec![2u8; 8192]);
    let started = Instant::now();
    let root = File::open(dir).expect("dir");
    for kind in ["entries", "sha256", "sm3"] {
        let bytes = if kind == "entries" { &bundle } else { &tile };
        for n in 0..tiles {
            let at = dir.join(format!("{kind}/x{:03}", n / 1000));
            if n % 1000 == 0 {
                std::fs::create_dir_all(&at).expect("dir");
            }
            std::fs::write(at.join(format!("{:03}", n % 1000)), bytes).expect("tile");
        }
    }
    let written = started.elapsed();
    nix::unistd::syncfs(&root).expect("sync");
    println!("{} files: written {written:?}, with syncfs {:?}", 3 * tiles, started.elapsed());

    let started = Instant::now();
    let mut files = ["a", "b", "c"].map(|name| File::create(dir.join(name)).expect("file"));
    for _ in 0..tiles {
        files[0].write_all(&bundle).expect("write");
        files[1].write_all(&tile).expect("write");
        files[2].write_all(&tile).expect("write");
    }
    let written = started.elapsed();
    files.iter().for_each(|file| file.sync_data().expect("sync"));
    println!("packed in 3 files: written {written:?}, with fdatasync {:?}", started.elapsed());

    for (count, together) in [(8, false), (8, true), (24, false), (24, true), (96, false), (96, true)] {
        let mut costs = times(15, |round| {
            let at = dir.join(format!("few{count}{together}{round}"));
            std::fs::create_dir(&at).expect("dir");
            for n in 0..count {
                let mut file = File::create(at.join(n.to_string())).expect("file");
                file.write_all(&tile).expect("write");
                if !together {
                    file.sync_data().expect("sync");
                }
            }
            if together {
                nix::unistd::syncfs(&root).expect("sync");
            }
        });
        costs.sort_unstable();
        println!("{count} files, {}: {:?}", if together { "one syncfs" } else { "fdatasync each" }, costs[7]);
    }
}
