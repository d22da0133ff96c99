//! Arithmetic modulo p = 2^256 - 2^224 - 2^96 + 2^64 - 1, the field of GB/T 32918.5, in constant time.
//!
//! Elements are kept in Montgomery's form, x * 2^256 mod p, and always below p. The lowest limb of p is 2^64 - 1, so
//! the multiplier of each reduction step is the limb itself, and its product with p is shifts and subtractions.

use super::limbs::{self, Limbs, adc, sbb};

/// p of GB/T 32918.5 §A.1.
pub(super) const P: Limbs =
    limbs::from_bytes(&hex32(b"FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF"));

/// 2^512 mod p, which carries an integer into Montgomery's form.
const R2: Limbs = power_of_two_mod(512, &P);

/// An element of the field.
#[derive(Clone, Copy)]
pub(super) struct Fe(Limbs);

impl Fe {
    pub(super) const ZERO: Self = Self([0; 4]);
    pub(super) const ONE: Self = Self(power_of_two_mod(256, &P));

    /// The element of an integer below p.
    pub(super) const fn from_integer(limbs: &Limbs) -> Self {
        Self(reduce(&limbs::mul_wide(limbs, &R2)))
    }

    /// The element that big-endian bytes stand for, if they are below p.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let limbs = limbs::from_bytes(bytes);
        (limbs::sub(&limbs, &P).1 == 1).then(|| Self::from_integer(&limbs))
    }

    /// The integer below p.
    pub(super) const fn to_integer(self) -> Limbs {
        let x = self.0;
        reduce(&[x[0], x[1], x[2], x[3], 0, 0, 0, 0])
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        limbs::to_bytes(&self.to_integer())
    }

    #[inline(always)]
    pub(super) const fn add(&self, other: &Self) -> Self {
        let (sum, carry) = limbs::add(&self.0, &other.0);
        Self(limbs::reduce_once(&sum, carry, &P))
    }

    #[inline(always)]
    pub(super) const fn double(&self) -> Self {
        self.add(self)
    }

    #[inline(always)]
    pub(super) const fn sub(&self, other: &Self) -> Self {
        let (difference, borrow) = limbs::sub(&self.0, &other.0);
        let mask = borrow.wrapping_neg();
        Self(limbs::add(&difference, &[P[0] & mask, P[1] & mask, P[2] & mask, P[3] & mask]).0)
    }

    #[inline(always)]
    pub(super) const fn neg(&self) -> Self {
        Self::ZERO.sub(self)
    }

    #[inline(always)]
    pub(super) const fn mul(&self, other: &Self) -> Self {
        Self(reduce(&limbs::mul_wide(&self.0, &other.0)))
    }

    #[inline(always)]
    pub(super) const fn square(&self) -> Self {
        Self(reduce(&limbs::square_wide(&self.0)))
    }

    /// All ones when this is zero, else zero.
    #[inline(always)]
    pub(super) const fn mask_if_zero(&self) -> u64 {
        limbs::mask_if_all_zero(&self.0)
    }

    /// All ones when the two are the same, else zero.
    #[inline(always)]
    pub(super) const fn mask_if_same(&self, other: &Self) -> u64 {
        self.sub(other).mask_if_zero()
    }

    /// Whether the integer is odd: what tells y from -y in a compressed point.
    pub(super) const fn parity(&self) -> u64 {
        self.to_integer()[0] & 1
    }

    /// `a` where `mask` is all ones, `b` where it is zero.
    #[inline(always)]
    pub(super) const fn select(mask: u64, a: &Self, b: &Self) -> Self {
        Self(limbs::select(mask, &a.0, &b.0))
    }

    pub(super) const fn limbs(&self) -> &Limbs {
        &self.0
    }

    pub(super) const fn from_limbs(limbs: Limbs) -> Self {
        Self(limbs)
    }

    const fn squared_times(mut self, times: u32, other: &Self) -> Self {
        let mut i = 0;
        while i < times {
            self = self.square();
            i += 1;
        }
        self.mul(other)
    }

    /// Powers x^(2^k - 1) that both exponents below are made of: k = 1, 30, 31, 32.
    const fn ones(&self) -> [Self; 3] {
        let x2 = self.squared_times(1, self);
        let x3 = x2.squared_times(1, self);
        let x6 = x3.squared_times(3, &x3);
        let x12 = x6.squared_times(6, &x6);
        let x15 = x12.squared_times(3, &x3);
        let x30 = x15.squared_times(15, &x15);
        let x31 = x30.squared_times(1, self);
        [x30, x31, x31.squared_times(1, self)]
    }

    /// The inverse, x^(p - 2) by Fermat; zero for zero. From the top the exponent's bits are 31 ones, a zero, 128
    /// ones, 32 zeros, 62 ones, a zero and a one.
    pub(super) const fn invert(&self) -> Self {
        let [x30, x31, x32] = self.ones();
        let mut x = x31.squared_times(33, &x32);
        x = x.squared_times(32, &x32).squared_times(32, &x32).squared_times(32, &x32);
        x = x.squared_times(64, &x32).squared_times(30, &x30);
        x.squared_times(2, self)
    }

    /// A square root, if there is one: x^((p + 1) / 4), for p is 3 modulo 4. (p + 1) / 4 is 31 ones, a zero, 128 ones,
    /// 31 zeros, a one and 62 zeros. Not for secrets: whether there is a root shows.
    pub(super) fn square_root(&self) -> Option<Self> {
        let [_, x31, x32] = self.ones();
        let mut x = x31.squared_times(33, &x32);
        x = x.squared_times(32, &x32).squared_times(32, &x32).squared_times(32, &x32);
        x = x.squared_times(32, self);
        for _ in 0..62 {
            x = x.square();
        }
        (x.square().mask_if_same(self) != 0).then_some(x)
    }
}

