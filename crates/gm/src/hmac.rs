//! HMAC (RFC 2104, GB/T 15852.2) over SM3.

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::sm3::{BLOCK, Sm3};

/// HMAC-SM3 of a stream under one key. Wiped when dropped.
///
/// A clone of a keyed and otherwise fresh one saves the two compressions that the key costs.
#[derive(Clone, ZeroizeOnDrop)]
pub struct HmacSm3 {
    inner: Sm3,
    outer: Sm3,
}

impl HmacSm3 {
    /// Takes the key, of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0u8; BLOCK]);
        if key.len() > BLOCK {
            let mut digest = Sm3::digest(key);
            block[..32].copy_from_slice(&digest);
            digest.zeroize();
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let (mut inner, mut outer) = (Sm3::new(), Sm3::new());
        block.iter_mut().for_each(|byte| *byte ^= 0x36);
        inner.update(block.as_slice());
        block.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        outer.update(block.as_slice());
        Self { inner, outer }
    }

    /// Takes the next bytes of the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The 32 bytes of the code.
    #[must_use]
    pub fn finalize(mut self) -> [u8; 32] {
        let mut digest = self.inner.clone().finalize();
        self.outer.update(&digest);
        digest.zeroize();
        self.outer.clone().finalize()
    }

    /// Whether `code` is that of the message: the whole of it, or its first bytes where a protocol cuts it, which it
    /// may to no fewer than 16 (RFC 2104 §5 asks for half). In constant time.
    #[must_use]
    pub fn verify(self, code: &[u8]) -> bool {
        let mut whole = self.finalize();
        let same = (16..=32).contains(&code.len()) && bool::from(whole[..code.len()].ct_eq(code));
        whole.zeroize();
        same
    }

    /// The code of one buffer.
    #[must_use]
    pub fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
        let mut hmac = Self::new(key);
        hmac.update(message);
        hmac.finalize()
    }
}

impl core::fmt::Debug for HmacSm3 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HmacSm3").finish_non_exhaustive()
    }
}
