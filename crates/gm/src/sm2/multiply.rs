//! Multiples of any point: in constant time for secrets, and joint with the base point for verification.

use super::base;
use super::limbs::{Limbs, mask, mask_if_zero};
use super::point::{Affine, Jacobian};
use super::scalar::Scalar;

/// Digits of five bits, from -15 to 16.
const WIDTH: usize = 5;
const DIGITS: usize = 256 / WIDTH + 1;
const ROW: usize = 1 << (WIDTH - 1);

/// `scalar * point`, in constant time.
pub(super) fn multiply(scalar: &Scalar, point: &Affine) -> Jacobian {
    let mut row = [point.to_jacobian(); ROW];
    for i in 1..ROW {
        row[i] = if i % 2 == 1 { row[i / 2].double() } else { row[i - 1].add(&row[0]) };
    }
    let mut sum = Jacobian::INFINITY;
    for (size, negative) in digits(scalar.limbs()).into_iter().rev() {
        for _ in 0..WIDTH {
            sum = sum.double();
        }
        sum = sum.add(&look_up(&row, size).negated_if(negative));
    }
    sum
}

/// The signed digits, lowest first, as their size and all ones for a negative one.
fn digits(limbs: &Limbs) -> [(u64, u64); DIGITS] {
    let mut digits = [(0, 0); DIGITS];
    let mut carry = 0;
    for (place, slot) in digits.iter_mut().enumerate() {
        let digit = bits(limbs, place * WIDTH) + carry;
        carry = (ROW as u64).wrapping_sub(digit) >> 63;
        let negative = mask(carry);
        let size = (digit ^ negative).wrapping_sub(negative).wrapping_add(negative & (1 << WIDTH));
        *slot = (size, negative);
    }
    digits
}

fn bits(limbs: &Limbs, bit: usize) -> u64 {
    let (limb, shift) = (bit / 64, bit % 64);
    let low = limbs.get(limb).map_or(0, |limb| limb >> shift);
    let high =
        if shift > 64 - WIDTH { limbs.get(limb + 1).map_or(0, |limb| limb << (64 - shift)) } else { 0 };
    (low | high) & ((1 << WIDTH) - 1)
}

/// The entry `size`, counted from one; infinity for zero. Reads every entry.
fn look_up(row: &[Jacobian; ROW], size: u64) -> Jacobian {
    let mut found = Jacobian::INFINITY;
    for (index, entry) in (1u64..).zip(row) {
        found = Jacobian::select(mask_if_zero(index ^ size), entry, &found);
    }
    found
}

/// `s * G + t * point`, for public values: the second half by a non-adjacent form of width 5, the first by the table.
pub(super) fn joint_vartime(s: &Scalar, t: &Scalar, point: &Affine) -> Jacobian {
    let first = point.to_jacobian();
    let twice = first.double();
    let mut odd = [first; 8];
    for i in 1..8 {
        odd[i] = odd[i - 1].add_vartime(&twice);
    }
    let mut sum = Jacobian::INFINITY;
    for digit in non_adjacent(t.limbs()).into_iter().rev().skip_while(|digit| *digit == 0) {
        sum = sum.double();
        let entry = odd[usize::from(digit.unsigned_abs() / 2)];
        match digit.signum() {
            1 => sum = sum.add_vartime(&entry),
            -1 => sum = sum.add_vartime(&entry.negated_if(u64::MAX)),
            _ => {}
        }
    }
    base::add_multiple_vartime(sum, s)
}

/// Digits that are zero or odd from -15 to 15, of which no two within five places are not zero; lowest first.
fn non_adjacent(limbs: &Limbs) -> [i8; 257] {
    let mut digits = [0i8; 257];
    let (mut place, mut carry) = (0, 0);
    while place < digits.len() {
        let window = bits(limbs, place) + carry;
        if window.is_multiple_of(2) {
            // Two zeroes, or a one and a carry, which then stays.
            place += 1;
            continue;
        }
        carry = window >> (WIDTH - 1) & 1;
        let digit = window.cast_signed() - (carry << WIDTH).cast_signed();
        digits[place] = i8::try_from(digit).unwrap_or_default(); // from -15 to 15
        place += WIDTH;
    }
    digits
}
