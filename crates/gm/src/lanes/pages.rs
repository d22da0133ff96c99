//! SHA-256 of pages: messages of whole blocks, equally long, one behind the other in memory. Sixteen at a time where the
//! processor has the lanes for it. What a signer of programs needs, who has thousands of them and no use for SM3 there.

use super::{BLOCK, LANES, SHA256_IV, TOO_FEW, pad};
use crate::sm3::level::Level;
use crate::sm3::to_bytes;

/// Digests of the pages of `size` bytes that `pages` consists of: `out[i]` is that of the one at `i * size`.
///
/// ```
/// # use sha2::Digest as _;
/// let mut out = [[0; 32]; 3];
/// gm::sha256_pages(&[7; 3 * 4096], 4096, &mut out);
/// assert_eq!(out[2], *sha2::Sha256::digest([7; 4096]));
/// ```
///
/// # Panics
/// When `size` is no multiple of [`BLOCK`] or zero, or `out` has not one place for each page.
pub fn sha256_pages(pages: &[u8], size: usize, out: &mut [[u8; 32]]) {
    pages_at(Level::best(), pages, size, out);
}

pub(super) fn pages_at(level: Level, pages: &[u8], size: usize, out: &mut [[u8; 32]]) {
    assert!(size != 0 && size.is_multiple_of(BLOCK), "a page is whole blocks");
    assert!(pages.len().is_multiple_of(size) && pages.len() / size == out.len(), "one digest for each page");
    // Whole blocks, so that the padding of each is the same block of its own.
    let mut padding = [0; super::PADDING];
    let _ = pad(&mut padding, 0, size as u64);
    let padding = padding.first_chunk::<BLOCK>().unwrap_or(&[0; BLOCK]);
    for (pages, out) in pages.chunks(size * LANES).zip(out.chunks_mut(LANES)) {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(proof) if out.len() >= TOO_FEW => {
                // Lanes without a page of their own hash the first one again, for nothing.
                let piece = |lane: usize| {
                    let at = if lane < out.len() { lane * size } else { 0 };
                    pages[at..at + size].as_chunks().0
                };
                let states = proof.sha256(core::array::from_fn(piece), padding);
                for (lane, out) in out.iter_mut().enumerate() {
                    *out = to_bytes(super::column(&states, lane));
                }
            }
            _ => pages.chunks(size).zip(out).for_each(|(page, out)| *out = alone(page, padding)),
        }
    }
}

fn alone(page: &[u8], padding: &[u8; BLOCK]) -> [u8; 32] {
    let mut state = SHA256_IV;
    sha2::block_api::compress256(&mut state, page.as_chunks().0);
    sha2::block_api::compress256(&mut state, core::slice::from_ref(padding));
    to_bytes(state)
}
