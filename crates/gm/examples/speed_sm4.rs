//! Throughput of SM4 in counter mode and in GCM, in MB/s (10^6 bytes), over buffers of several sizes.
//!
//! `cargo run --release -p gm --example speed_sm4`, beside `openssl speed -evp sm4-ctr -bytes 16384`.

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
    let (mut spent, mut bytes) = (Duration::ZERO, 0);
    while spent < TIME {
        let Ok(tag) = gcm.encrypt_in_place(&[0; 12], b"", text) else { return f64::NAN };
        let start = Instant::now();
        let opened = gcm.decrypt_in_place(&[0; 12], b"", text, &tag);
        spent += start.elapsed();
        assert_eq!(opened, Ok(()));
        bytes += text.len();
    }
    bytes as f64 / spent.as_secs_f64() / 1e6
}

fn rate(size: usize, mut run: impl FnMut()) -> f64 {
    let (start, mut runs) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        for _ in 0..(65_536 / size).max(1) {
            run();
            runs += 1;
        }
    }
    size as f64 * f64::from(runs) / start.elapsed().as_secs_f64() / 1e6
}
