//! The field's operations on any machine, and what the compiler computes constants with. On x86-64 they are kept out of
//! the way of the assembly, whose callers would grow to twice their size.

use super::super::limbs::{self, Limbs, adc, sbb};
use super::P;

#[cfg_attr(target_arch = "x86_64", cold, inline(never))]
pub(super) const fn add(a: &Limbs, b: &Limbs) -> Limbs {
    let (sum, carry) = limbs::add(a, b);
    limbs::reduce_once(&sum, carry, &P)
}

#[cfg_attr(target_arch = "x86_64", cold, inline(never))]
pub(super) const fn sub(a: &Limbs, b: &Limbs) -> Limbs {
    let (difference, borrow) = limbs::sub(a, b);
    let mask = limbs::mask(borrow);
    limbs::add(&difference, &[P[0] & mask, P[1] & mask, P[2] & mask, P[3] & mask]).0
}

/// `a * b / 2^256` mod p.
#[cfg_attr(target_arch = "x86_64", cold, inline(never))]
pub(super) const fn mul(a: &Limbs, b: &Limbs) -> Limbs {
    reduce(&limbs::mul_wide(a, b))
}

/// `a * a / 2^256` mod p.
#[cfg_attr(target_arch = "x86_64", cold, inline(never))]
pub(super) const fn square(a: &Limbs) -> Limbs {
    reduce(&limbs::square_wide(a))
}

/// Montgomery's reduction: `t / 2^256` mod p, for `t` below `2^256 * p`.
#[cfg_attr(target_arch = "x86_64", cold, inline(never))]
pub(super) const fn reduce(t: &[u64; 8]) -> Limbs {
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
