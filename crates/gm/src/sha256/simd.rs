//! Two streams under SHA-256 at once, by the SHA extensions of x86-64. A stream alone waits for its own last round
//! (`sha256rnds2` takes four cycles and could begin every two), so that a second one beside it costs a quarter more and not
//! twice as much.
//!
//! What makes it sound: [`Pair`] exists only where the processor has the instructions, and memory is read through references
//! to arrays.
#![expect(unsafe_code, reason = "calls of functions with target features, and unaligned vector loads")]

use core::arch::x86_64::*;

use crate::BLOCK;
use crate::cpu::detected;
use crate::lanes::SHA256_K;

/// A state as the instructions want it: A, B, E, F and C, D, G, H, the first word on top.
type State = [__m128i; 2];

/// The processor has SHA, SSSE3 and SSE4.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair(());

impl Pair {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        detected!("sha", "ssse3", "sse4.1").then_some(Self(()))
    }

    /// Takes blocks into two states: as many as the shorter has.
    pub(super) fn blocks(
        self,
        first: (&mut [u32; 8], &[[u8; BLOCK]]),
        second: (&mut [u32; 8], &[[u8; BLOCK]]),
    ) {
        // SAFETY: `self` exists only where SHA, SSSE3 and SSE4.1 were detected.
        unsafe { blocks(first, second) }
    }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn blocks(
    (first, blocks_of_first): (&mut [u32; 8], &[[u8; BLOCK]]),
    (second, blocks_of_second): (&mut [u32; 8], &[[u8; BLOCK]]),
) {
    let (mut p, mut q) = (load(first), load(second));
    for (a, b) in blocks_of_first.iter().zip(blocks_of_second) {
        let before = (p, q);
        let (mut a, mut b) = (words(a), words(b));
        for (turn, k) in SHA256_K.as_chunks::<16>().0.iter().enumerate() {
            let k = constants(k);
            // Round by round in turn, so that neither waits for itself.
            for ((k, a), b) in k.into_iter().zip(a).zip(b) {
                rounds(&mut p, _mm_add_epi32(a, k));
                rounds(&mut q, _mm_add_epi32(b, k));
            }
            if turn < 3 {
                (a, b) = (further(a), further(b));
            }
        }
        (p, q) = (sum(p, before.0), sum(q, before.1));
    }
    (*first, *second) = (store(p), store(q));
}

/// Four rounds (FIPS 180-4 §6.2.2 step 3) with these sums of word and constant.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds(state: &mut State, sums: __m128i) {
    state[1] = _mm_sha256rnds2_epu32(state[1], state[0], sums);
    state[0] = _mm_sha256rnds2_epu32(state[0], state[1], _mm_shuffle_epi32::<0x0e>(sums));
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn sum(a: State, b: State) -> State {
    [_mm_add_epi32(a[0], b[0]), _mm_add_epi32(a[1], b[1])]
}

/// The next sixteen words of the schedule (§6.2.2 step 1).
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn further([w0, w1, w2, w3]: [__m128i; 4]) -> [__m128i; 4] {
    let w4 = next(w0, w1, w2, w3);
    let w5 = next(w1, w2, w3, w4);
    let w6 = next(w2, w3, w4, w5);
    [w4, w5, w6, next(w3, w4, w5, w6)]
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next(w0: __m128i, w1: __m128i, w2: __m128i, w3: __m128i) -> __m128i {
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
    _mm_sha256msg2_epu32(sum, w3)
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn words(block: &[u8; BLOCK]) -> [__m128i; 4] {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [big_endian; 4];
    for (words, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        // SAFETY: an array of sixteen bytes is what is read, and it need not be aligned.
        *words = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }, big_endian);
    }
    words
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn constants(k: &[u32; 16]) -> [__m128i; 4] {
    let mut out = [_mm_setzero_si128(); 4];
    for (out, four) in out.iter_mut().zip(k.as_chunks::<4>().0) {
        // SAFETY: an array of four words is what is read, and it need not be aligned.
        *out = unsafe { _mm_loadu_si128(four.as_ptr().cast()) };
    }
    out
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(state: &[u32; 8]) -> State {
    let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
    [_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store([abef, cdgh]: State) -> [u32; 8] {
    [
        _mm_extract_epi32::<3>(abef),
        _mm_extract_epi32::<2>(abef),
        _mm_extract_epi32::<3>(cdgh),
        _mm_extract_epi32::<2>(cdgh),
        _mm_extract_epi32::<1>(abef),
        _mm_extract_epi32::<0>(abef),
        _mm_extract_epi32::<1>(cdgh),
        _mm_extract_epi32::<0>(cdgh),
    ]
    .map(i32::cast_unsigned)
}
