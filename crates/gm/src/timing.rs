//! Whether the time of an operation tells a secret: fixed against random secrets, compared by Welch's t-test, as in
//! "Dude, is my code constant time?" (Reparaz, Balasch, Verbauwhede, 2017).
//!
//! The operations are measured for long under `make soak` alone. Every run takes a short sample of them and looks for what no
//! noise hides, a class that takes half as long again as the other; and every run checks that planted leaks are found.

use std::hint::black_box;
use std::time::Instant;

use crate::sm2::PrivateKey;
use crate::sm2::tests::{leaking_subject, nonce_leak_subject};
use crate::sm4::{Sm4, portable_cipher};

/// Above this, the authors call a leak certain.
const CERTAIN: f64 = 10.0;

/// A generator that needs to be even, not secret (xorshift64*).
struct Coin(u64);

impl Coin {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes<const LEN: usize>(&mut self) -> [u8; LEN] {
        std::array::from_fn(|_| self.next().to_be_bytes()[0])
    }
}

/// How often one class must be slower than the other to be called a leak in a short sample.
const VISIBLE: f64 = 1.5;

/// Nanoseconds of each class. Both hold as many subjects, at addresses alike, and which is measured next is drawn.
fn times<T>(fixed: &[T], random: &[T], samples: usize, mut operation: impl FnMut(&T)) -> [Vec<f64>; 2] {
    let mut coin = Coin(0x9e37_79b9_7f4a_7c15);
    let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for sample in 0..samples + samples / 10 {
        let draw = coin.next();
        let class = usize::from(draw >> 63 == 1);
        let subjects = [fixed, random][class];
        let subject = &subjects[usize::try_from(draw >> 8 & 0xffff).unwrap() % subjects.len()];
        let start = Instant::now();
        operation(black_box(subject));
        let time = start.elapsed().as_secs_f64() * 1e9;
        // The first tenth warms the caches.
        if sample > samples / 10 {
            times[class].push(time);
        }
    }
    times
}

/// How sure it is that the two classes take different times; the slowest fifth, interrupted by other work, is left out of
/// both.
fn statistic<T>(fixed: &[T], random: &[T], samples: usize, operation: impl FnMut(&T)) -> f64 {
    let mut times = times(fixed, random, samples, operation);
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let limit = all[all.len() / 5 * 4];
    times.iter_mut().for_each(|times| times.retain(|time| *time <= limit));
    welch(&times[0], &times[1]).abs()
}

/// How many times slower the slower class is, by the time below which a quarter of it stays: other work on the machine makes
/// a measurement slower, never quicker, and seldom three of four. The least of five tries, for the same reason.
fn slowness<T>(fixed: &[T], random: &[T], samples: usize, mut operation: impl FnMut(&T)) -> f64 {
    let ratio = |_| {
        let [fixed, random] = times(fixed, random, samples, &mut operation).map(|mut class| {
            class.sort_by(f64::total_cmp);
            class[class.len() / 4].max(1.0)
        });
        (fixed / random).max(random / fixed)
    };
    (0..5).map(ratio).fold(f64::INFINITY, f64::min)
}

/// Welch's t: the difference of the means in units of its own standard error.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let moments = |x: &[f64]| {
        let count = x.len() as f64;
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}

/// Fails when three measurements in a row are certain of a leak: chance and other work do not repeat themselves.
fn assert_constant(what: &str, mut measure: impl FnMut() -> f64) {
    let found: Vec<f64> = (0..3).map(|_| measure()).take_while(|t| *t > CERTAIN).collect();
    eprintln!("{what}: t above {CERTAIN} in a row: {found:?}");
    assert!(found.len() < 3, "{what} takes a time that depends on its secret: t = {found:?}");
}

fn soaking(test: &str) -> bool {
    let soaking = std::env::var_os("CUSTODY_SOAK").is_some();
    if !soaking {
        eprintln!("SKIPPED {test}: it runs under `make soak`");
    }
    soaking
}

