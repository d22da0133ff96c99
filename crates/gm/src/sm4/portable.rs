//! The rounds on any machine, bit-sliced: the S-box is a circuit of AND and XOR over 64 bytes at once, so that no
//! address and no branch depends on a secret.
//!
//! The S-box of SM4 is an affine map, the inverse in GF(2^8) modulo x^8+x^7+x^6+x^5+x^4+x^2+1, and the same affine
//! map again. The inverse is taken in the tower GF(((2^2)^2)^2) = w^2+w+1, y^2+y+w, z^2+z+wy, whose basis change is
//! folded into the two affine maps.

use super::block::Block;
use super::sliced;

/// Blocks sliced together: four bytes each go through the S-box in a round.
const WIDTH: usize = 16;

/// The affine map into the tower: row i holds the input bits that bit i is the sum of.
const INTO: [u8; 8] = [0x11, 0x42, 0x08, 0xdc, 0xd3, 0x3f, 0x84, 0x7f];
const INTO_ADD: u8 = 0xda;
/// And out of it.
const OUT_OF: [u8; 8] = [0xa1, 0x65, 0x1e, 0xb5, 0x52, 0x72, 0x1f, 0xc3];
const OUT_OF_ADD: u8 = 0xd3;

pub(super) type Planes = [u64; 8];

/// Runs the 32 rounds and the final reversal (GB/T 32907-2016, 7.1) over every block.
pub(super) fn rounds(keys: &[u32; 32], blocks: &mut [Block]) {
    let rest = sliced::rounds(keys, blocks);
    for group in rest.chunks_mut(WIDTH) {
        rounds_of_group(keys, group);
    }
}

fn rounds_of_group(keys: &[u32; 32], group: &mut [Block]) {
    let mut x = [[0_u32; WIDTH]; 4];
    for (lane, block) in group.iter().enumerate() {
        for (words, bytes) in x.iter_mut().zip(block.as_chunks::<4>().0) {
            words[lane] = u32::from_be_bytes(*bytes);
        }
    }
    for key in keys.as_chunks::<4>().0 {
        let [a, b, c, d] = &mut x;
        round(a, [b, c, d], key[0]);
        round(b, [c, d, a], key[1]);
        round(c, [d, a, b], key[2]);
        round(d, [a, b, c], key[3]);
    }
    for (lane, block) in group.iter_mut().enumerate() {
        for (words, bytes) in x.iter().rev().zip(block.as_chunks_mut::<4>().0) {
            *bytes = words[lane].to_be_bytes();
        }
    }
}

#[inline(always)]
fn round(x: &mut [u32; WIDTH], [a, b, c]: [&[u32; WIDTH]; 3], key: u32) {
    let mut t = [0; WIDTH];
    for (lane, word) in t.iter_mut().enumerate() {
        *word = a[lane] ^ b[lane] ^ c[lane] ^ key;
    }
    substitute(&mut t);
    for (word, b) in x.iter_mut().zip(t) {
        *word ^= b ^ b.rotate_left(2) ^ b.rotate_left(10) ^ b.rotate_left(18) ^ b.rotate_left(24);
    }
}

/// The S-box on the four bytes of one word.
pub(super) fn substitute_word(word: u32) -> u32 {
    let mut words = [0; WIDTH];
    words[0] = word;
    substitute(&mut words);
    words[0]
}

#[inline(always)]
fn substitute(words: &mut [u32; WIDTH]) {
    let mut planes = [0; 8];
    for (plane, pair) in planes.iter_mut().zip(words.as_chunks::<2>().0) {
        *plane = u64::from(pair[0]) | u64::from(pair[1]) << 32;
    }
    transpose(&mut planes);
    planes = substitute_planes(&planes);
    transpose(&mut planes);
    for (plane, pair) in planes.iter().zip(words.as_chunks_mut::<2>().0) {
        *pair = [(plane & 0xffff_ffff) as u32, (plane >> 32) as u32];
    }
}

/// The S-box on 64 bytes, a plane for each bit.
#[inline(always)]
pub(super) fn substitute_planes(planes: &Planes) -> Planes {
    affine(&OUT_OF, OUT_OF_ADD, &invert_256(affine(&INTO, INTO_ADD, planes)))
}

