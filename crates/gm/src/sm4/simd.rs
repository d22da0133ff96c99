//! The rounds and the GHASH product on x86-64 vector units; the only unsafe code of SM4.
//!
//! The S-box is computed, never looked up in memory: the inverse in GF(2^8) that AES instructions take, between two
//! affine maps that carry SM4's field to that of AES. `tests.rs` holds every path to the portable one.

use core::arch::x86_64::*;

use super::block::Block;
use super::ghash::POWERS;
use crate::cpu::detected;

/// Whether this machine runs [`aes::rounds`].
pub(super) fn has_aes() -> bool {
    detected!("aes", "ssse3")
}

/// Whether this machine runs [`gfni256::rounds`].
pub(super) fn has_gfni256() -> bool {
    detected!("gfni", "avx2")
}

/// Whether this machine runs [`gfni512::rounds`].
pub(super) fn has_gfni512() -> bool {
    detected!("gfni", "avx512f", "avx512bw")
}

/// Whether this machine runs [`clmul::absorb`].
pub(super) fn has_clmul() -> bool {
    detected!("pclmulqdq", "ssse3")
}

/// The rounds by AES instructions. Refuses, by panic, a machine without them.
pub(super) fn rounds_aes(keys: &[u32; 32], blocks: &mut [Block]) {
    assert!(has_aes(), "the engine is offered only where it runs");
    // SAFETY: the features the function is compiled for were just found present.
    unsafe { aes::rounds(keys, blocks) }
}

/// The rounds by GFNI in 256-bit vectors. Refuses, by panic, a machine without them.
pub(super) fn rounds_gfni256(keys: &[u32; 32], blocks: &mut [Block]) {
    assert!(has_gfni256(), "the engine is offered only where it runs");
    // SAFETY: the features the function is compiled for were just found present.
    unsafe { gfni256::rounds(keys, blocks) }
}

/// The rounds by GFNI in 512-bit vectors. Refuses, by panic, a machine without them.
pub(super) fn rounds_gfni512(keys: &[u32; 32], blocks: &mut [Block]) {
    assert!(has_gfni512(), "the engine is offered only where it runs");
    // SAFETY: the features the function is compiled for were just found present.
    unsafe { gfni512::rounds(keys, blocks) }
}

/// Whether this machine runs [`clmul512::absorb`].
pub(super) fn has_clmul512() -> bool {
    has_clmul() && detected!("vpclmulqdq", "avx512f", "avx512bw")
}

/// Counter mode by AES instructions on as many whole chunks as stand at the front of `data`; gives their bytes. The counter's
/// last word counts alone, and wraps. Refuses, by panic, a machine without the instructions.
pub(super) fn ctr_aes(keys: &[u32; 32], counter: [u32; 4], data: &mut [u8]) -> usize {
    assert!(has_aes(), "the engine is offered only where it runs");
    // SAFETY: the features the function is compiled for were just found present.
    unsafe { aes::ctr(keys, counter, data) }
}

/// The same by GFNI in 256-bit vectors.
pub(super) fn ctr_gfni256(keys: &[u32; 32], counter: [u32; 4], data: &mut [u8]) -> usize {
    assert!(has_gfni256(), "the engine is offered only where it runs");
    // SAFETY: the features the function is compiled for were just found present.
    unsafe { gfni256::ctr(keys, counter, data) }
}

/// The same by GFNI in 512-bit vectors.
pub(super) fn ctr_gfni512(keys: &[u32; 32], counter: [u32; 4], data: &mut [u8]) -> usize {
    assert!(has_gfni512(), "the engine is offered only where it runs");
    // SAFETY: the features the function is compiled for were just found present.
    unsafe { gfni512::ctr(keys, counter, data) }
}

/// GHASH by carry-less multiplication of four blocks at once. Refuses, by panic, a machine without it.
pub(super) fn absorb_clmul512(state: u128, powers: &[u128; POWERS], blocks: &[Block]) -> u128 {
    assert!(has_clmul512(), "the multiplier is offered only where it runs");
    // SAFETY: the features the function is compiled for were just found present.
    unsafe { clmul512::absorb(state, powers, blocks) }
}

