//! The key schedule, the block function and counter mode.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::portable;
#[cfg(target_arch = "x86_64")]
use super::simd;

pub(super) type Block = [u8; 16];

/// Blocks handed to an implementation at once in counter mode: enough to fill the widest of them.
const BATCH: usize = 64;

/// FK of GB/T 32907-2016, 7.3.
const FK: [u32; 4] = [0xa3b1_bac6, 0x56aa_3350, 0x677d_9197, 0xb270_22dc];

/// An SM4 key, expanded. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Sm4 {
    forward: [u32; 32],
    backward: [u32; 32],
    #[zeroize(skip)]
    engine: Engine,
}

/// The ways of computing the rounds. All give the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Engine {
    /// Bit-sliced, on any machine.
    Portable,
    /// AES instructions, 128-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Aes,
    /// Galois field instructions, 256-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Gfni256,
    /// Galois field instructions, 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Gfni512,
}

impl Engine {
    /// The implementations this machine can run, the quickest last.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        [
            (Self::Portable, true),
            #[cfg(target_arch = "x86_64")]
            (Self::Aes, simd::has_aes()),
            #[cfg(target_arch = "x86_64")]
            (Self::Gfni256, simd::has_gfni256()),
            #[cfg(target_arch = "x86_64")]
            (Self::Gfni512, simd::has_gfni512()),
        ]
        .into_iter()
        .filter_map(|(engine, here)| here.then_some(engine))
    }

    fn best() -> Self {
        Self::available().last().unwrap_or(Self::Portable)
    }

    fn rounds(self, keys: &[u32; 32], blocks: &mut [Block]) {
        match self {
            Self::Portable => portable::rounds(keys, blocks),
            #[cfg(target_arch = "x86_64")]
            Self::Aes => simd::rounds_aes(keys, blocks),
            #[cfg(target_arch = "x86_64")]
            Self::Gfni256 => simd::rounds_gfni256(keys, blocks),
            #[cfg(target_arch = "x86_64")]
            Self::Gfni512 => simd::rounds_gfni512(keys, blocks),
        }
    }

    /// Counter mode on as many whole chunks at the front of `data` as the engine has a way for; gives their bytes.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "no engine here has one"))]
    fn ctr(self, keys: &[u32; 32], counter: [u32; 4], data: &mut [u8]) -> usize {
        match self {
            Self::Portable => 0,
            #[cfg(target_arch = "x86_64")]
            Self::Aes => simd::ctr_aes(keys, counter, data),
            #[cfg(target_arch = "x86_64")]
            Self::Gfni256 => simd::ctr_gfni256(keys, counter, data),
            #[cfg(target_arch = "x86_64")]
            Self::Gfni512 => simd::ctr_gfni512(keys, counter, data),
        }
    }
}

impl Sm4 {
    /// Expands a 128-bit key.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self::with_engine(key, Engine::best())
    }

    pub(super) fn with_engine(key: &[u8; 16], engine: Engine) -> Self {
        let forward = expand(key);
        let mut backward = forward;
        backward.reverse();
        Self { forward, backward, engine }
    }

    /// The block function forwards, on one block. Not a mode of encryption: use counter mode or GCM for data.
    pub fn encrypt_block(&self, block: &mut [u8; 16]) {
        self.engine.rounds(&self.forward, core::slice::from_mut(block));
    }

    /// The block function backwards, on one block.
    pub fn decrypt_block(&self, block: &mut [u8; 16]) {
        self.engine.rounds(&self.backward, core::slice::from_mut(block));
    }

    /// The block function forwards, on many blocks.
    pub(super) fn encrypt_blocks(&self, blocks: &mut [Block]) {
        self.engine.rounds(&self.forward, blocks);
    }

    /// The block function backwards, on many blocks.
    pub(super) fn decrypt_blocks(&self, blocks: &mut [Block]) {
        self.engine.rounds(&self.backward, blocks);
    }

    /// Counter mode (GB/T 17964-2021; SP 800-38A, 6.5): XORs the key stream that starts at `counter`, a 128-bit
    /// big-endian integer that wraps, onto `data`. Encrypts and decrypts alike.
    ///
    /// It hides and does not authenticate, and a counter value must never serve twice under one key.
    pub fn apply_ctr(&self, counter: &[u8; 16], data: &mut [u8]) {
        let mut counter = u128::from_be_bytes(*counter);
        let mut rest = data;
        while !rest.is_empty() {
            // What counts in its last word alone is quick. Where that word wraps, a batch goes by counting in all of them.
            let room = usize::try_from(u32::MAX - low_word(counter)).unwrap_or(usize::MAX).saturating_mul(16);
            let front = rest.len().min(room);
            let whole = self.apply_counted(&counter.to_be_bytes(), &mut rest[..front]);
            counter = counter.wrapping_add(whole as u128 / 16);
            let left = rest.len() - whole;
            let by_all_words = if front == rest.len() { left } else { left.min(16 * BATCH) };
            let slow;
            (slow, rest) = rest[whole..].split_at_mut(by_all_words);
            self.apply_keystream(slow, || {
                let block = counter.to_be_bytes();
                counter = counter.wrapping_add(1);
                block
            });
        }
    }

    /// XORs the key stream onto as much of `data` from its front as the engine takes at once, and gives how much that was, in
    /// whole blocks. Only the last word of `counter` counts, and wraps.
    pub(super) fn apply_counted(&self, counter: &Block, data: &mut [u8]) -> usize {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(counter.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        self.engine.ctr(&self.forward, words, data)
    }

    /// XORs onto `data` the encryptions of the blocks that `next` gives.
    pub(super) fn apply_keystream(&self, data: &mut [u8], mut next: impl FnMut() -> Block) {
        let mut stream = [[0_u8; 16]; BATCH];
        let touched = data.len().div_ceil(16).min(BATCH);
        for chunk in data.chunks_mut(16 * BATCH) {
            let used = &mut stream[..chunk.len().div_ceil(16)];
            used.fill_with(&mut next);
            self.engine.rounds(&self.forward, used);
            for (byte, key) in chunk.iter_mut().zip(used.as_flattened()) {
                *byte ^= key;
            }
        }
        stream[..touched].as_flattened_mut().zeroize();
    }
}

impl core::fmt::Debug for Sm4 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sm4").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// The last word of a counter block.
fn low_word(counter: u128) -> u32 {
    let [.., a, b, c, d] = counter.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// GB/T 32907-2016, 7.3.
fn expand(key: &[u8; 16]) -> [u32; 32] {
    let mut state = [0_u32; 4];
    for ((word, bytes), fk) in state.iter_mut().zip(key.as_chunks::<4>().0).zip(FK) {
        *word = u32::from_be_bytes(*bytes) ^ fk;
    }
    let mut keys = [0; 32];
    for (i, key) in (0_u32..).zip(&mut keys) {
        let b = portable::substitute_word(state[1] ^ state[2] ^ state[3] ^ ck(i));
        *key = state[0] ^ b ^ b.rotate_left(13) ^ b.rotate_left(23);
        state = [state[1], state[2], state[3], *key];
    }
    state.zeroize();
    keys
}

/// CK of GB/T 32907-2016, 7.3: byte j of word i is (4i + j) * 7 mod 256.
fn ck(i: u32) -> u32 {
    (0..4).fold(0, |word, j| word << 8 | (((4 * i + j) * 7) & 0xff))
}
