//! GCM over SM4 with 96-bit nonces and 128-bit tags: AEAD_SM4_GCM of RFC 8998, section 2.

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::block::{Block, Engine, Sm4};
use super::ghash::{HashKey, Multiplier};
use crate::secrets::published;

/// SP 800-38D, 5.2.1.1: 2^39 - 256 bits of text.
const TEXT_LIMIT: u64 = (1 << 36) - 32;
/// Text that is encrypted and hashed before the next: it stays in the first-level cache between the two.
const PIECE: usize = 8 * 1024;
/// The text is under counters from two on; one is the tag's (SP 800-38D, 7.1).
const FIRST: u32 = 2;
/// The longest text whose key stream is made in one call of the engine together with the tag's block, in blocks: what the
/// widest engine takes at once, and one less.
const SHORT: usize = 15;

/// The tag's block, and behind it the key stream of a short text.
type ShortStream = Zeroizing<[Block; SHORT + 1]>;
/// And 2^64 - 1 bits of additional data.
const AAD_LIMIT: u64 = (1 << 61) - 1;

/// An SM4 key ready for GCM. Wiped when dropped.
///
/// A nonce must never serve twice under one key: a repetition gives away the XOR of two texts and the means to
/// forge tags.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Sm4Gcm {
    cipher: Sm4,
    hash: HashKey,
}

/// Why nothing was encrypted or decrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sm4GcmError {
    /// The text or the additional data is longer than the mode can take.
    TooLong,
    /// The tag is not that of this text, nonce and additional data under this key.
    Refused,
}

impl core::fmt::Display for Sm4GcmError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than GCM can take",
            Self::Refused => "the tag does not match",
        })
    }
}

impl core::error::Error for Sm4GcmError {}

impl Sm4Gcm {
    /// Expands a 128-bit key.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self::from_parts(Sm4::new(key), Multiplier::best())
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "every pair of implementations is tested"))]
    pub(super) fn with_engines(key: &[u8; 16], engine: Engine, multiplier: Multiplier) -> Self {
        Self::from_parts(Sm4::with_engine(key, engine), multiplier)
    }

    fn from_parts(cipher: Sm4, multiplier: Multiplier) -> Self {
        let mut h = [0; 16];
        cipher.encrypt_block(&mut h);
        let hash = HashKey::new(h, multiplier);
        h.zeroize();
        Self { cipher, hash }
    }

    /// Encrypts `text` where it stands and returns the tag over it and `aad`.
    ///
    /// # Errors
    ///
    /// [`Sm4GcmError::TooLong`], with `text` as it was.
    pub fn encrypt_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; 16], Sm4GcmError> {
        check_lengths(aad, text)?;
        let mut state = self.hash.absorb_padded(0, aad);
        if let Some(stream) = self.short_stream(nonce, text.len()) {
            apply_short(&stream, text);
            state = self.hash.absorb_padded(state, text);
            return Ok(self.tag(&stream[0], state, aad, text));
        }
        let mut count = FIRST;
        for piece in text.chunks_mut(PIECE) {
            count = self.apply(nonce, count, piece);
            state = self.hash.absorb_padded(state, piece);
        }
        Ok(self.tag(&self.mask(nonce), state, aad, text))
    }

    /// Verifies the tag, in constant time, then decrypts `text` where it stands.
    ///
    /// # Errors
    ///
    /// [`Sm4GcmError::Refused`] when the tag does not match; `text` is then all zeros. [`Sm4GcmError::TooLong`],
    /// with `text` as it was.
    pub fn decrypt_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Sm4GcmError> {
        check_lengths(aad, text)?;
        let state = self.hash.absorb_padded(self.hash.absorb_padded(0, aad), text);
        let short = self.short_stream(nonce, text.len());
        let mask = short.as_ref().map_or_else(|| self.mask(nonce), |stream| Zeroizing::new(stream[0]));
        let mut expected = self.tag(&mask, state, aad, text);
        let same = bool::from(published(expected.ct_eq(tag)));
        expected.zeroize();
        if !same {
            text.zeroize();
            return Err(Sm4GcmError::Refused);
        }
        match short {
            Some(stream) => apply_short(&stream, text),
            None => {
                self.apply(nonce, FIRST, text);
            }
        }
        Ok(())
    }

    /// Encrypts or decrypts from the counter `count` on, and gives the next: the last word counts alone (SP 800-38D, 6.5).
    fn apply(&self, nonce: &[u8; 12], count: u32, text: &mut [u8]) -> u32 {
        let whole = self.cipher.apply_counted(&counter_block(nonce, count), text);
        #[expect(clippy::cast_possible_truncation, reason = "counters are modulo 2^32")]
        let mut count = count.wrapping_add((whole / 16) as u32);
        self.cipher.apply_keystream(&mut text[whole..], || {
            let block = counter_block(nonce, count);
            count = count.wrapping_add(1);
            block
        });
        count
    }

    /// The block that hides a tag.
    fn mask(&self, nonce: &[u8; 12]) -> Zeroizing<Block> {
        let mut block = Zeroizing::new(counter_block(nonce, FIRST - 1));
        self.cipher.encrypt_block(&mut block);
        block
    }

    fn short_stream(&self, nonce: &[u8; 12], length: usize) -> Option<ShortStream> {
        let blocks = length.div_ceil(16);
        if blocks > SHORT {
            return None;
        }
        let mut stream = Zeroizing::new([[0; 16]; SHORT + 1]);
        for (count, block) in (FIRST - 1..).zip(&mut stream[..=blocks]) {
            *block = counter_block(nonce, count);
        }
        self.cipher.encrypt_blocks(&mut stream[..=blocks]);
        Some(stream)
    }

    fn tag(&self, mask: &Block, state: u128, aad: &[u8], text: &[u8]) -> [u8; 16] {
        let mut tag = self.hash.finish(state, aad, text);
        tag.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        tag
    }
}

fn apply_short(stream: &ShortStream, text: &mut [u8]) {
    text.iter_mut().zip(stream[1..].as_flattened()).for_each(|(byte, key)| *byte ^= key);
}

impl core::fmt::Debug for Sm4Gcm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sm4Gcm").finish_non_exhaustive()
    }
}

fn check_lengths(aad: &[u8], text: &[u8]) -> Result<(), Sm4GcmError> {
    let within = |bytes: &[u8], limit| u64::try_from(bytes.len()).is_ok_and(|len| len <= limit);
    if within(aad, AAD_LIMIT) && within(text, TEXT_LIMIT) { Ok(()) } else { Err(Sm4GcmError::TooLong) }
}

fn counter_block(nonce: &[u8; 12], count: u32) -> Block {
    let mut block = [0; 16];
    block[..12].copy_from_slice(nonce);
    block[12..].copy_from_slice(&count.to_be_bytes());
    block
}