/// GHASH by carry-less multiplication. Refuses, by panic, a machine without it.
pub(super) fn absorb_clmul(state: u128, powers: &[u128], blocks: &[Block]) -> u128 {
    assert!(has_clmul(), "the multiplier is offered only where it runs");
    // SAFETY: the features the function is compiled for were just found present.
    unsafe { clmul::absorb(state, powers, blocks) }
}

/// The 32 rounds on one word of each block a vector. No function: it must not be called, for the sets are all the registers.
macro_rules! turn {
    ($keys:ident, $sets:ident) => {
        for key in $keys.as_chunks::<4>().0 {
            for i in 0..4 {
                let key = splat(key[i].cast_signed());
                for x in &mut $sets {
                    // The youngest word last: the others do not wait for it.
                    let sum = xor(x[(i + 3) % 4], xor(xor(x[(i + 1) % 4], x[(i + 2) % 4]), key));
                    x[i] = mix(x[i], sum);
                }
            }
        }
    };
}

/// The rounds, over the vector operations of the module it is expanded in. A vector holds `$lanes` blocks when it is
/// read and one word of each of `4 * $lanes` blocks between the transpositions; `$groups` such sets are in flight at
/// once, to hide the latency of the S-box.
macro_rules! rounds {
    ($features:literal, $lanes:literal, $groups:literal) => {
        const WIDTH: usize = 4 * $lanes;

        #[target_feature(enable = $features)]
        pub(super) fn rounds(keys: &[u32; 32], blocks: &mut [Block]) {
            let mut wide = blocks.chunks_exact_mut(WIDTH * $groups);
            for chunk in &mut wide {
                rounds_of::<$groups>(keys, chunk);
            }
            for group in wide.into_remainder().chunks_mut(WIDTH) {
                let mut whole = [[0; 16]; WIDTH];
                whole[..group.len()].copy_from_slice(group);
                rounds_of::<1>(keys, &mut whole);
                group.copy_from_slice(&whole[..group.len()]);
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn rounds_of<const GROUPS: usize>(keys: &[u32; 32], blocks: &mut [Block]) {
            let mut sets = [[splat(0); 4]; GROUPS];
            for (x, group) in sets.iter_mut().zip(blocks.as_chunks::<WIDTH>().0) {
                for (vector, lanes) in x.iter_mut().zip(group.as_chunks::<$lanes>().0) {
                    *vector = swap_bytes(load(lanes));
                }
                *x = transpose(*x);
            }
            turn!(keys, sets);
            for (x, group) in sets.iter().zip(blocks.as_chunks_mut::<WIDTH>().0) {
                let y = transpose([x[3], x[2], x[1], x[0]]);
                for (vector, lanes) in y.into_iter().zip(group.as_chunks_mut::<$lanes>().0) {
                    store(lanes, swap_bytes(vector));
                }
            }
        }

        /// Counter mode on the whole chunks at the front of `data`; gives their bytes. Counters are made where the rounds want
        /// them, one word of each block a vector, and the key stream never goes through memory.
        #[target_feature(enable = $features)]
        pub(super) fn ctr(keys: &[u32; 32], [a, b, c, mut count]: [u32; 4], data: &mut [u8]) -> usize {
            const CHUNK: usize = 16 * WIDTH * $groups;
            let [a, b, c] = [a, b, c].map(|word| splat(word.cast_signed()));
            let (chunks, rest) = data.as_chunks_mut::<CHUNK>();
            let whole = chunks.len() * CHUNK;
            debug_assert!(rest.len() < CHUNK);
            for chunk in chunks {
                let mut sets = [[splat(0); 4]; $groups];
                for x in &mut sets {
                    *x = [a, b, c, add(splat(count.cast_signed()), places())];
                    count = count.wrapping_add(4 * $lanes);
                }
                turn!(keys, sets);
                for (x, group) in sets.iter().zip(chunk.as_chunks_mut::<{ 16 * WIDTH }>().0) {
                    let y = transpose([x[3], x[2], x[1], x[0]]);
                    for (stream, bytes) in y.into_iter().zip(group.as_chunks_mut::<{ 16 * $lanes }>().0) {
                        let lanes = bytes.as_chunks_mut::<16>().0;
                        if let Ok(lanes) = <&mut [Block; $lanes]>::try_from(lanes) {
                            store(lanes, xor(load(lanes), swap_bytes(stream)));
                        }
                    }
                }
            }
            whole
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn load(lanes: &[Block; $lanes]) -> Vector {
            // SAFETY: an unaligned read of exactly the bytes of the array.
            unsafe { core::ptr::from_ref(lanes).cast::<Vector>().read_unaligned() }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn store(lanes: &mut [Block; $lanes], vector: Vector) {
            // SAFETY: an unaligned write of exactly the bytes of the array.
            unsafe { core::ptr::from_mut(lanes).cast::<Vector>().write_unaligned(vector) }
        }
    };
}

/// Names for the operations of one vector width.
macro_rules! operations {
    ($features:literal, $vector:ty, $($name:ident($($argument:ident),+) = $body:expr;)+) => {
        type Vector = $vector;
        $(
            #[inline]
            #[target_feature(enable = $features)]
            fn $name($($argument: Vector),+) -> Vector {
                $body
            }
        )+
    };
}

/// Transposition of 4x4 words in each 128-bit lane.
macro_rules! transpose {
    ($features:literal, $low32:ident, $high32:ident, $low64:ident, $high64:ident) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose([a, b, c, d]: [Vector; 4]) -> [Vector; 4] {
            let (ab, cd) = ($low32(a, b), $low32(c, d));
            let (ab_high, cd_high) = ($high32(a, b), $high32(c, d));
            [$low64(ab, cd), $high64(ab, cd), $low64(ab_high, cd_high), $high64(ab_high, cd_high)]
        }
    };
}

/// A byte permutation in each 128-bit lane, written from byte 0 up.
const fn bytes(order: [u8; 16]) -> i128 {
    i128::from_le_bytes(order)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
#[inline]
#[target_feature(enable = "sse2")]
fn constant(value: i128) -> __m128i {
    _mm_set_epi64x((value >> 64) as i64, value as i64)
}

const SWAP: i128 = bytes([3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]);
const ROTATE_8: i128 = bytes([3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14]);
const ROTATE_16: i128 = bytes([2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13]);
const ROTATE_24: i128 = bytes([1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12]);

/// SM4's inner affine map followed by the change to the field of AES, as a GFNI matrix and constant.
const INTO: i64 = 0x4c28_7db9_1a22_505d;
const INTO_ADD: i32 = 0x3e;
/// The change back followed by SM4's outer affine map.
const OUT_OF: u64 = 0xf3ab_34a9_74a6_b589;
const OUT_OF_ADD: u8 = 0xd3;

/// L of GB/T 32907-2016, 6.2, drawn into the outer map. L adds a word to itself rotated by 2, 10, 18 and 24 places, which moves
/// whole bytes and, but for the last, two bits across their edges. With byte i - 1 below byte i, byte i of the sum is
/// (b_i + b_i << 2) + (b_(i-1) << 2 + b_(i-1) >> 6) + (b_(i-2) << 2 + b_(i-2) >> 6) + (b_(i-3) + b_(i-3) >> 6):
/// three maps of bytes, `OWN`, `BELOW` twice and `THREE_BELOW`, and rotations by whole bytes.
///
/// In a matrix of GFNI byte 7 - i is the row of bit i, so shifting the result's bits is shifting the matrix by bytes.
const OWN: i64 = (OUT_OF ^ OUT_OF >> 16).cast_signed();
const OWN_ADD: i32 = (OUT_OF_ADD ^ OUT_OF_ADD << 2) as i32;
const BELOW: i64 = (OUT_OF >> 16 ^ OUT_OF << 48).cast_signed();
const BELOW_ADD: i32 = (OUT_OF_ADD << 2 ^ OUT_OF_ADD >> 6) as i32;
const THREE_BELOW: i64 = (OUT_OF ^ OUT_OF << 48).cast_signed();
const THREE_BELOW_ADD: i32 = (OUT_OF_ADD ^ OUT_OF_ADD >> 6) as i32;

/// Four blocks to a set, by the AES instruction for a last round.
mod aes {
    use super::*;

    /// The same maps as `INTO` and `OUT_OF`, by nibbles; the second takes off AES's own affine map too.
    const INTO_LOW: i128 = bytes([
        0x3e, 0xb2, 0x0e, 0x82, 0xbb, 0x37, 0x8b, 0x07, 0xa1, 0x2d, 0x91, 0x1d, 0x24, 0xa8, 0x14, 0x98,
    ]);
    const INTO_HIGH: i128 = bytes([
        0x00, 0xdc, 0x2e, 0xf2, 0xc5, 0x19, 0xeb, 0x37, 0x08, 0xd4, 0x26, 0xfa, 0xcd, 0x11, 0xe3, 0x3f,
    ]);
    const OUT_OF_LOW: i128 = bytes([
        0x6c, 0xd4, 0xa6, 0x1e, 0x52, 0xea, 0x98, 0x20, 0x0b, 0xb3, 0xc1, 0x79, 0x35, 0x8d, 0xff, 0x47,
    ]);
    const OUT_OF_HIGH: i128 = bytes([
        0x00, 0xe0, 0x50, 0xb0, 0x9d, 0x7d, 0xcd, 0x2d, 0xc0, 0x20, 0x90, 0x70, 0x5d, 0xbd, 0x0d, 0xed,
    ]);
    /// Undoes ShiftRows (FIPS 197, 5.1.2), which the instruction includes.
    const UNSHIFT: i128 = bytes([0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3]);

    operations! { "aes,ssse3", __m128i,
        xor(a, b) = _mm_xor_si128(a, b);
        add(a, b) = _mm_add_epi32(a, b);
        swap_bytes(a) = _mm_shuffle_epi8(a, constant(SWAP));
        rotate_2(a) = _mm_or_si128(_mm_slli_epi32::<2>(a), _mm_srli_epi32::<30>(a));
        rotate_8(a) = _mm_shuffle_epi8(a, constant(ROTATE_8));
        rotate_16(a) = _mm_shuffle_epi8(a, constant(ROTATE_16));
        rotate_24(a) = _mm_shuffle_epi8(a, constant(ROTATE_24));
        low_nibbles(a) = _mm_and_si128(a, _mm_set1_epi8(0x0f));
        by_nibbles(a, low, high) = xor(
            _mm_shuffle_epi8(low, low_nibbles(a)),
            _mm_shuffle_epi8(high, low_nibbles(_mm_srli_epi32::<4>(a)))
        );
        substitute(a) = {
            let inner = by_nibbles(a, constant(INTO_LOW), constant(INTO_HIGH));
            let inverse = _mm_shuffle_epi8(_mm_aesenclast_si128(inner, splat(0)), constant(UNSHIFT));
            by_nibbles(inverse, constant(OUT_OF_LOW), constant(OUT_OF_HIGH))
        };
        mix(x, sum) = {
            // L of GB/T 32907-2016, 6.2.
            let b = substitute(sum);
            let inner = xor(b, xor(rotate_8(b), rotate_16(b)));
            xor(xor(x, xor(b, rotate_24(b))), rotate_2(inner))
        };
    }
    transpose!("aes,ssse3", _mm_unpacklo_epi32, _mm_unpackhi_epi32, _mm_unpacklo_epi64, _mm_unpackhi_epi64);
    rounds!("aes,ssse3", 1, 4);

    #[inline]
    #[target_feature(enable = "aes,ssse3")]
    fn splat(word: i32) -> Vector {
        _mm_set1_epi32(word)
    }

    /// Which block of a set has its word where, after the transposition.
    #[inline]
    #[target_feature(enable = "aes,ssse3")]
    fn places() -> Vector {
        _mm_set_epi32(3, 2, 1, 0)
    }
}

/// Eight blocks to a set.
mod gfni256 {
    use super::*;

    operations! { "gfni,avx2", __m256i,
        xor(a, b) = _mm256_xor_si256(a, b);
        add(a, b) = _mm256_add_epi32(a, b);
        swap_bytes(a) = _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(constant(SWAP)));
        rotate_8(a) = _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(constant(ROTATE_8)));
        rotate_16(a) = _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(constant(ROTATE_16)));
        rotate_24(a) = _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(constant(ROTATE_24)));
        mix(x, sum) = {
            let a = _mm256_gf2p8affine_epi64_epi8::<INTO_ADD>(sum, _mm256_set1_epi64x(INTO));
            let own = _mm256_gf2p8affineinv_epi64_epi8::<OWN_ADD>(a, _mm256_set1_epi64x(OWN));
            let below = _mm256_gf2p8affineinv_epi64_epi8::<BELOW_ADD>(a, _mm256_set1_epi64x(BELOW));
            let three =
                _mm256_gf2p8affineinv_epi64_epi8::<THREE_BELOW_ADD>(a, _mm256_set1_epi64x(THREE_BELOW));
            xor(xor(x, xor(own, rotate_24(three))), xor(rotate_8(below), rotate_16(below)))
        };
    }
    transpose!(
        "gfni,avx2",
        _mm256_unpacklo_epi32,
        _mm256_unpackhi_epi32,
        _mm256_unpacklo_epi64,
        _mm256_unpackhi_epi64
    );
    rounds!("gfni,avx2", 2, 2);

    #[inline]
    #[target_feature(enable = "gfni,avx2")]
    fn splat(word: i32) -> Vector {
        _mm256_set1_epi32(word)
    }

    /// Which block of a set has its word where, after the transposition: in lane `l` stand `l`, `2 + l`, `4 + l`, `6 + l`.
    #[inline]
    #[target_feature(enable = "gfni,avx2")]
    fn places() -> Vector {
        _mm256_set_epi32(7, 5, 3, 1, 6, 4, 2, 0)
    }
}

