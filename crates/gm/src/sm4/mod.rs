//! SM4, the 128-bit block cipher of GB/T 32907-2016, in counter mode, in GCM (RFC 8998, SP 800-38D) and in CBC.
//!
//! Nothing here indexes memory by, or branches on, a key or a plaintext byte.

mod block;
mod cbc;
mod gcm;
mod ghash;
mod portable;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions")]
mod simd;
mod sliced;

pub use block::Sm4;
pub use cbc::Sm4CbcError;
pub use gcm::{Sm4Gcm, Sm4GcmError};

/// The bit-sliced implementation, whatever the machine has: for the timing test.
#[cfg(test)]
pub(crate) fn portable_cipher(key: &[u8; 16]) -> Sm4 {
    Sm4::with_engine(key, block::Engine::Portable)
}

/// The same in GCM, with the product on any machine.
#[cfg(test)]
pub(crate) fn portable_gcm(key: &[u8; 16]) -> Sm4Gcm {
    Sm4Gcm::with_engines(key, block::Engine::Portable, ghash::Multiplier::Portable)
}

#[cfg(test)]
mod tests;
