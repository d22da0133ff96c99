//! Numbers of 256 bits: four limbs of 64 bits, the lowest first. Nothing here branches on a value.

pub(super) type Limbs = [u64; 4];

/// `a + b + carry` and the carry out. `carry` is 0 or 1.
#[inline(always)]
pub(super) const fn adc(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(carry);
    (sum, (first | second) as u64)
}

/// `a - b - borrow` and the borrow out. `borrow` is 0 or 1.
#[inline(always)]
pub(super) const fn sbb(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(borrow);
    (difference, (first | second) as u64)
}

/// The low and the high half of `sum + a * b + carry`, which always fits.
#[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
#[inline(always)]
pub(super) const fn mac(sum: u64, a: u64, b: u64, carry: u64) -> (u64, u64) {
    let wide = sum as u128 + a as u128 * b as u128 + carry as u128;
    (wide as u64, (wide >> 64) as u64)
}

/// The sum and its carry.
#[inline(always)]
pub(super) const fn add(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (s0, c) = adc(a[0], b[0], 0);
    let (s1, c) = adc(a[1], b[1], c);
    let (s2, c) = adc(a[2], b[2], c);
    let (s3, c) = adc(a[3], b[3], c);
    ([s0, s1, s2, s3], c)
}

/// The difference and its borrow.
#[inline(always)]
pub(super) const fn sub(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (d0, w) = sbb(a[0], b[0], 0);
    let (d1, w) = sbb(a[1], b[1], w);
    let (d2, w) = sbb(a[2], b[2], w);
    let (d3, w) = sbb(a[3], b[3], w);
    ([d0, d1, d2, d3], w)
}

/// All ones for a bit that is set, else zero. The compiler must not know that it is one of the two: it would turn what is done
/// with the mask into a branch, or into a read of the one entry of a table that counts.
#[inline(always)]
pub(super) const fn mask(bit: u64) -> u64 {
    core::hint::black_box(bit.wrapping_neg())
}

/// `a` where `mask` is all ones, `b` where it is zero.
#[inline(always)]
pub(super) const fn select(mask: u64, a: &Limbs, b: &Limbs) -> Limbs {
    [
        b[0] ^ (mask & (a[0] ^ b[0])),
        b[1] ^ (mask & (a[1] ^ b[1])),
        b[2] ^ (mask & (a[2] ^ b[2])),
        b[3] ^ (mask & (a[3] ^ b[3])),
    ]
}

/// All ones when `x` is zero, else zero.
#[inline(always)]
pub(super) const fn mask_if_zero(x: u64) -> u64 {
    // The top bit of `x | -x` is set exactly when `x` is not zero.
    mask(1 ^ (x | x.wrapping_neg()) >> 63)
}

/// All ones when every limb is zero, else zero.
#[inline(always)]
pub(super) const fn mask_if_all_zero(a: &Limbs) -> u64 {
    mask_if_zero(a[0] | a[1] | a[2] | a[3])
}

/// `(carry, a) - modulus` if that is not negative, else `a`. Reduces what is below twice the modulus.
#[inline(always)]
pub(super) const fn reduce_once(a: &Limbs, carry: u64, modulus: &Limbs) -> Limbs {
    let (less, borrow) = sub(a, modulus);
    // Without a carry, a borrow says that `a` was below the modulus already.
    let keep = carry.wrapping_sub(borrow) >> 63;
    select(mask(keep), a, &less)
}

/// The eight limbs of the product.
#[inline(always)]
pub(super) const fn mul_wide(a: &Limbs, b: &Limbs) -> [u64; 8] {
    let (t0, c) = mac(0, a[0], b[0], 0);
    let (t1, c) = mac(0, a[0], b[1], c);
    let (t2, c) = mac(0, a[0], b[2], c);
    let (t3, t4) = mac(0, a[0], b[3], c);
    let (t1, c) = mac(t1, a[1], b[0], 0);
    let (t2, c) = mac(t2, a[1], b[1], c);
    let (t3, c) = mac(t3, a[1], b[2], c);
    let (t4, t5) = mac(t4, a[1], b[3], c);
    let (t2, c) = mac(t2, a[2], b[0], 0);
    let (t3, c) = mac(t3, a[2], b[1], c);
    let (t4, c) = mac(t4, a[2], b[2], c);
    let (t5, t6) = mac(t5, a[2], b[3], c);
    let (t3, c) = mac(t3, a[3], b[0], 0);
    let (t4, c) = mac(t4, a[3], b[1], c);
    let (t5, c) = mac(t5, a[3], b[2], c);
    let (t6, t7) = mac(t6, a[3], b[3], c);
    [t0, t1, t2, t3, t4, t5, t6, t7]
}

/// The eight limbs of the square: ten products instead of sixteen.
#[inline(always)]
pub(super) const fn square_wide(a: &Limbs) -> [u64; 8] {
    let (t1, c) = mac(0, a[0], a[1], 0);
    let (t2, c) = mac(0, a[0], a[2], c);
    let (t3, t4) = mac(0, a[0], a[3], c);
    let (t3, c) = mac(t3, a[1], a[2], 0);
    let (t4, t5) = mac(t4, a[1], a[3], c);
    let (t5, t6) = mac(t5, a[2], a[3], 0);
    let t7 = t6 >> 63;
    let t6 = t6 << 1 | t5 >> 63;
    let t5 = t5 << 1 | t4 >> 63;
    let t4 = t4 << 1 | t3 >> 63;
    let t3 = t3 << 1 | t2 >> 63;
    let t2 = t2 << 1 | t1 >> 63;
    let t1 = t1 << 1;
    let (t0, c) = mac(0, a[0], a[0], 0);
    let (t1, c) = adc(t1, c, 0);
    let (low, high) = mac(0, a[1], a[1], 0);
    let (t2, c) = adc(t2, low, c);
    let (t3, c) = adc(t3, high, c);
    let (low, high) = mac(0, a[2], a[2], 0);
    let (t4, c) = adc(t4, low, c);
    let (t5, c) = adc(t5, high, c);
    let (low, high) = mac(0, a[3], a[3], 0);
    let (t6, c) = adc(t6, low, c);
    [t0, t1, t2, t3, t4, t5, t6, t7.wrapping_add(high).wrapping_add(c)]
}

/// Big-endian bytes, as GB/T 32918.1 §4.2.2 writes integers.
pub(super) const fn from_bytes(bytes: &[u8; 32]) -> Limbs {
    let mut limbs = [0; 4];
    let mut i = 0;
    while i < 32 {
        limbs[3 - i / 8] = limbs[3 - i / 8] << 8 | bytes[i] as u64;
        i += 1;
    }
    limbs
}

pub(super) fn to_bytes(limbs: &Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(limbs.iter().rev()) {
        *chunk = limb.to_be_bytes();
    }
    bytes
}
