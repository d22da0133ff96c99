//! SM4, the 128-bit block cipher of GB/T 32907-2016, in counter mode and in GCM (RFC 8998, SP 800-38D).
//!
//! Nothing here indexes memory by, or branches on, a key or a plaintext byte.

mod block;
mod gcm;
mod ghash;
mod portable;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions")]
mod simd;

pub use block::Sm4;
pub use gcm::{Sm4Gcm, Sm4GcmError};

#[cfg(test)]
mod tests;
