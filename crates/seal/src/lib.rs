//! The artefact tree, the in-toto statement that carries it, and the comparison of a seal with what was found.
//!
//! A [`Seal`] says what an artefact (a directory, a file, an archive) consists of: every entry by path, type,
//! mode, size, SHA-256 and SM3, bound by two Merkle roots and signed in a DSSE envelope. The exact bytes stand in
//! `docs/formats/seal.md`, with test vectors.
//!
//! Pure: bytes in, facts or bytes out. It does **not** read files: the `evidence` crate collects an
//! [`Observation`], and [`Comparison::of`] says how it differs from a seal. It does not decide whom to trust:
//! the caller hands in verifiers.
//!
//! ```
//! use seal::{Entry, EntryPath, Seal, Subject, Tree};
//! use signing::{Ed25519Signer, Signer};
//!
//! let entry = Entry::file(EntryPath::new("bin/app")?, 0o755, 3, gm::Dual::digest(b"abc"));
//! let seal = Seal::new("release", Subject::Directory, Tree::new(vec![entry])?)?;
//! let signer = Ed25519Signer::generate()?;
//! let envelope = seal.sign(&[&signer as &dyn Signer])?;
//! let opened = Seal::open(&envelope, &[&signer.verifier()])?;
//! assert_eq!(opened.seal, seal);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod compare;
mod container;
mod entry;
mod error;
mod exclude;
mod file;
mod head;
mod path;
mod program;
mod proof;
mod statement;
mod tree;

#[doc(hidden)]
pub mod fuzzing;

pub use compare::{
    Change, ChangeReason, Comparison, DamagedRange, Fault, Instead, Observation, ObservedKind, Place, Rename,
};
pub use container::{Container, Format, block_size_for};
pub use entry::{Entry, EntryKind, LINK_MODE, MAX_MODE};
pub use error::SealError;
pub use exclude::Exclude;
pub use head::{HEAD_TYPE, Head, MAX_HEAD};
pub use path::{EntryPath, MAX_DEPTH, MAX_PATH, PathError, escape};
pub use program::{Program, bound_tree};
pub use proof::{EntryProof, MAX_PROOF, PROOF_FORMAT, Proved};
pub use statement::{
    MAX_ENVELOPE, MAX_SIGNATURES, MAX_STATEMENT, Opened, PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, Seal,
    SignedSeal, Subject,
};
pub use tree::{ALGORITHM, MAX_ENTRIES, Tree, leaf_input};
