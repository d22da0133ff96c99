//! Throughput of SM4 in counter mode and in GCM, in MB/s (10^6 bytes), over buffers of several sizes. Each figure
//! is the best of many short runs, so that other work on the machine disturbs it little.
//!
//! `cargo run --release -p gm --example speed_sm4`; with `--no-default-features` nothing is asked of the processor, which leaves
//! the bit-sliced implementation. Beside OpenSSL and libgcrypt in one run: `cargo xtask bench gm`.

use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_millis(300);

fn main() {
    let (cipher, gcm) = (gm::Sm4::new(&[1; 16]), gm::Sm4Gcm::new(&[1; 16]));
    println!("{cipher:?} {gcm:?}");
    println!("{:>10} {:>10} {:>10} {:>10}", "bytes", "ctr", "seal", "open");
    for size in [64, 1024, 16 * 1024, 1024 * 1024] {
        let mut text = vec![0; size];
        let ctr = rate(size, || cipher.apply_ctr(&[0; 16], &mut text));
        let seal = rate(size, || {
            std::hint::black_box(gcm.encrypt_in_place(&[0; 12], b"", &mut text)).ok();
        });
        let open = open_rate(&gcm, &mut text);
        println!("{size:>10} {ctr:>10.0} {seal:>10.0} {open:>10.0}");
    }
}

/// Opening leaves another text behind, so the clock runs for the opening only.
fn open_rate(gcm: &gm::Sm4Gcm, text: &mut [u8]) -> f64 {
    let Ok(tag) = gcm.encrypt_in_place(&[0; 12], b"", text) else { return f64::NAN };
    let mut copies = vec![vec![0; text.len()]; runs(text.len())];
    let (begun, mut best) = (Instant::now(), Duration::MAX);
    while begun.elapsed() < TIME {
        copies.iter_mut().for_each(|copy| copy.copy_from_slice(text));
        let start = Instant::now();
        for copy in &mut copies {
            assert_eq!(gcm.decrypt_in_place(&[0; 12], b"", copy, &tag), Ok(()));
        }
        best = best.min(start.elapsed());
    }
    (text.len() * copies.len()) as f64 / best.as_secs_f64() / 1e6
}

fn rate(size: usize, mut run: impl FnMut()) -> f64 {
    let (begun, mut best) = (Instant::now(), Duration::MAX);
    while begun.elapsed() < TIME {
        let start = Instant::now();
        for _ in 0..runs(size) {
            run();
        }
        best = best.min(start.elapsed());
    }
    (size * runs(size)) as f64 / best.as_secs_f64() / 1e6
}

/// So many in a measurement that the clock's own time does not count, and so few that it is seldom interrupted.
fn runs(size: usize) -> usize {
    (1 << 18) / size + 1
}
