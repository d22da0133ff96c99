//! Arithmetic modulo p = 2^256 - 2^224 - 2^96 + 2^64 - 1, the field of GB/T 32918.5, in constant time.
//!
//! Elements are kept in Montgomery's form, x * 2^256 mod p, and always below p. The lowest limb of p is 2^64 - 1, so
//! the multiplier of each reduction step is the limb itself, and its product with p is shifts and subtractions.

#[cfg(target_arch = "x86_64")]
mod adx;
mod portable;

use super::limbs::{self, Limbs};
#[cfg(target_arch = "x86_64")]
use adx::Adx;

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
        Self(portable::mul(limbs, &R2))
    }

    /// The element that big-endian bytes stand for, if they are below p.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let limbs = limbs::from_bytes(bytes);
        (limbs::sub(&limbs, &P).1 == 1).then(|| Self::from_integer(&limbs))
    }

    /// The integer below p.
    pub(super) const fn to_integer(self) -> Limbs {
        let x = self.0;
        portable::reduce(&[x[0], x[1], x[2], x[3], 0, 0, 0, 0])
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        limbs::to_bytes(&self.to_integer())
    }

    #[inline(always)]
    pub(super) fn add(&self, other: &Self) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(adx) = Adx::detect() {
            return Self(adx.add(&self.0, &other.0));
        }
        Self(portable::add(&self.0, &other.0))
    }

    #[inline(always)]
    pub(super) fn double(&self) -> Self {
        self.add(self)
    }

    /// Half of it: p is added to an odd representative first.
    #[inline(always)]
    pub(super) fn half(&self) -> Self {
        let odd = limbs::mask(self.0[0] & 1);
        let (even, carry) = limbs::add(&self.0, &[P[0] & odd, P[1] & odd, P[2] & odd, P[3] & odd]);
        let [x0, x1, x2, x3] = even;
        Self([x0 >> 1 | x1 << 63, x1 >> 1 | x2 << 63, x2 >> 1 | x3 << 63, x3 >> 1 | carry << 63])
    }

    #[inline(always)]
    pub(super) fn sub(&self, other: &Self) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(adx) = Adx::detect() {
            return Self(adx.sub(&self.0, &other.0));
        }
        Self(portable::sub(&self.0, &other.0))
    }

    #[inline(always)]
    pub(super) fn neg(&self) -> Self {
        Self::ZERO.sub(self)
    }

    #[inline(always)]
    pub(super) fn mul(&self, other: &Self) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(adx) = Adx::detect() {
            return Self(adx.mul(&self.0, &other.0));
        }
        Self(portable::mul(&self.0, &other.0))
    }

    #[inline(always)]
    pub(super) fn square(&self) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(adx) = Adx::detect() {
            return Self(adx.square(&self.0));
        }
        Self(portable::square(&self.0))
    }

    /// All ones when this is zero, else zero.
    #[inline(always)]
    pub(super) const fn mask_if_zero(&self) -> u64 {
        limbs::mask_if_all_zero(&self.0)
    }

    /// All ones when the two are the same, else zero.
    #[inline(always)]
    pub(super) fn mask_if_same(&self, other: &Self) -> u64 {
        self.sub(other).mask_if_zero()
    }

    /// Whether the integer is odd: what tells y from -y in a compressed point.
    pub(super) fn parity(&self) -> u64 {
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

    fn squared_times(mut self, times: u32, other: &Self) -> Self {
        let mut i = 0;
        while i < times {
            self = self.square();
            i += 1;
        }
        self.mul(other)
    }

    /// Powers x^(2^k - 1) that both exponents below are made of: k = 1, 30, 31, 32.
    fn ones(&self) -> [Self; 3] {
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
    pub(super) fn invert(&self) -> Self {
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

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Elements, among them many whose limbs are all zeroes or all ones: carries that random limbs never have.
    fn element() -> impl Strategy<Value = Limbs> {
        let limb = prop_oneof![
            any::<u64>(),
            Just(0),
            Just(1),
            Just(u64::MAX),
            Just(P[1]),
            Just(P[3]),
            Just(u64::MAX - 1)
        ];
        [limb.clone(), limb.clone(), limb.clone(), limb].prop_map(|limbs| limbs::reduce_once(&limbs, 0, &P))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn assembly_and_portable_code_agree(a in element(), b in element()) {
            if let Some(adx) = Adx::detect() {
                prop_assert_eq!(adx.mul(&a, &b), portable::mul(&a, &b));
                prop_assert_eq!(adx.square(&a), portable::square(&a));
                prop_assert_eq!(adx.square(&a), portable::mul(&a, &a));
                prop_assert_eq!(adx.add(&a, &b), portable::add(&a, &b));
                prop_assert_eq!(adx.sub(&a, &b), portable::sub(&a, &b));
            }
        }
    }
}
