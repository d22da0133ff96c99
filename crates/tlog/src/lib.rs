//! Transparency-log trees: RFC 6962 hashing, C2SP tiles, checkpoints and proofs.
//!
//! Pure: bytes in, facts or bytes out. The tree is that of RFC 6962 §2.1, its storage that of
//! c2sp.org/tlog-tiles, its heads those of c2sp.org/tlog-checkpoint. Everything about hashes is generic over
//! [`TreeHash`], because a Custody log keeps the same leaves under SHA-256 and under SM3.
//!
//! It does not sign or open notes, and it reads no file: proofs are built over a [`HashReader`] of the caller.
//!
//! ```
//! use tlog::{Frontier, Sha256, TreeHash as _};
//! let mut tree = Frontier::<Sha256>::new();
//! tree.push(Sha256::leaf(b"first"));
//! tree.push(Sha256::leaf(b"second"));
//! assert_eq!(tree.root(), Sha256::node(&Sha256::leaf(b"first"), &Sha256::leaf(b"second")));
//! ```
#![forbid(unsafe_code)]

pub mod bundle;
pub mod checkpoint;
pub mod consistency;
pub mod proof;
pub mod tile;

mod error;
mod hash;
mod inclusion;
mod text;
mod tree;

#[doc(hidden)]
pub mod fuzzing;

pub use checkpoint::Checkpoint;
pub use consistency::ConsistencyProof;
pub use error::TlogError;
pub use hash::{Hash, Sha256, Sm3, TreeHash};
pub use inclusion::InclusionProof;
pub use proof::{
    HashReader, consistency_path, inclusion_path, root_at, verify_consistency, verify_inclusion,
};
pub use tile::{TILE_WIDTH, Tile};
pub use tree::Frontier;

#[cfg(test)]
mod tests;