#[test]
fn welch_by_hand() {
    // Means 2 and 4, variances 1 and 1, three samples each: -2 / sqrt(2/3).
    let t = welch(&[1.0, 2.0, 3.0], &[3.0, 4.0, 5.0]);
    assert!((t + 2.0 / (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
}

/// A comparison that stops at the first difference, over bytes that differ at once or not at all.
#[test]
fn a_planted_leak_is_found() {
    let secret = vec![0x5au8; 1 << 14];
    let compare = |guess: &Vec<u8>| {
        let same = secret.iter().zip(guess).take_while(|(a, b)| black_box(*a) == *b).count();
        black_box(same);
    };
    let (equal, other) = (vec![secret.clone(); 4], vec![vec![0u8; 1 << 14]; 4]);
    let t = statistic(&equal, &other, 2000, compare);
    assert!(t > CERTAIN, "the planted leak was not found: t = {t}");
}

/// A number of one bit against numbers of about 256: what a digit that is skipped would show most.
fn nonces() -> [Vec<[u8; 32]>; 2] {
    let mut coin = Coin(3);
    let small = std::array::from_fn(|i| u8::from(i == 31));
    [vec![small; 64], (0..64).map(|_| coin.bytes()).collect()]
}

/// The bit-sliced cipher under one key, and under many.
fn ciphers() -> [Vec<(Sm4, [u8; 16])>; 2] {
    let mut coin = Coin(4);
    let random = (0..64).map(|_| (portable_cipher(&coin.bytes()), coin.bytes())).collect();
    [vec![(portable_cipher(&[0; 16]), [0; 16]); 64], random]
}

fn encrypt((cipher, text): &(Sm4, [u8; 16])) {
    let mut block = *text;
    cipher.encrypt_block(&mut block);
    black_box(block);
}

/// The same over as many blocks as are sliced together.
fn encrypt_many((cipher, text): &(Sm4, [u8; 16])) {
    let mut data = [0; 1024];
    data.as_chunks_mut::<16>().0.fill(*text);
    cipher.apply_ctr(text, &mut data);
    black_box(data);
}

#[test]
fn a_short_sample_shows_a_planted_leak_and_none_else() {
    let [small, random] = nonces();
    let leak = slowness(&small, &random, 200, leaking_subject());
    assert!(leak > VISIBLE, "multiplication of public numbers was not told from constant time: {leak}");
    let signing = slowness(&small, &random, 400, nonce_leak_subject());
    assert!(signing < VISIBLE, "SM2 signing takes a time that depends on its secret: {signing}");
    let [fixed, random] = ciphers();
    for encrypt in [encrypt, encrypt_many] {
        let sm4 = slowness(&fixed, &random, 1000, encrypt);
        assert!(sm4 < VISIBLE, "SM4, bit-sliced, takes a time that depends on its secrets: {sm4}");
    }
}

#[test]
fn signing_does_not_tell_the_key() {
    if !soaking("signing_does_not_tell_the_key") {
        return;
    }
    let mut coin = Coin(1);
    let fixed = vec![PrivateKey::from_bytes(&Coin(2).bytes()).unwrap(); 64];
    let random: Vec<_> = (0..64).map(|_| PrivateKey::from_bytes(&coin.bytes()).unwrap()).collect();
    let mut fresh = [0u8; 32];
    assert_constant("SM2 signing, by key", || {
        statistic(&fixed, &random, 100_000, |key| {
            fresh[0] = fresh[0].wrapping_add(1);
            black_box(key.sign_digest(&[7; 32], &fresh));
        })
    });
}

#[test]
fn signing_does_not_tell_the_nonce() {
    if !soaking("signing_does_not_tell_the_nonce") {
        return;
    }
    let ([fixed, random], sign) = (nonces(), nonce_leak_subject());
    assert_constant("SM2 signing, by nonce", || statistic(&fixed, &random, 100_000, &sign));
}

#[test]
fn the_sm4_fallback_does_not_tell_key_or_text() {
    if !soaking("the_sm4_fallback_does_not_tell_key_or_text") {
        return;
    }
    let [fixed, random] = ciphers();
    assert_constant("SM4, bit-sliced", || statistic(&fixed, &random, 200_000, encrypt));
    assert_constant("SM4, 64 blocks bit-sliced", || statistic(&fixed, &random, 100_000, encrypt_many));
}
