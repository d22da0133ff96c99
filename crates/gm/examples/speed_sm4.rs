//! Throughput of SM4 in counter mode and in GCM, in MB/s (10^6 bytes), over buffers of several sizes.
//!
//! `cargo run --release -p gm --example speed_sm4`; with `--no-default-features` nothing is asked of the processor, which leaves
//! the bit-sliced implementation. Beside OpenSSL and libgcrypt in one run: `cargo xtask bench gm`.

mod clock;

use std::time::Duration;

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
        let repeats = (1 << 20) / text.len() + 1;
        let sealed = text.to_vec();
        let mut copies = vec![sealed; repeats];
        let start = clock::now();
        for copy in &mut copies {
            assert_eq!(gcm.decrypt_in_place(&[0; 12], b"", copy, &tag), Ok(()));
        }
        spent += clock::now() - start;
        bytes += text.len() * repeats;
    }
    bytes as f64 / spent.as_secs_f64() / 1e6
}

fn rate(size: usize, mut run: impl FnMut()) -> f64 {
    let (start, mut runs) = (clock::now(), 0_u32);
    while clock::now() - start < TIME {
        for _ in 0..((1 << 20) / size).max(1) {
            run();
            runs += 1;
        }
    }
    size as f64 * f64::from(runs) / (clock::now() - start).as_secs_f64() / 1e6
}
