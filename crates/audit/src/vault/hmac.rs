//! HMAC (RFC 2104, GB/T 15852.2) over SM3. A keyed one is cloned for each message: the key costs two compressions.

use gm::Sm3;
use zeroize::{Zeroize as _, Zeroizing};

const BLOCK: usize = 64;

#[derive(Clone)]
pub(crate) struct HmacSm3 {
    inner: Sm3,
    outer: Sm3,
}

impl HmacSm3 {
    /// Takes a key of at most one block.
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0u8; BLOCK]);
        let length = key.len().min(BLOCK);
        block[..length].copy_from_slice(&key[..length]);
        let (mut inner, mut outer) = (Sm3::new(), Sm3::new());
        block.iter_mut().for_each(|byte| *byte ^= 0x36);
        inner.update(block.as_slice());
        block.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        outer.update(block.as_slice());
        Self { inner, outer }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    pub(crate) fn finalize(self) -> [u8; 32] {
        let Self { inner, mut outer } = self;
        let mut digest = inner.finalize();
        outer.update(&digest);
        digest.zeroize();
        outer.finalize()
    }
}
