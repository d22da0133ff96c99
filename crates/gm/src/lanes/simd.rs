//! SHA-256 (FIPS 180-4 §6.2.2) on sixteen lanes of AVX-512, and one step of both hashes over the same blocks.
//!
//! What makes it sound: [`Avx512`] exists only where the processor has the instructions, and memory is read through
//! references to arrays.
#![expect(unsafe_code, reason = "calls of functions with target features")]

use super::{BLOCK, LANES, Lanes, Pieces, Rows, SHA256_IV};
use crate::sm3::T;
use crate::sm3::simd::Avx512;
use crate::sm3::simd::avx512::{V, add, choose, load, majority, p0, p1, rol, splat, store, words, xor, xor3};
use crate::sm3::simd::compress_lanes;
use core::arch::x86_64::{__mmask16, _mm512_srli_epi32};

/// FIPS 180-4 §4.2.2.
pub(crate) const K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

impl Avx512 {
    /// Takes `blocks` blocks of every stream that has some; those have at least as many.
    pub(super) fn dual(self, lanes: &mut Lanes, pieces: &mut Pieces<'_>, blocks: usize) {
        // SAFETY: `self` exists only where AVX-512 F and BW were detected.
        unsafe { dual(lanes, pieces, blocks) }
    }

    /// SHA-256 alone: one block of each of sixteen messages.
    #[inline]
    pub(crate) fn sha256_lanes(self, state: &mut Rows, blocks: &[&[u8; BLOCK]; LANES]) {
        // SAFETY: `self` exists only where AVX-512 F and BW were detected.
        unsafe { sha256_lanes(state, blocks) }
    }

