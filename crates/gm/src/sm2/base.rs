//! Multiples of the base point: a table of j * 2^(6i) * G, so that a multiple is 43 additions and no doubling.
//!
//! The digits of the scalar are signed, from -31 to 32, and the table holds 1 to 32 of each place. Constant time: each
//! look-up reads the whole row of its place.

use super::field::Fe;
use super::limbs::{Limbs, mask, mask_if_zero};
use super::point::{Affine, G, Jacobian};
use super::scalar::Scalar;

const WIDTH: usize = 6;
const PLACES: usize = 256 / WIDTH + 1;
const ROW: usize = 1 << (WIDTH - 1);

/// 88 KiB, carried as a file because the compiler's own evaluation of it takes half a minute. A test computes it anew.
static TABLE: [[Affine; ROW]; PLACES] = read(include_bytes!("base.bin"));

const BYTES: usize = PLACES * ROW * 64;

/// `scalar * G`, in constant time.
///
/// [`Jacobian::add_affine`] wants distinct points. Before place i the sum S is of the lower places, |S| < 2^(6i), and
/// what is added is at least 2^(6i) in size; as integers they are neither equal nor opposite. Modulo n that could fail
/// at the last place only, if S - D or S + D were a multiple of n: S + D is the scalar itself, which is below n, and zero
/// only where both are zero; |S - D| = n would ask for a scalar of 2D - n or 2D + n, where |S| = |D - n| < 2^252 makes
/// D = 2^256, so S = n - 2^256 or more, out of reach of a scalar below n.
pub(super) fn multiply(scalar: &Scalar) -> Jacobian {
    let mut sum = Jacobian::INFINITY;
    let mut carry = 0;
    for (place, row) in TABLE.iter().enumerate() {
        let digit = window(scalar.limbs(), place * WIDTH) + carry;
        // Digits above 32 are 64 less, and one more in the next place.
        carry = (ROW as u64).wrapping_sub(digit) >> 63;
        let negative = mask(carry);
        let size = (digit ^ negative).wrapping_sub(negative).wrapping_add(negative & (1 << WIDTH));
        let point = look_up(row, size).negated_if(negative);
        let next = sum.add_affine(&point);
        sum = Jacobian::select(mask_if_zero(size), &sum, &next);
    }
    sum
}

/// `scalar * G` for a public scalar, added to `sum`.
pub(super) fn add_multiple_vartime(mut sum: Jacobian, scalar: &Scalar) -> Jacobian {
    let mut carry = 0;
    for (place, row) in TABLE.iter().enumerate() {
        let digit = window(scalar.limbs(), place * WIDTH) + carry;
        let (negative, size) = if digit > ROW as u64 { (u64::MAX, (1 << WIDTH) - digit) } else { (0, digit) };
        carry = negative & 1;
        if let Some(point) = usize::try_from(size).ok().and_then(|size| row.get(size.wrapping_sub(1))) {
            sum = sum.add_affine_vartime(&point.negated_if(negative));
        }
    }
    sum
}

/// The `WIDTH` bits from `bit` up; zero bits above the number.
fn window(limbs: &Limbs, bit: usize) -> u64 {
    let (limb, shift) = (bit / 64, bit % 64);
    let low = limbs.get(limb).map_or(0, |limb| limb >> shift);
    let high =
        if shift > 64 - WIDTH { limbs.get(limb + 1).map_or(0, |limb| limb << (64 - shift)) } else { 0 };
    (low | high) & ((1 << WIDTH) - 1)
}

/// The entry `size` of a row, counted from one; zeroes for zero. Reads every entry.
fn look_up(row: &[Affine; ROW], size: u64) -> Affine {
    let (mut x, mut y) = ([0u64; 4], [0u64; 4]);
    for (index, entry) in (1u64..).zip(row) {
        let mask = mask_if_zero(index ^ size);
        for i in 0..4 {
            x[i] |= entry.x.limbs()[i] & mask;
            y[i] |= entry.y.limbs()[i] & mask;
        }
    }
    Affine { x: Fe::from_limbs(x), y: Fe::from_limbs(y) }
}

/// Limbs in Montgomery's form, each little-endian, the lowest first: x then y of every entry, row by row.
const fn read(bytes: &[u8; BYTES]) -> [[Affine; ROW]; PLACES] {
    let mut table = [[G; ROW]; PLACES];
    let mut i = 0;
    while i < PLACES * ROW {
        let mut limbs = [0u64; 8];
        let mut at = 0;
        while at < 64 {
            limbs[at / 8] |= (bytes[64 * i + at] as u64) << (8 * (at % 8));
            at += 1;
        }
        let [x0, x1, x2, x3, y0, y1, y2, y3] = limbs;
        table[i / ROW][i % ROW] =
            Affine { x: Fe::from_limbs([x0, x1, x2, x3]), y: Fe::from_limbs([y0, y1, y2, y3]) };
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file, from the base point alone. `GM_WRITE_TABLE=1 cargo test -p gm table` writes it.
    #[test]
    fn the_table_holds_the_multiples_of_the_base_point() {
        let mut bytes = Vec::with_capacity(BYTES);
        let mut first = G;
        for _ in 0..PLACES {
            let mut multiple = first.to_jacobian();
            let mut last = first;
            for _ in 0..ROW {
                last = multiple.to_affine().unwrap();
                for limb in last.x.limbs().iter().chain(last.y.limbs()) {
                    bytes.extend_from_slice(&limb.to_le_bytes());
                }
                multiple = multiple.add_affine_vartime(&first);
            }
            // The last entry of the row is 2^5 times its first.
            first = last.to_jacobian().double().to_affine().unwrap();
        }
        if std::env::var_os("GM_WRITE_TABLE").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sm2/base.bin"), &bytes).unwrap();
        }
        assert!(bytes == include_bytes!("base.bin"), "the file is not what the base point gives");
    }
}
