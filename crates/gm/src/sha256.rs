//! SHA-256 (FIPS 180-4) of many messages at once, for Merkle trees: the sixteen lanes of [`crate::Lanes`], each of which
//! takes the next message when its own ends. One message alone is what the `sha2` crate is for, and where there is no
//! AVX-512 its code for one block is used throughout. [`Stream`] is one message with its pages beside it.

#[cfg(target_arch = "x86_64")]
mod simd;
mod stream;

pub use stream::Stream;

use crate::BLOCK;
use crate::lanes::SHA256_IV;
use crate::sm3::level::Level;
use crate::sm3::many::{Alone, Message, one_by_one};

#[cfg(target_arch = "x86_64")]
use crate::sm3::many::in_lanes;

/// With the SHA extensions, a step of all sixteen lanes costs about as much as this many blocks alone.
const TOO_FEW: usize = 7;

/// Digests of `prefix || inputs[i]`: with `[0x00]`, the leaves of a Merkle tree as RFC 6962 §2.1 frames them.
///
/// ```
/// let mut leaves = [[0; 32]; 2];
/// gm::sha256::digest_prefixed(&[0], &["first", "second"], &mut leaves);
/// let mut root = [[0; 32]];
/// gm::sha256::digest_pairs(&[1], &leaves, &mut root);
/// # use sha2::Digest as _;
/// # assert_eq!(leaves[1][..], sha2::Sha256::digest(b"\0second")[..]);
/// # assert_eq!(root[0][..], sha2::Sha256::digest([&[1][..], &leaves[0], &leaves[1]].concat())[..]);
/// ```
///
/// # Panics
/// When `out` and `inputs` differ in length.
pub fn digest_prefixed<M: AsRef<[u8]>>(prefix: &[u8], inputs: &[M], out: &mut [[u8; 32]]) {
    assert_eq!(inputs.len(), out.len(), "one digest for each input");
    run(Level::best(), prefix, inputs.iter().map(AsRef::as_ref), out);
}

/// Digests of `prefix || left || right` for each two neighbours of one row: with `[0x01]`, the row above in a Merkle
/// tree as RFC 6962 §2.1 frames it. A last digest without a neighbour is left to the caller.
///
/// # Panics
/// When `out` does not hold half of `row`, rounded down.
pub fn digest_pairs(prefix: &[u8], row: &[[u8; 32]], out: &mut [[u8; 32]]) {
    let (pairs, _) = row.as_chunks::<2>();
    assert_eq!(pairs.len(), out.len(), "one digest for each pair");
    run(Level::best(), prefix, pairs.iter().map(|pair| pair.as_flattened()), out);
}

fn run<'a>(level: Level, prefix: &'a [u8], bodies: impl Iterator<Item = &'a [u8]>, out: &mut [[u8; 32]]) {
    let messages = bodies.map(|body| Message::new(prefix, body)).zip(out);
    let alone = Alone {
        iv: SHA256_IV,
        too_few: TOO_FEW,
        blocks: |state: &mut [u32; 8], blocks: &[[u8; BLOCK]]| sha2::block_api::compress256(state, blocks),
    };
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(proof) => in_lanes(&alone, messages, |state, blocks| proof.sha256_lanes(state, blocks)),
        _ => one_by_one(&alone, messages),
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    /// Every length around the ends of blocks, in every number of messages around that of the lanes; the `sha2` crate
    /// judges.
    #[test]
    fn many_at_once_are_what_each_is_alone() {
        let bytes: Vec<u8> = (0..700u32).map(|n| (n * 31 % 251) as u8).collect();
        for level in Level::all() {
            for count in [0, 1, 4, 5, 6, 15, 16, 17, 40, 333] {
                let inputs: Vec<&[u8]> = (0..count).map(|n| &bytes[n % 7..n % 7 + n * 13 % 400]).collect();
                for prefix in [&[][..], &[0], &[7; 70]] {
                    let mut out = vec![[0; 32]; count];
                    run(level, prefix, inputs.iter().copied(), &mut out);
                    for (input, out) in inputs.iter().zip(out) {
                        assert_eq!(out[..], sha2::Sha256::digest([prefix, input].concat())[..], "{level:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_above_is_hashed_in_pairs() {
        let row: Vec<[u8; 32]> = (0..64u8).map(|n| [n; 32]).collect();
        let mut out = [[0; 32]; 32];
        digest_pairs(&[1], &row, &mut out);
        for (pair, out) in row.as_chunks::<2>().0.iter().zip(out) {
            assert_eq!(out[..], sha2::Sha256::digest([&[1], pair.as_flattened()].concat())[..]);
        }
    }
}
