//! How fast sixteen streams are hashed under SHA-256 and SM3 at once, beside one stream after another.
//!
//! `cargo run --release -p gm --example speed_lanes`. Each figure is the best of many short runs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use gm::{BLOCK, Dual, LANES, Lanes};

const MEASURE: Duration = Duration::from_secs(1);
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
