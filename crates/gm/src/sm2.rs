//! SM2: signatures, encryption and key exchange on the 256-bit curve of GB/T 32918.5 (ISO/IEC 14888-3:2018 §6.14 for
//! the signatures).
//!
//! What touches a secret takes the same time and the same memory accesses for all of its values; verification and the
//! reading of public bytes do not. Randomness comes from the caller: nothing here asks the operating system.
//!
//! ```
//! use gm::sm2::{DEFAULT_ID, PrivateKey};
//! # fn random() -> [u8; 32] { [7; 32] }
//! let key = PrivateKey::from_bytes(&random())?;
//! let signature = key.sign(DEFAULT_ID, b"message", &random())?;
//! key.public_key().verify(DEFAULT_ID, b"message", &signature)?;
//! # Ok::<(), gm::sm2::Sm2Error>(())
//! ```

mod base;
mod der;
mod encrypt;
mod error;
pub mod exchange;
mod field;
mod kdf;
mod keys;
mod limbs;
mod multiply;
mod nonce;
mod point;
mod scalar;
mod sign;

pub use error::Sm2Error;
pub use exchange::{Confirmation, Exchange, Role};
pub use keys::{DEFAULT_ID, PrivateKey, PublicKey};
pub use sign::Signature;

/// a, b, and the coordinates of the base point: what Z takes between the id and the key (GB/T 32918.2 §5.5).
const CURVE: [u8; 128] = {
    let parts = [
        field::hex32(b"FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC"),
        point::B,
        point::G_X,
        point::G_Y,
    ];
    let mut all = [0; 128];
    let mut i = 0;
    while i < 128 {
        all[i] = parts[i / 32][i % 32];
        i += 1;
    }
    all
};

#[cfg(test)]
pub(crate) mod tests;
