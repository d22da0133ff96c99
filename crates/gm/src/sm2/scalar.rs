//! Arithmetic modulo n, the order of the base point (GB/T 32918.5 §A.1), in constant time. Scalars are kept as plain
//! integers below n; products go through Montgomery's form and back.

use super::field::{hex32, power_of_two_mod};
use super::limbs::{self, Limbs, mac};
use crate::secrets::published;

pub(super) const N: Limbs =
    limbs::from_bytes(&hex32(b"FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123"));

/// 2^512 mod n.
const R2: Limbs = power_of_two_mod(512, &N);

/// -n^-1 mod 2^64, by Newton's iteration: each step doubles the bits that are right, and n is right to three.
const MINUS_INVERSE: u64 = {
    let mut inverse = N[0];
    let mut i = 0;
    while i < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(N[0].wrapping_mul(inverse)));
        i += 1;
    }
    inverse.wrapping_neg()
};

/// An integer below n.
#[derive(Clone, Copy)]
pub(super) struct Scalar(Limbs);

impl zeroize::DefaultIsZeroes for Scalar {}

impl Default for Scalar {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Scalar {
    pub(super) const ZERO: Self = Self([0; 4]);
    pub(super) const ONE: Self = Self([1, 0, 0, 0]);

    /// The scalar that big-endian bytes stand for, if they are below n. Whether they are shows; their value does not.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let limbs = limbs::from_bytes(bytes);
        (published(limbs::sub(&limbs, &N).1) == 1).then_some(Self(limbs))
    }

    /// The integer modulo n. n is above half of 2^256, so one subtraction is enough.
    pub(super) const fn reduced(limbs: &Limbs) -> Self {
        Self(limbs::reduce_once(limbs, 0, &N))
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        limbs::to_bytes(&self.0)
    }

    pub(super) const fn limbs(&self) -> &Limbs {
        &self.0
    }

    pub(super) const fn is_zero(&self) -> bool {
        limbs::mask_if_all_zero(&self.0) != 0
    }

    pub(super) const fn add(&self, other: &Self) -> Self {
        let (sum, carry) = limbs::add(&self.0, &other.0);
        Self(limbs::reduce_once(&sum, carry, &N))
    }

    pub(super) const fn sub(&self, other: &Self) -> Self {
        let (difference, borrow) = limbs::sub(&self.0, &other.0);
        let mask = limbs::mask(borrow);
        Self(limbs::add(&difference, &[N[0] & mask, N[1] & mask, N[2] & mask, N[3] & mask]).0)
    }

    pub(super) const fn mul(&self, other: &Self) -> Self {
        Self(montgomery(&montgomery(&self.0, &other.0), &R2))
    }

    /// The inverse, x^(n - 2) by Fermat; zero for zero. The exponent is public, the base is not.
    pub(super) fn invert(&self) -> Self {
        let exponent = limbs::sub(&N, &[2, 0, 0, 0]).0;
        let base = montgomery(&self.0, &R2);
        let mut power = base;
        for bit in (0..255).rev() {
            power = montgomery(&power, &power);
            if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
                power = montgomery(&power, &base);
            }
        }
        Self(montgomery(&power, &[1, 0, 0, 0]))
    }
}

/// `a * b / 2^256` mod n, operand by operand.
const fn montgomery(a: &Limbs, b: &Limbs) -> Limbs {
    let mut t = [0u64; 5];
    let mut i = 0;
    while i < 4 {
        let (t0, c) = mac(t[0], a[i], b[0], 0);
        let (t1, c) = mac(t[1], a[i], b[1], c);
        let (t2, c) = mac(t[2], a[i], b[2], c);
        let (t3, c) = mac(t[3], a[i], b[3], c);
        let (t4, t5) = limbs::adc(t[4], c, 0);
        let m = t0.wrapping_mul(MINUS_INVERSE);
        let (_, c) = mac(t0, m, N[0], 0);
        let (t1, c) = mac(t1, m, N[1], c);
        let (t2, c) = mac(t2, m, N[2], c);
        let (t3, c) = mac(t3, m, N[3], c);
        let (t4, c) = limbs::adc(t4, c, 0);
        t = [t1, t2, t3, t4, t5 + c];
        i += 1;
    }
    limbs::reduce_once(&[t[0], t[1], t[2], t[3]], t[4], &N)
}