/// Sixteen blocks to a set.
mod gfni512 {
    use super::*;

    operations! { "gfni,avx512f,avx512bw", __m512i,
        xor(a, b) = _mm512_xor_si512(a, b);
        add(a, b) = _mm512_add_epi32(a, b);
        swap_bytes(a) = _mm512_shuffle_epi8(a, _mm512_broadcast_i32x4(constant(SWAP)));
        rotate_8(a) = _mm512_rol_epi32::<8>(a);
        rotate_16(a) = _mm512_rol_epi32::<16>(a);
        rotate_24(a) = _mm512_rol_epi32::<24>(a);
        mix(x, sum) = {
            let a = _mm512_gf2p8affine_epi64_epi8::<INTO_ADD>(sum, _mm512_set1_epi64(INTO));
            let own = _mm512_gf2p8affineinv_epi64_epi8::<OWN_ADD>(a, _mm512_set1_epi64(OWN));
            let below = _mm512_gf2p8affineinv_epi64_epi8::<BELOW_ADD>(a, _mm512_set1_epi64(BELOW));
            let three =
                _mm512_gf2p8affineinv_epi64_epi8::<THREE_BELOW_ADD>(a, _mm512_set1_epi64(THREE_BELOW));
            xor(xor(x, xor(own, rotate_24(three))), xor(rotate_8(below), rotate_16(below)))
        };
    }
    transpose!(
        "gfni,avx512f,avx512bw",
        _mm512_unpacklo_epi32,
        _mm512_unpackhi_epi32,
        _mm512_unpacklo_epi64,
        _mm512_unpackhi_epi64
    );
    rounds!("gfni,avx512f,avx512bw", 4, 4);

