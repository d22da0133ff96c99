//! Eight lanes.

// Loops, not closures: a closure handed to a function without the target feature is not inlined, and vectors would
// go through memory.
use core::arch::x86_64::*;

use super::{BLOCK, T, compress_lanes, nothing};

type V = __m256i;

#[target_feature(enable = "avx2")]
pub(super) fn lanes(state: &mut [[u32; 8]; 8], blocks: &[&[u8; BLOCK]; 8]) {
    let mut old = [splat(0); 8];
    for (old, row) in old.iter_mut().zip(&*state) {
        *old = load(row);
    }
    let new = compress_lanes!(old, words(blocks), nothing);
    for (row, (new, old)) in state.iter_mut().zip(new.into_iter().zip(old)) {
        store(row, xor(new, old));
    }
}

/// The words of the blocks, word `j` of all lanes in element `j`.
#[inline]
#[target_feature(enable = "avx2")]
fn words(blocks: &[&[u8; BLOCK]; 8]) -> [V; 16] {
    let mut words = [splat(0); 16];
    let (halves, _) = words.as_chunks_mut::<8>();
    for (half, words) in halves.iter_mut().enumerate() {
        let mut rows = [splat(0); 8];
        for (row, block) in rows.iter_mut().zip(blocks) {
            *row = load_bytes(&block.as_chunks().0[half]);
        }
        *words = half_words(rows);
    }
    words
}

/// A transposition, four by four and then by halves.
#[inline]
#[target_feature(enable = "avx2")]
fn half_words(mut rows: [V; 8]) -> [V; 8] {
    let big_endian =
        _mm256_broadcastsi128_si256(_mm_set_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203));
    for row in &mut rows {
        *row = _mm256_shuffle_epi8(*row, big_endian);
    }
    // Half `q` of `quads[g][c]` holds word `4q + c` of the lanes `4g..4g + 4`.
    let mut quads = [[splat(0); 4]; 2];
    for (quad, &[r0, r1, r2, r3]) in quads.iter_mut().zip(rows.as_chunks().0) {
        let (low01, high01) = (_mm256_unpacklo_epi32(r0, r1), _mm256_unpackhi_epi32(r0, r1));
        let (low23, high23) = (_mm256_unpacklo_epi32(r2, r3), _mm256_unpackhi_epi32(r2, r3));
        *quad = [
            _mm256_unpacklo_epi64(low01, low23),
            _mm256_unpackhi_epi64(low01, low23),
            _mm256_unpacklo_epi64(high01, high23),
            _mm256_unpackhi_epi64(high01, high23),
        ];
    }
    let mut words = [splat(0); 8];
    for c in 0..4 {
        words[c] = _mm256_permute2x128_si256::<0x20>(quads[0][c], quads[1][c]);
        words[4 + c] = _mm256_permute2x128_si256::<0x31>(quads[0][c], quads[1][c]);
    }
    words
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u32; 8]) -> V {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_bytes(bytes: &[u8; 32]) -> V {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(words: &mut [u32; 8], value: V) {
    // SAFETY: the reference is to 32 writable bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> V {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(x: V, y: V) -> V {
    _mm256_add_epi32(x, y)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(x: V, y: V) -> V {
    _mm256_xor_si256(x, y)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(x: V, y: V, z: V) -> V {
    xor(x, xor(y, z))
}

/// Rotates left by `L`, with `L + R` = 32.
#[inline]
#[target_feature(enable = "avx2")]
fn rol<const L: i32, const R: i32>(x: V) -> V {
    _mm256_or_si256(_mm256_slli_epi32::<L>(x), _mm256_srli_epi32::<R>(x))
}

/// A rotate by whole bytes is one shuffle.
#[inline]
#[target_feature(enable = "avx2")]
fn rol8(x: V) -> V {
    let indices = _mm_set_epi32(0x0e0d_0c0f, 0x0a09_080b, 0x0605_0407, 0x0201_0003);
    _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(indices))
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(x: V, y: V, z: V) -> V {
    _mm256_or_si256(_mm256_and_si256(x, _mm256_or_si256(y, z)), _mm256_and_si256(y, z))
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(x: V, y: V, z: V) -> V {
    xor(z, _mm256_and_si256(x, xor(y, z)))
}

/// `x ^ (x <<< 9) ^ (x <<< 17)`, the last two as one rotate of both.
#[inline]
#[target_feature(enable = "avx2")]
fn p0(x: V) -> V {
    xor(x, rol::<9, 23>(xor(x, rol8(x))))
}

/// `x ^ (x <<< 15) ^ (x <<< 23)`, the last two as one rotate of both.
#[inline]
#[target_feature(enable = "avx2")]
fn p1(x: V) -> V {
    xor(x, rol::<15, 17>(xor(x, rol8(x))))
}
