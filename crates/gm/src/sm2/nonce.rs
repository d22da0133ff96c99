//! The secret number of each signature: RFC 6979 §3.2 over HMAC-SM3, with the caller's fresh bytes as the additional
//! input of §3.6. Good randomness makes it unpredictable; bad or repeated randomness leaves it the deterministic nonce
//! of the RFC, which never serves two messages.

use zeroize::{Zeroize, Zeroizing};

use super::scalar::Scalar;
use crate::hmac::HmacSm3;
use crate::secrets::published;

/// The generator in the state of RFC 6979 §3.2 (K, V); K is kept as the HMAC that it keys.
pub(super) struct Nonces {
    key: HmacSm3,
    value: Zeroizing<[u8; 32]>,
}

impl Nonces {
    /// Steps b to g, for the private key `d`, the digest `e` and the additional input `fresh`.
    pub(super) fn new(d: &Scalar, e: &Scalar, fresh: &[u8]) -> Self {
        let d = Zeroizing::new(d.to_bytes());
        Self::seeded(&[d.as_slice(), &e.to_bytes(), fresh])
    }

    /// The generator over any seed: the HMAC_DRBG of SP 800-90A §10.1.2.
    pub(super) fn seeded(seed: &[&[u8]]) -> Self {
        let mut nonces = Self { key: HmacSm3::new(&[0; 32]), value: Zeroizing::new([1; 32]) };
        nonces.mix(0, seed);
        nonces.mix(1, seed);
        nonces
    }

    /// K = HMAC(K, V || separator || seed), V = HMAC(K, V).
    fn mix(&mut self, separator: u8, seed: &[&[u8]]) {
        let mut mac = self.key.clone();
        mac.update(self.value.as_slice());
        mac.update(&[separator]);
        seed.iter().for_each(|part| mac.update(part));
        let mut key = mac.finalize();
        self.key = HmacSm3::new(&key);
        key.zeroize();
        self.step();
    }

    fn step(&mut self) {
        let mut mac = self.key.clone();
        mac.update(self.value.as_slice());
        *self.value = mac.finalize();
    }

    /// Step h: the next number from 1 to n - 1. The bits of the digest are as many as those of n, so that one block is
    /// a candidate; the chance of a second is 2^-32.
    pub(super) fn next(&mut self) -> Scalar {
        loop {
            self.step();
            let candidate = Scalar::from_bytes(&self.value).filter(|k| !published(k.is_zero()));
            if let Some(nonce) = candidate {
                return nonce;
            }
            self.refuse();
        }
    }

    /// The end of step h: the number did not serve, and what follows must not depend on it alone.
    pub(super) fn refuse(&mut self) {
        self.mix(0, &[]);
    }
}