    #[inline]
    #[target_feature(enable = "gfni,avx512f,avx512bw")]
    fn splat(word: i32) -> Vector {
        _mm512_set1_epi32(word)
    }

    /// Which block of a set has its word where, after the transposition: in lane `l` stand `l`, `4 + l`, `8 + l`, `12 + l`.
    #[inline]
    #[target_feature(enable = "gfni,avx512f,avx512bw")]
    fn places() -> Vector {
        _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0)
    }
}

/// [`clmul`], four blocks to a vector.
mod clmul512 {
    use super::*;

    const REVERSE: i128 = bytes([15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);

    #[target_feature(enable = "pclmulqdq,ssse3,vpclmulqdq,avx512f,avx512bw")]
    pub(super) fn absorb(mut state: u128, powers: &[u128; POWERS], blocks: &[Block]) -> u128 {
        let (groups, rest) = blocks.as_chunks::<POWERS>();
        let mut falling = [_mm512_setzero_si512(); POWERS / 4];
        for (vector, powers) in falling.iter_mut().rev().zip(powers.as_chunks::<4>().0) {
            // SAFETY: an unaligned read of exactly the bytes of the array.
            let rising = unsafe { core::ptr::from_ref(powers).cast::<__m512i>().read_unaligned() };
            *vector = _mm512_shuffle_i64x2::<0b00_01_10_11>(rising, rising);
        }
        if !groups.is_empty() {
            let mut sum = constant(state.cast_signed());
            for group in groups {
                sum = absorb_group(sum, &falling, group);
            }
            let mut out = [0; 16];
            // SAFETY: an unaligned write of exactly the sixteen bytes of the array.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sum) }
            state = u128::from_le_bytes(out);
        }
        if rest.is_empty() { state } else { clmul::absorb(state, powers, rest) }
    }

    /// All the products first, their sums folded once.
    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3,vpclmulqdq,avx512f,avx512bw")]
    fn absorb_group(state: __m128i, falling: &[__m512i; POWERS / 4], blocks: &[Block; POWERS]) -> __m128i {
        let reverse = _mm512_broadcast_i32x4(constant(REVERSE));
        let mut state = _mm512_zextsi128_si512(state);
        let [mut low, mut middle, mut high] = [_mm512_setzero_si512(); 3];
        for (four, powers) in blocks.as_chunks::<4>().0.iter().zip(falling) {
            // SAFETY: an unaligned read of exactly the bytes of the array.
            let four = unsafe { core::ptr::from_ref(four).cast::<__m512i>().read_unaligned() };
            let a = _mm512_xor_si512(_mm512_shuffle_epi8(four, reverse), state);
            state = _mm512_setzero_si512();
            low = _mm512_xor_si512(low, _mm512_clmulepi64_epi128::<0x00>(a, *powers));
            high = _mm512_xor_si512(high, _mm512_clmulepi64_epi128::<0x11>(a, *powers));
            let cross = _mm512_xor_si512(
                _mm512_clmulepi64_epi128::<0x01>(a, *powers),
                _mm512_clmulepi64_epi128::<0x10>(a, *powers),
            );
            middle = _mm512_xor_si512(middle, cross);
        }
        let [mut low, middle, mut high] = [low, middle, high].map(|sum| quarters(sum));
        low = _mm_xor_si128(low, _mm_slli_si128::<8>(middle));
        high = _mm_xor_si128(high, _mm_srli_si128::<8>(middle));
        _mm_xor_si128(high, clmul::fold(clmul::fold(low)))
    }

    /// The sum of the four lanes.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn quarters(sum: __m512i) -> __m128i {
        let one = _mm_xor_si128(_mm512_castsi512_si128(sum), _mm512_extracti32x4_epi32::<1>(sum));
        let two = _mm_xor_si128(_mm512_extracti32x4_epi32::<2>(sum), _mm512_extracti32x4_epi32::<3>(sum));
        _mm_xor_si128(one, two)
    }
}

