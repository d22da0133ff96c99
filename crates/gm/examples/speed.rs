//! How fast SM3 is here: one stream beside `openssl speed`, and many messages together beside one by one.
//!
//! `cargo run --release -p gm --example speed`. Each figure is the best of many short runs, so that other work on the
//! machine disturbs it little; `openssl` counts processor time for the same end.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use gm::sm3::{self, Sm3};

const MEASURE: Duration = Duration::from_millis(600);

fn main() {
    let buffer = vec![0x5a; 16 * 1024];
    let ours = speed(buffer.len(), || {
        black_box(Sm3::digest(black_box(&buffer)));
    });
    println!("one stream of 16 KiB buffers");
    println!("  gm       {ours:8.0} MB/s");
    match openssl() {
        Some(peer) => println!("  openssl  {peer:8.0} MB/s   ratio {:.2}", ours / peer),
        None => println!("  openssl  not here, or without SM3"),
    }
    for size in [32, 64, 200, 1024, 16 * 1024] {
        messages(size);
    }
    pairs();
}

fn messages(size: usize) {
    let messages = vec![vec![0x5a; size]; 1024];
    let inputs: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut out = vec![[0; 32]; inputs.len()];
    let total = size * inputs.len();
    let each = speed(total, || {
        for (input, out) in inputs.iter().zip(&mut out) {
            *out = Sm3::digest(black_box(input));
        }
    });
    let together = speed(total, || sm3::digest_many(black_box(&inputs), &mut out));
    report(&format!("1024 messages of {size} bytes"), size, each, together);
}

fn pairs() {
    let row = vec![[0x5a; 32]; 2048];
    let mut out = vec![[0; 32]; 1024];
    let each = speed(64 * out.len(), || {
        for (pair, out) in row.as_chunks::<2>().0.iter().zip(&mut out) {
            let mut hasher = Sm3::new();
            hasher.update(&[1]);
            hasher.update(black_box(pair.as_flattened()));
            *out = hasher.finalize();
        }
    });
    let together = speed(64 * out.len(), || sm3::digest_pairs(&[1], black_box(&row), &mut out));
    report("1024 nodes of a tree, H(0x01 || left || right)", 64, each, together);
}

fn report(what: &str, size: usize, each: f64, together: f64) {
    println!("{what}");
    for (how, rate) in [("one by one", each), ("together", together)] {
        println!("  {how:10} {rate:8.0} MB/s  {:8.2} M/s", rate / size as f64);
    }
    println!("  ratio {:.2}", together / each);
}

/// Megabytes a second in the best run.
fn speed(bytes: usize, mut run: impl FnMut()) -> f64 {
    let (begin, mut best) = (Instant::now(), Duration::MAX);
    while begin.elapsed() < MEASURE {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
    }
    bytes as f64 / best.as_secs_f64() / 1e6
}

fn openssl() -> Option<f64> {
    let output = Command::new("openssl")
        .args(["speed", "-evp", "sm3", "-bytes", "16384", "-seconds", "1"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kilobytes: f64 = text.lines().last()?.split_whitespace().last()?.strip_suffix('k')?.parse().ok()?;
    output.status.success().then_some(kilobytes / 1e3)
}
