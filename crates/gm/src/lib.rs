//! SM2, SM3 and SM4, and one API that hashes a stream under SHA-256 and SM3 in one pass.
//!
//! Pure: bytes in, bytes out. No I/O, no clock, no randomness of its own; only keys and ciphertexts of SM2 allocate.
//! `unsafe` stands in private modules only: those named `simd`, and `sm2::field::adx`.
//!
//! The `std` feature (default) is used for one thing: asking the processor at run time which vector instructions it
//! has. Without it the crate is `no_std` and uses the ones that it was compiled for (`-C target-cpu`).
//!
//! ```
//! let mut both = gm::Dual::new();
//! both.update(b"abc");
//! let digest = both.finalize();
//! assert_eq!(digest.sha256[..4], [0xba, 0x78, 0x16, 0xbf]);
//! assert_eq!(digest.sm3[..4], [0x66, 0xc7, 0xf0, 0xf4]);
//! ```
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(target_arch = "x86_64")]
mod cpu;
#[doc(hidden)]
pub mod fuzzing;
mod hmac;
mod lanes;
mod secrets;
pub mod sha256;
pub mod sm2;
pub mod sm3;
mod sm4;

pub use hmac::HmacSm3;
pub use lanes::{BLOCK, LANES, Lanes, PADDING, pad, sha256_pages};
pub use sm3::Sm3;
pub use sm4::{Sm4, Sm4CbcError, Sm4Gcm, Sm4GcmError};

use sha2::Digest as _;

/// SHA-256 (FIPS 180-4) and SM3 (GB/T 32905-2016) of the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DualDigest {
    /// SHA-256, 32 bytes, big-endian words as the standard prints them.
    pub sha256: [u8; 32],
    /// SM3, 32 bytes, big-endian words as the standard prints them.
    pub sm3: [u8; 32],
}

/// Hashes a stream under SHA-256 and SM3 in one pass over the caller's buffer.
#[derive(Clone, Default)]
pub struct Dual {
    sha256: sha2::Sha256,
    sm3: Sm3,
}

/// Bytes taken under one hash before the other takes the same bytes: small enough to stay in the first-level
/// cache between the two.
const STRIDE: usize = 16 * 1024;

impl Dual {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. Any split of the stream gives the same digests.
    pub fn update(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(STRIDE) {
            self.sha256.update(chunk);
            self.sm3.update(chunk);
        }
    }

    /// The digests of everything taken so far.
    #[must_use]
    pub fn finalize(self) -> DualDigest {
        DualDigest { sha256: self.sha256.finalize().into(), sm3: self.sm3.finalize() }
    }

    /// Both digests of one buffer.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> DualDigest {
        let mut both = Self::new();
        both.update(bytes);
        both.finalize()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
