//! SM3, GB/T 32905-2016 (also ISO/IEC 10118-3:2018 §17). The clause numbers are the standard's.
//!
//! One stream: [`Sm3`]. Many messages at once, each in a lane of a vector register: [`digest_many`],
//! [`digest_prefixed`] and [`digest_pairs`]. The processor is asked once what it can do; see `level`.

pub(crate) mod level;
pub(crate) mod many;
#[cfg(test)]
pub(crate) mod reference;
mod rounds;
#[cfg(target_arch = "x86_64")]
pub(crate) mod simd;
#[cfg(test)]
mod tests;

pub use many::{digest_many, digest_pairs, digest_prefixed};

use level::Level;

/// Initial value, §4.1.
pub(crate) const IV: [u32; 8] =
    [0x7380_166f, 0x4914_b2b9, 0x1724_42d7, 0xda8a_0600, 0xa96f_30bc, 0x1631_38aa, 0xe38d_ee4d, 0xb0fb_0e4e];

/// The round constant `T_j` of §4.2, already rotated left by `j` as §5.3.3 uses it.
pub(crate) const T: [u32; 64] = {
    let mut table = [0u32; 64];
    let mut j: u32 = 0;
    while j < 64 {
        let base: u32 = if j < 16 { 0x79cc_4519 } else { 0x7a87_9d8a };
        table[j as usize] = base.rotate_left(j % 32);
        j += 1;
    }
    table
};

pub(crate) const BLOCK: usize = 64;

/// The SM3 hash of a stream: 32 bytes, in the byte order the standard prints.
#[derive(Clone)]
pub struct Sm3 {
    state: [u32; 8],
    partial: [u8; BLOCK],
    filled: usize,
    /// Bytes taken so far; the standard bounds a message at 2^64 bits (§5.2).
    length: u64,
}

/// Wiped where what was hashed is a secret; the hasher is then as good as new.
impl zeroize::Zeroize for Sm3 {
    fn zeroize(&mut self) {
        self.state.zeroize();
        self.partial.zeroize();
        *self = Self::default();
    }
}

impl Default for Sm3 {
    fn default() -> Self {
        Self { state: IV, partial: [0; BLOCK], filled: 0, length: 0 }
    }
}

impl Sm3 {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if self.filled > 0 {
            let take = bytes.len().min(BLOCK - self.filled);
            self.partial[self.filled..self.filled + take].copy_from_slice(&bytes[..take]);
            self.filled += take;
            bytes = &bytes[take..];
            if self.filled < BLOCK {
                return;
            }
            Level::best().blocks(&mut self.state, &[self.partial]);
            self.filled = 0;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        Level::best().blocks(&mut self.state, blocks);
        self.partial[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// The digest of everything taken so far. Padding is §5.2: one bit, zeroes, the length in bits.
    #[must_use]
    pub fn finalize(mut self) -> [u8; 32] {
        let bits = self.length.wrapping_mul(8);
        let mut tail = [0u8; 2 * BLOCK];
        tail[..self.filled].copy_from_slice(&self.partial[..self.filled]);
        tail[self.filled] = 0x80;
        let end = if self.filled < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        tail[end - 8..end].copy_from_slice(&bits.to_be_bytes());
        Level::best().blocks(&mut self.state, tail[..end].as_chunks::<BLOCK>().0);
        to_bytes(self.state)
    }

    /// The digest of one buffer.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        let mut hasher = Self::new();
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// The digest that a final state stands for.
pub(crate) fn to_bytes(state: [u32; 8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    out
}
