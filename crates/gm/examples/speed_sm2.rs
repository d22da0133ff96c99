//! How fast SM2 is here, beside `openssl speed` in the same run.
//!
//! `cargo run --release -p gm --example speed_sm2`. Each figure is the best of many short runs, so that other work on
//! the machine disturbs it little; `openssl` counts processor time for the same end.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use gm::sm2::{DEFAULT_ID, PrivateKey};

const MEASURE: Duration = Duration::from_secs(1);

fn main() -> Result<(), gm::sm2::Sm2Error> {
    let key = PrivateKey::from_bytes(&[0x5a; 32])?;
    let message = [0x77; 32];
    let mut fresh = [0; 32];
    let signature = key.sign(DEFAULT_ID, &message, &fresh)?;
    let mut hasher = key.public_key().hasher(DEFAULT_ID)?;
    hasher.update(&message);
    let digest = hasher.finalize();
    let sign = rate(|| {
        fresh[0] = fresh[0].wrapping_add(1);
        black_box(key.sign_digest(black_box(&digest), &fresh));
    });
    let verify = rate(|| {
        let _ = black_box(key.public_key().verify_digest(black_box(&digest), &signature));
    });
    let agree = rate(|| {
        black_box(key.diffie_hellman(black_box(key.public_key())));
    });
    let new = rate(|| {
        let _ = black_box(PrivateKey::from_bytes(black_box(&[0x5a; 32])));
    });
    println!(
        "gm        sign {sign:9.0}/s   verify {verify:9.0}/s   Diffie-Hellman {agree:9.0}/s   new key {new:9.0}/s"
    );
    match openssl() {
        Some((their_sign, their_verify)) => println!(
            "openssl   sign {their_sign:9.0}/s   verify {their_verify:9.0}/s   ratios {:.1} and {:.1}",
            sign / their_sign,
            verify / their_verify
        ),
        None => println!("openssl   not here, or without SM2"),
    }
    Ok(())
}

/// Calls a second in the best batch.
fn rate(mut call: impl FnMut()) -> f64 {
    const BATCH: u32 = 16;
    let (begin, mut best) = (Instant::now(), Duration::MAX);
    while begin.elapsed() < MEASURE {
        let start = Instant::now();
        for _ in 0..BATCH {
            call();
        }
        best = best.min(start.elapsed());
    }
    f64::from(BATCH) / best.as_secs_f64()
}

/// Signatures and verifications a second, from the last two columns of `openssl speed`.
fn openssl() -> Option<(f64, f64)> {
    let output = Command::new("openssl").args(["speed", "-seconds", "1", "sm2"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut columns = text.lines().last()?.split_whitespace().rev().map(str::parse);
    let (verify, sign) = (columns.next()?.ok()?, columns.next()?.ok()?);
    Some((sign, verify))
}
