//! Sixteen lanes: AVX-512 rotates in one instruction and takes any function of three inputs in one.

// Loops, not closures: a closure handed to a function without the target feature is not inlined, and vectors would
// go through memory.
use core::arch::x86_64::*;

use super::{BLOCK, T, compress_lanes, nothing};

pub(crate) type V = __m512i;

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn lanes(state: &mut [[u32; 16]; 8], blocks: &[&[u8; BLOCK]; 16]) {
    let mut old = [splat(0); 8];
    for (old, row) in old.iter_mut().zip(&*state) {
        *old = load(row);
    }
    let new = rounds(old, words(blocks));
    for (row, (new, old)) in state.iter_mut().zip(new.into_iter().zip(old)) {
        store(row, xor(new, old));
    }
}

/// The compression function without its last step, the addition of the old state.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rounds(state: [V; 8], words: [V; 16]) -> [V; 8] {
    compress_lanes!(state, words, nothing)
}

/// The words of the blocks, word `j` of all lanes in element `j`: a transposition, four by four and then by quarters.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn words(blocks: &[&[u8; BLOCK]; 16]) -> [V; 16] {
    let big_endian = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut rows = [splat(0); 16];
    for (row, block) in rows.iter_mut().zip(blocks) {
        *row = _mm512_shuffle_epi8(load_bytes(block), big_endian);
    }
    // Quarter `q` of `quads[g][c]` holds word `4q + c` of the lanes `4g..4g + 4`.
    let mut quads = [[splat(0); 4]; 4];
    for (quad, &[r0, r1, r2, r3]) in quads.iter_mut().zip(rows.as_chunks().0) {
        let (low01, high01) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
        let (low23, high23) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
        *quad = [
            _mm512_unpacklo_epi64(low01, low23),
            _mm512_unpackhi_epi64(low01, low23),
            _mm512_unpacklo_epi64(high01, high23),
            _mm512_unpackhi_epi64(high01, high23),
        ];
    }
    let mut words = [splat(0); 16];
    for c in 0..4 {
        let [q0, q1, q2, q3] = [quads[0][c], quads[1][c], quads[2][c], quads[3][c]];
        let (even01, odd01) = (_mm512_shuffle_i32x4::<0x88>(q0, q1), _mm512_shuffle_i32x4::<0xdd>(q0, q1));
        let (even23, odd23) = (_mm512_shuffle_i32x4::<0x88>(q2, q3), _mm512_shuffle_i32x4::<0xdd>(q2, q3));
        words[c] = _mm512_shuffle_i32x4::<0x88>(even01, even23);
        words[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd01, odd23);
        words[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even01, even23);
        words[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd01, odd23);
    }
    words
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load(words: &[u32; 16]) -> V {
    // SAFETY: the reference is to 64 readable bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[u8; BLOCK]) -> V {
    // SAFETY: the reference is to 64 readable bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store(words: &mut [u32; 16], value: V) {
    // SAFETY: the reference is to 64 writable bytes, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn splat(word: u32) -> V {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn add(x: V, y: V) -> V {
    _mm512_add_epi32(x, y)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn xor(x: V, y: V) -> V {
    _mm512_xor_si512(x, y)
}

/// Rotates left by `L`; the other count is for widths that have no rotate.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn rol<const L: i32, const R: i32>(x: V) -> V {
    _mm512_rol_epi32::<L>(x)
}

/// The immediate is the truth table: bit `4x + 2y + z` is the result.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn xor3(x: V, y: V, z: V) -> V {
    _mm512_ternarylogic_epi32::<0x96>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn majority(x: V, y: V, z: V) -> V {
    _mm512_ternarylogic_epi32::<0xe8>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn choose(x: V, y: V, z: V) -> V {
    _mm512_ternarylogic_epi32::<0xca>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn p0(x: V) -> V {
    xor3(x, rol::<9, 23>(x), rol::<17, 15>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn p1(x: V) -> V {
    xor3(x, rol::<15, 17>(x), rol::<23, 9>(x))
}
