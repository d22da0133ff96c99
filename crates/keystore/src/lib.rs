//! Keys in files, and whom to trust.
//!
//! ```text
//! keys/   <name>.pem                              private key, PKCS #8 PEM, 0600 (the folder 0700)
//!         <name>.pub.pem                          its public half, SubjectPublicKeyInfo PEM
//!         <name>.json                             when it was made
//!         <name>.<date>.<id>.retired.pub.pem      the public half of a key that was rotated away
//!         <name>.<date>.<id>.retired.json         when it was retired
//! trust/  <name>.pub.pem, <name>.json             somebody else's public key, and when it was trusted
//!         revoked/<key id>.json                   a key never to be believed again: when and why
//! ```
//!
//! **Rotation** replaces a key by a new one of the same name. The private half of the old one is destroyed, its
//! public half stays: what it signed still verifies, and [`Status::Retired`] says since when it cannot have signed
//! anything here. It does *not* prove when a signature was made: whoever copied the private key before the rotation
//! can sign today and write an old date. If that may have happened, revoke the key.
//!
//! **Revocation** beats trust, whichever came first, also for own keys, and is not undone. All signatures by a
//! revoked key stop counting, also those made while it was good: nothing in the signature proves which those are.
//!
//! Keys of others' making are read from PKCS #12 ([`pkcs12`]) and used on PKCS #11 tokens ([`pkcs11`], a feature that is
//! on by default). What this crate does not do: passphrases for its own files (the mode and the disk protect them). On
//! Windows the mode bits do not exist; the folder inherits the access list of the profile it stands in.
#![forbid(unsafe_code)]

mod error;
mod files;
pub mod kek;
mod keyring;
mod name;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
pub mod pkcs12;
mod policy;
mod store;
mod trust;

#[doc(hidden)]
pub mod fuzzing;

pub use error::KeystoreError;
pub use keyring::{Keyring, Origin, RingKey, Status};
pub use name::KeyName;
pub use policy::{Judged, MAX_POLICY, Policy, Signed, Unmet};
pub use store::{Keystore, OwnKey, RetiredKey, Rotation};
pub use trust::{Revocation, TrustStore, TrustedKey, read_public_key};

/// The name of the ledger's own key. It signs checkpoints and nothing else, and it is made with the ledger.
pub const LOG_KEY: &str = "log";

/// The name of the key that signs when none is named.
pub const DEFAULT_KEY: &str = "default";
