//! How fast sixteen streams are hashed under SHA-256 and SM3 at once, beside one stream after another; and the leaves of
//! a Merkle tree under SHA-256 alone.
//!
//! `cargo run --release -p gm --example speed_lanes`. Each figure is the best of many short runs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use gm::{BLOCK, Dual, LANES, Lanes};
use sha2::Digest as _;

const MEASURE: Duration = Duration::from_millis(500);
/// Bytes of each stream in a call: together they fill half of a second-level cache.
const PIECE: usize = 32 * 1024;

fn main() {
    let buffers = vec![vec![0x5a; PIECE]; LANES];
    let pieces: [&[[u8; BLOCK]]; LANES] = std::array::from_fn(|lane| buffers[lane].as_chunks().0);
    for busy in [1, 2, 4, 6, 8, 16] {
        let mut some = pieces;
        some[busy..].fill(&[]);
        let mut lanes = Lanes::new();
        let together = speed(PIECE * busy, || lanes.absorb(black_box(some)));
        let mut dual = Dual::new();
        let each = speed(PIECE * busy, || buffers[..busy].iter().for_each(|b| dual.update(black_box(b))));
        println!("{busy:2} streams   one by one {each:6.0} MB/s   together {together:6.0} MB/s");
    }
    leaves();
}

/// Leaves of 330 bytes, and so few of them that the lanes are not full.
fn leaves() {
    let bytes = vec![0x5a; 330];
    for count in [3, 4, 5, 6, 7, 8, 16, 4096] {
        let leaves = vec![bytes.as_slice(); count];
        let mut out = vec![[0; 32]; count];
        let together = speed(count, || gm::sha256::digest_prefixed(&[0], black_box(&leaves), &mut out));
        let each = speed(count, || {
            for (leaf, out) in leaves.iter().zip(&mut out) {
                let mut hasher = sha2::Sha256::new();
                hasher.update([0]);
                hasher.update(black_box(leaf));
                *out = hasher.finalize().into();
            }
        });
        println!("{count:4} leaves   one by one {each:6.2} M/s   together {together:6.2} M/s");
    }
    let row = vec![[0x5a; 32]; 8192];
    let mut out = vec![[0; 32]; 4096];
    let nodes = speed(4096, || gm::sha256::digest_pairs(&[1], black_box(&row), &mut out));
    println!("nodes together {nodes:6.2} M/s");
}

/// Megabytes, or millions, a second in the best run.
fn speed(bytes: usize, mut run: impl FnMut()) -> f64 {
    let (begin, mut best) = (Instant::now(), Duration::MAX);
    while begin.elapsed() < MEASURE {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
    }
    bytes as f64 / best.as_secs_f64() / 1e6
}
