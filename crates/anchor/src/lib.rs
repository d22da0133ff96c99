//! Evidence where nobody can take it back: timestamp authorities (RFC 3161), Rekor logs, witnesses of Custody's own
//! ledger, and chains that platforms run.
//!
//! One trait, [`Authority`]; one file, [`Anchored`], which [`verify::verify`] judges offline, years later, with the
//! anchored bytes and the keys that the reader trusts. [`sigstore`] reads, writes and verifies Sigstore bundles.
//!
//! What it does **not** do: decide whom to trust, keep anything, or record anything. Requests are idempotent by their
//! business id, so that whoever records them in a ledger may send them again after a crash.
//!
//! ```
//! use anchor::{Anchored, Subject, verify};
//! let subject = Subject::of("a.txt", b"hello");
//! let file = Anchored::new(subject.clone());
//! let findings = verify::verify(&file, &subject, &verify::Trust::default());
//! assert!(!verify::proves(&findings), "nobody anchored it");
//! ```
#![forbid(unsafe_code)]

pub mod authority;
pub mod baas;
pub mod http;
pub mod receipt;
pub mod rekor;
pub mod sigstore;
pub mod tsa;
pub mod verify;
pub mod witness;

mod base64_text;
mod error;
mod subject;
mod time;

#[doc(hidden)]
pub mod fuzzing;

pub use authority::{Authority, Order};
pub use error::AnchorError;
pub use http::Http;
pub use receipt::{Anchor, Anchored, Evidence, Status};
pub use subject::{Digests, Subject};