/// Montgomery's reduction: `t / 2^256` mod p, for `t` below `2^256 * p`.
#[inline(always)]
const fn reduce(t: &[u64; 8]) -> Limbs {
    let low = reduce_step([t[0], t[1], t[2], t[3]]);
    let low = reduce_step(reduce_step(reduce_step(low)));
    let (sum, carry) = limbs::add(&low, &[t[4], t[5], t[6], t[7]]);
    limbs::reduce_once(&sum, carry, &P)
}

/// `(x + x0 * p) / 2^64`: the lowest limb vanishes, and `x0 * (p + 1) / 2^64` is `x0 * (2^192 - 2^160 - 2^32 + 1)`.
/// The result is below p + 2^192, so that the last addition has no carry.
#[inline(always)]
const fn reduce_step(x: Limbs) -> Limbs {
    let (low, high) = (x[0] << 32, x[0] >> 32);
    let (q0, w) = sbb(x[0], low, 0);
    let (q1, w) = sbb(0, high, w);
    let (q2, w) = sbb(0, low, w);
    let (q3, _) = sbb(x[0], high, w);
    let (y0, c) = adc(x[1], q0, 0);
    let (y1, c) = adc(x[2], q1, c);
    let (y2, c) = adc(x[3], q2, c);
    [y0, y1, y2, q3.wrapping_add(c)]
}

/// 2^exponent mod `modulus`, by doubling.
pub(super) const fn power_of_two_mod(exponent: u32, modulus: &Limbs) -> Limbs {
    let mut x = [1, 0, 0, 0];
    let mut i = 0;
    while i < exponent {
        let (double, carry) = limbs::add(&x, &x);
        x = limbs::reduce_once(&double, carry, modulus);
        i += 1;
    }
    x
}

/// The 32 bytes of 64 hexadecimal digits in capitals, for the standard's constants.
pub(super) const fn hex32(digits: &[u8; 64]) -> [u8; 32] {
    const fn digit(c: u8) -> u8 {
        if c.is_ascii_digit() { c - b'0' } else { c - b'A' + 10 }
    }
    let mut bytes = [0; 32];
    let mut i = 0;
    while i < 32 {
        bytes[i] = digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]);
        i += 1;
    }
    bytes
}
