//! Sigstore: bundles read and written, and verified offline against a trusted root.

pub mod bundle;
mod certificate;
mod checkpoint;
mod entry;
mod fulcio;
mod log;
mod number;
mod root;
mod verify;

pub use bundle::{Bundle, MAX_BUNDLE};
pub use certificate::{Identity, identity as identity_of};
pub(crate) use entry::{Expected, Signed, check as check_entry, verifier_of};
pub use fulcio::Keyless;
pub(crate) use fulcio::parse as parse_certificate;
pub(crate) use log::is_known;
pub use root::{Chain, Log, MAX_ROOT, Range, TrustedRoot};
pub use verify::{Artifact, IN_TOTO, Policy, Signer, Verified, verify};