/// The arithmetic of `ghash.rs`, in vectors.
mod clmul {
    use super::*;

    const REVERSE: i128 = bytes([15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    const POLY: i128 = 0xc2 << 56;

    #[target_feature(enable = "pclmulqdq,ssse3")]
    pub(super) fn absorb(state: u128, powers: &[u128], blocks: &[Block]) -> u128 {
        let mut state = constant(state.cast_signed());
        for group in blocks.chunks(powers.len()) {
            state = absorb_group(state, &powers[..group.len()], group);
        }
        let mut out = [0; 16];
        // SAFETY: an unaligned write of exactly the sixteen bytes of the array.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), state) }
        u128::from_le_bytes(out)
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3")]
    fn absorb_group(mut state: __m128i, powers: &[u128], blocks: &[Block]) -> __m128i {
        let [mut low, mut middle, mut high] = [constant(0); 3];
        for (block, power) in blocks.iter().zip(powers.iter().rev()) {
            let block = constant(i128::from_le_bytes(*block));
            let a = _mm_xor_si128(_mm_shuffle_epi8(block, constant(REVERSE)), state);
            let b = constant(power.cast_signed());
            state = constant(0);
            low = _mm_xor_si128(low, _mm_clmulepi64_si128::<0x00>(a, b));
            high = _mm_xor_si128(high, _mm_clmulepi64_si128::<0x11>(a, b));
            let cross = _mm_xor_si128(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b));
            middle = _mm_xor_si128(middle, cross);
        }
        low = _mm_xor_si128(low, _mm_slli_si128::<8>(middle));
        high = _mm_xor_si128(high, _mm_srli_si128::<8>(middle));
        _mm_xor_si128(high, fold(fold(low)))
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3")]
    pub(super) fn fold(x: __m128i) -> __m128i {
        _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(x), _mm_clmulepi64_si128::<0x00>(x, constant(POLY)))
    }
}