    /// The states after sixteen equally long streams that begin here and end in the same block.
    pub(super) fn sha256(self, pieces: Pieces<'_>, end: &[u8; BLOCK]) -> Rows {
        // SAFETY: `self` exists only where AVX-512 F and BW were detected.
        unsafe { sha256(&pieces, end) }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn sha256_lanes(state: &mut Rows, blocks: &[&[u8; BLOCK]; LANES]) {
    let before = load_rows(state);
    let new = sha256_rounds(before, words(blocks));
    for ((row, before), new) in state.iter_mut().zip(before).zip(new) {
        store(row, add(before, new));
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn sha256(pieces: &Pieces<'_>, end: &[u8; BLOCK]) -> Rows {
    let mut rows = SHA256_IV.map(|word| [word; LANES]);
    let mut state = load_rows(&rows);
    let length = pieces.iter().map(|piece| piece.len()).min().unwrap_or(0);
    for at in 0..=length {
        let mut blocks = [end; LANES];
        if at < length {
            for (block, piece) in blocks.iter_mut().zip(pieces) {
                *block = &piece[at];
            }
        }
        let new = sha256_rounds(state, words(&blocks));
        for (state, new) in state.iter_mut().zip(new) {
            *state = add(*state, new);
        }
    }
    for (row, value) in rows.iter_mut().zip(state) {
        store(row, value);
    }
    rows
}

#[target_feature(enable = "avx512f,avx512bw")]
fn dual(lanes: &mut Lanes, pieces: &mut Pieces<'_>, count: usize) {
    const NOTHING: [u8; BLOCK] = [0; BLOCK];
    let mut busy: __mmask16 = 0;
    for (lane, piece) in pieces.iter().enumerate() {
        busy |= u16::from(!piece.is_empty()) << lane;
    }
    let (mut sha256, mut sm3) = (load_rows(&lanes.sha256), load_rows(&lanes.sm3));
    for at in 0..count {
        let mut blocks = [&NOTHING; LANES];
        for (block, piece) in blocks.iter_mut().zip(&*pieces) {
            if let Some(next) = piece.get(at) {
                *block = next;
            }
        }
        let words = words(&blocks);
        let (sha256_new, sm3_new) = both(sha256, sm3, words);
        for (state, new) in sha256.iter_mut().zip(sha256_new) {
            *state = add(*state, new);
        }
        for (state, new) in sm3.iter_mut().zip(sm3_new) {
            *state = xor(*state, new);
        }
    }
    store_rows(&mut lanes.sha256, sha256, busy);
    store_rows(&mut lanes.sm3, sm3, busy);
    for piece in pieces {
        *piece = piece.get(count..).unwrap_or_default();
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_rows(rows: &Rows) -> [V; 8] {
    let mut out = [splat(0); 8];
    for (out, row) in out.iter_mut().zip(rows) {
        *out = load(row);
    }
    out
}

/// Lanes that had no block keep their states.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store_rows(rows: &mut Rows, values: [V; 8], busy: __mmask16) {
    for (row, value) in rows.iter_mut().zip(values) {
        let mut new = *row;
        store(&mut new, value);
        for (lane, word) in row.iter_mut().enumerate() {
            if busy >> lane & 1 == 1 {
                *word = new[lane];
            }
        }
    }
}

/// The 64 rounds, sixteen by sixteen; between them the next sixteen words of the schedule.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sha256_rounds(state: [V; 8], mut w: [V; 16]) -> [V; 8] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    macro_rules! step {
        ($k:expr, $j:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
            let sum1 = xor3(rol::<26, 6>($e), rol::<21, 11>($e), rol::<7, 25>($e));
            let first = add(add($h, add(w[$j], splat($k[$j]))), add(sum1, choose($e, $f, $g)));
            let sum0 = xor3(rol::<30, 2>($a), rol::<19, 13>($a), rol::<10, 22>($a));
            $d = add($d, first);
            $h = add(first, add(sum0, majority($a, $b, $c)));
        };
    }
    for (sixteen, k) in K.as_chunks::<16>().0.iter().enumerate() {
        if sixteen > 0 {
            for j in 0..16 {
                w[j] = scheduled(w[j], w[(j + 1) % 16], w[(j + 9) % 16], w[(j + 14) % 16]);
            }
        }
        step!(k, 0, a b c d e f g h);
        step!(k, 1, h a b c d e f g);
        step!(k, 2, g h a b c d e f);
        step!(k, 3, f g h a b c d e);
        step!(k, 4, e f g h a b c d);
        step!(k, 5, d e f g h a b c);
        step!(k, 6, c d e f g h a b);
        step!(k, 7, b c d e f g h a);
        step!(k, 8, a b c d e f g h);
        step!(k, 9, h a b c d e f g);
        step!(k, 10, g h a b c d e f);
        step!(k, 11, f g h a b c d e);
        step!(k, 12, e f g h a b c d);
        step!(k, 13, d e f g h a b c);
        step!(k, 14, c d e f g h a b);
        step!(k, 15, b c d e f g h a);
    }
    [a, b, c, d, e, f, g, h]
}

/// The 64 rounds of both, four of the one and four of the other: either is a chain of instructions that wait for each
/// other, and the two chains have nothing to do with one another.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn both(sha256: [V; 8], sm3: [V; 8], words: [V; 16]) -> ([V; 8], [V; 8]) {
    let mut w = words;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = sha256;
    macro_rules! sha256 {
        ($j:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
            if $j > 15 {
                w[$j % 16] = scheduled(w[$j % 16], w[($j + 1) % 16], w[($j + 9) % 16], w[($j + 14) % 16]);
            }
            let sum1 = xor3(rol::<26, 6>($e), rol::<21, 11>($e), rol::<7, 25>($e));
            let first = add(add($h, add(w[$j % 16], splat(K[$j]))), add(sum1, choose($e, $f, $g)));
            let sum0 = xor3(rol::<30, 2>($a), rol::<19, 13>($a), rol::<10, 22>($a));
            $d = add($d, first);
            $h = add(first, add(sum0, majority($a, $b, $c)));
        };
    }
    // Called with the number of rounds of SM3 that were done: the same of SHA-256 follow.
    macro_rules! four {
        (8) => { four!(odd 4) };
        (16) => { four!(odd 12) };
        (24) => { four!(odd 20) };
        (32) => { four!(odd 28) };
        (40) => { four!(odd 36) };
        (48) => { four!(odd 44) };
        (56) => { four!(odd 52) };
        (64) => { four!(odd 60) };
        (odd $j:literal) => {
            sha256!($j, e f g h a b c d);
            sha256!($j + 1, d e f g h a b c);
            sha256!($j + 2, c d e f g h a b);
            sha256!($j + 3, b c d e f g h a);
        };
        ($done:literal) => {
            sha256!($done - 4, a b c d e f g h);
            sha256!($done - 3, h a b c d e f g);
            sha256!($done - 2, g h a b c d e f);
            sha256!($done - 1, f g h a b c d e);
        };
    }
    let sm3 = compress_lanes!(sm3, words, four);
    ([a, b, c, d, e, f, g, h], sm3)
}

/// A word of the schedule from those 16, 15, 7 and 2 before it (§6.2.2 step 1).
#[inline]
#[target_feature(enable = "avx512f")]
fn scheduled(w16: V, w15: V, w7: V, w2: V) -> V {
    let sigma0 = xor3(rol::<25, 7>(w15), rol::<14, 18>(w15), _mm512_srli_epi32::<3>(w15));
    let sigma1 = xor3(rol::<15, 17>(w2), rol::<13, 19>(w2), _mm512_srli_epi32::<10>(w2));
    add(add(w16, sigma0), add(w7, sigma1))
}
