//! Cipher block chaining (GB/T 17964-2021; SP 800-38A, 6.2) with the padding of PKCS #7 (RFC 5652, 6.3), for TLCP and
//! formats that ask for it. It hides and does not authenticate: prefer GCM where there is a choice.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::block::{Block, Sm4};
use crate::secrets::published;

/// Blocks that are decrypted together: each needs only the one before it, which is at hand.
const BATCH: usize = 64;

/// The ciphertext is not a positive number of blocks, or its padding is none.
///
/// Who can submit ciphertexts and tell this error from success can decrypt them: check a code over the ciphertext
/// before, as TLCP does not and GCM does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sm4CbcError;

impl core::fmt::Display for Sm4CbcError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a text under SM4-CBC with padding")
    }
}

impl core::error::Error for Sm4CbcError {}

impl Sm4 {
    /// Encrypts whole blocks where they stand.
    pub fn cbc_encrypt_blocks(&self, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
        let mut previous = *iv;
        for block in blocks {
            xor(block, &previous);
            self.encrypt_block(block);
            previous = *block;
        }
    }

    /// Decrypts whole blocks where they stand.
    pub fn cbc_decrypt_blocks(&self, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
        let mut previous = *iv;
        let mut sealed = [[0; 16]; BATCH];
        for group in blocks.chunks_mut(BATCH) {
            let sealed = &mut sealed[..group.len()];
            sealed.copy_from_slice(group);
            self.decrypt_blocks(group);
            for (block, sealed) in group.iter_mut().zip(sealed) {
                xor(block, &previous);
                previous = *sealed;
            }
        }
    }

    /// Encrypts a text of any length: padded, 1 to 16 bytes longer.
    #[must_use]
    pub fn cbc_encrypt(&self, iv: &[u8; 16], text: &[u8]) -> Vec<u8> {
        let padding = 16 - text.len() % 16;
        let mut out = Vec::with_capacity(text.len() + padding);
        out.extend_from_slice(text);
        out.resize(text.len() + padding, padding.to_le_bytes()[0]);
        self.cbc_encrypt_blocks(iv, out.as_chunks_mut().0);
        out
    }

    /// Decrypts what [`Sm4::cbc_encrypt`] made. The padding is looked at in constant time.
    ///
    /// # Errors
    /// [`Sm4CbcError`] when the length or the padding is wrong.
    pub fn cbc_decrypt(&self, iv: &[u8; 16], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Sm4CbcError> {
        if sealed.is_empty() || !sealed.len().is_multiple_of(16) {
            return Err(Sm4CbcError);
        }
        let mut text = Zeroizing::new(sealed.to_vec());
        self.cbc_decrypt_blocks(iv, text.as_chunks_mut().0);
        let last = text.last_chunk::<16>().ok_or(Sm4CbcError)?;
        let padding = last[15];
        // Ones where something is wrong: a padding of 0 or above 16, or a byte of it that is another.
        let mut wrong = padding.wrapping_sub(1) >> 4;
        for (from_end, byte) in (1u8..=16).zip(last.iter().rev()) {
            // All ones while this byte belongs to the padding.
            let inside =
                ((u16::from(padding).wrapping_sub(u16::from(from_end)) >> 8).to_le_bytes()[0]) ^ 0xff;
            wrong |= inside & (byte ^ padding);
        }
        if published(core::hint::black_box(wrong)) != 0 {
            return Err(Sm4CbcError);
        }
        let length = text.len() - usize::from(published(padding));
        text.truncate(length);
        Ok(text)
    }
}

fn xor(block: &mut Block, other: &Block) {
    *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(*other)).to_ne_bytes();
}