/// Exchanges the index of a word with the index of a bit in its byte. Its own inverse.
#[inline(always)]
fn transpose(p: &mut Planes) {
    for i in [0, 2, 4, 6] {
        exchange(p, i, i + 1, 1, 0x5555_5555_5555_5555);
    }
    for i in [0, 1, 4, 5] {
        exchange(p, i, i + 2, 2, 0x3333_3333_3333_3333);
    }
    for i in [0, 1, 2, 3] {
        exchange(p, i, i + 4, 4, 0x0f0f_0f0f_0f0f_0f0f);
    }
}

/// Exchanges the bits of `p[high]` under `mask` with those of `p[low]` that stand `shift` places above.
#[inline(always)]
pub(super) fn exchange(p: &mut [u64], low: usize, high: usize, shift: u32, mask: u64) {
    let t = ((p[low] >> shift) ^ p[high]) & mask;
    p[high] ^= t;
    p[low] ^= t << shift;
}

#[inline(always)]
fn affine(rows: &[u8; 8], add: u8, p: &Planes) -> Planes {
    core::array::from_fn(|i| {
        let start = if add >> i & 1 == 1 { u64::MAX } else { 0 };
        (0..8).filter(|j| rows[i] >> j & 1 == 1).fold(start, |sum, j| sum ^ p[j])
    })
}

type Gf4 = [u64; 2];
type Gf16 = [Gf4; 2];

#[inline(always)]
fn add_4(a: Gf4, b: Gf4) -> Gf4 {
    [a[0] ^ b[0], a[1] ^ b[1]]
}

#[inline(always)]
fn add_16(a: Gf16, b: Gf16) -> Gf16 {
    [add_4(a[0], b[0]), add_4(a[1], b[1])]
}

#[inline(always)]
fn mul_4(a: Gf4, b: Gf4) -> Gf4 {
    let low = a[0] & b[0];
    [low ^ (a[1] & b[1]), low ^ ((a[0] ^ a[1]) & (b[0] ^ b[1]))]
}

/// Times w.
#[inline(always)]
fn mul_w(a: Gf4) -> Gf4 {
    [a[1], a[0] ^ a[1]]
}

/// The square, which in GF(4) is the inverse.
#[inline(always)]
fn square_4(a: Gf4) -> Gf4 {
    [a[0] ^ a[1], a[1]]
}

#[inline(always)]
fn mul_16(a: Gf16, b: Gf16) -> Gf16 {
    let (low, high) = (mul_4(a[0], b[0]), mul_4(a[1], b[1]));
    let cross = mul_4(add_4(a[0], a[1]), add_4(b[0], b[1]));
    [add_4(low, mul_w(high)), add_4(cross, low)]
}

#[inline(always)]
fn square_16(a: Gf16) -> Gf16 {
    let high = square_4(a[1]);
    [add_4(square_4(a[0]), mul_w(high)), high]
}

/// Times wy, the constant of the last extension.
#[inline(always)]
fn mul_wy(a: Gf16) -> Gf16 {
    let high = mul_w(a[1]);
    [mul_w(high), add_4(mul_w(a[0]), high)]
}

#[inline(always)]
fn invert_16(a: Gf16) -> Gf16 {
    let norm = add_4(mul_w(square_4(a[1])), mul_4(a[0], add_4(a[0], a[1])));
    let inverse = square_4(norm);
    [mul_4(add_4(a[0], a[1]), inverse), mul_4(a[1], inverse)]
}

#[inline(always)]
fn invert_256(p: Planes) -> Planes {
    let low = [[p[0], p[1]], [p[2], p[3]]];
    let high = [[p[4], p[5]], [p[6], p[7]]];
    let sum = add_16(low, high);
    let norm = add_16(mul_wy(square_16(high)), mul_16(low, sum));
    let inverse = invert_16(norm);
    let ([[a, b], [c, d]], [[e, f], [g, h]]) = (mul_16(sum, inverse), mul_16(high, inverse));
    [a, b, c, d, e, f, g, h]
}
