//! Sixteen streams at once under SHA-256 and SM3, each of which can be fed piece by piece.
//!
//! [`Lanes`] holds the states only; the bytes stay with the caller, who hands over whole blocks. Both hashes frame a
//! message alike (FIPS 180-4 §5.1.1, GB/T 32905-2016 §5.2), so one padding, written by [`pad`] behind the last piece,
//! ends it for both. Each block is transposed into vectors once and serves both compression functions.
//!
//! ```
//! let mut last = [0; gm::BLOCK + gm::PADDING];
//! last[..3].copy_from_slice(b"abc");
//! let end = gm::pad(&mut last, 3, 3);
//! let mut lanes = gm::Lanes::new();
//! let mut pieces = [&[][..]; gm::LANES];
//! pieces[7] = last[..end].as_chunks().0;
//! lanes.absorb(pieces);
//! assert_eq!(lanes.digest(7), gm::Dual::digest(b"abc"));
//! ```

mod pages;
#[cfg(target_arch = "x86_64")]
mod simd;
#[cfg(test)]
mod tests;

pub use pages::sha256_pages;
#[cfg(target_arch = "x86_64")]
pub(crate) use simd::K as SHA256_K;

use crate::DualDigest;
use crate::sm3::level::Level;
use crate::sm3::{IV as SM3_IV, to_bytes};

/// Bytes of a block of either hash.
pub const BLOCK: usize = 64;

/// How many streams there are.
pub const LANES: usize = 16;

/// Most bytes that [`pad`] adds.
pub const PADDING: usize = BLOCK + 8;

/// FIPS 180-4 §5.3.3.
pub(crate) const SHA256_IV: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Blocks of each lane that one hash takes before the other: sixteen lanes of them stay in the first-level cache.
const STRIDE: usize = 16;

/// With fewer lanes at work, one after another is faster: a step of all sixteen costs as much as about two blocks
/// under SHA-256 (with the SHA extensions) and SM3 alone.
const TOO_FEW: usize = 3;

/// What is left of each stream in a call.
type Pieces<'a> = [&'a [[u8; BLOCK]]; LANES];

/// One row a state word, one column a lane.
type Rows = [[u32; LANES]; 8];

/// The states of sixteen streams under SHA-256 and SM3.
#[derive(Clone)]
pub struct Lanes {
    sha256: Rows,
    sm3: Rows,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { sha256: SHA256_IV.map(|word| [word; LANES]), sm3: SM3_IV.map(|word| [word; LANES]) }
    }
}

impl Lanes {
    /// Sixteen streams that have seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a new stream begin in `lane`.
    ///
    /// # Panics
    /// When there is no such lane.
    pub fn restart(&mut self, lane: usize) {
        put(&mut self.sha256, lane, SHA256_IV);
        put(&mut self.sm3, lane, SM3_IV);
    }

    /// Takes the next blocks of each stream; a stream may have none.
    pub fn absorb(&mut self, pieces: [&[[u8; BLOCK]]; LANES]) {
        self.absorb_at(Level::best(), pieces);
    }

    fn absorb_at(&mut self, level: Level, mut pieces: Pieces<'_>) {
        #[cfg(target_arch = "x86_64")]
        if let Level::Avx512(proof) = level {
            while let Some(blocks) = common(&pieces) {
                proof.dual(self, &mut pieces, blocks.min(STRIDE));
            }
        }
        for (lane, piece) in pieces.into_iter().enumerate() {
            self.absorb_alone(level, lane, piece);
        }
    }

    /// One stream, with what the processor has for one.
    fn absorb_alone(&mut self, level: Level, lane: usize, blocks: &[[u8; BLOCK]]) {
        if blocks.is_empty() {
            return;
        }
        let mut sha256 = column(&self.sha256, lane);
        let mut sm3 = column(&self.sm3, lane);
        for blocks in blocks.chunks(STRIDE * LANES) {
            sha2::block_api::compress256(&mut sha256, blocks);
            level.blocks(&mut sm3, blocks);
        }
        put(&mut self.sha256, lane, sha256);
        put(&mut self.sm3, lane, sm3);
    }

    /// The digests of the stream in `lane`, whose last blocks ended in [`pad`].
    ///
    /// # Panics
    /// When there is no such lane.
    #[must_use]
    pub fn digest(&self, lane: usize) -> DualDigest {
        DualDigest { sha256: to_bytes(column(&self.sha256, lane)), sm3: to_bytes(column(&self.sm3, lane)) }
    }
}

/// Ends a message of `length` bytes whose last piece fills `buffer` up to `filled`: writes the padding behind it and
/// gives where it ends, a multiple of [`BLOCK`] if the piece began at one.
///
/// # Panics
/// When `buffer` has less room than [`PADDING`] behind `filled`.
#[must_use]
pub fn pad(buffer: &mut [u8], filled: usize, length: u64) -> usize {
    let end = (filled + 9).next_multiple_of(BLOCK);
    let padding = &mut buffer[filled..end];
    padding.fill(0);
    padding[0] = 0x80;
    let bits = padding.len() - 8;
    padding[bits..].copy_from_slice(&length.wrapping_mul(8).to_be_bytes());
    end
}

/// How many blocks all streams that still have some can take together; `None` when they are too few.
#[cfg(target_arch = "x86_64")]
fn common(pieces: &Pieces<'_>) -> Option<usize> {
    let busy = || pieces.iter().map(|piece| piece.len()).filter(|blocks| *blocks > 0);
    if busy().count() < TOO_FEW { None } else { busy().min() }
}

fn column(rows: &Rows, lane: usize) -> [u32; 8] {
    core::array::from_fn(|i| rows[i][lane])
}

fn put(rows: &mut Rows, lane: usize, state: [u32; 8]) {
    rows.iter_mut().zip(state).for_each(|(row, word)| row[lane] = word);
}
