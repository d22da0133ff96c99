//! X.509 certificates and paths, CMS signed data, RFC 3161 timestamps, revocation lists and OCSP responses, as bytes.
//!
//! Pure: no I/O, no clock, no network. The caller hands in the anchors, the moment and the bytes of lists and
//! responses, and is told what holds or the exact rule and certificate at which it fails.
//!
//! What it does **not** do: fetch anything; name constraints and policy mappings (a certificate that makes them
//! critical is refused by name); BER (signers of programs and timestamps write DER).
//!
//! ```
//! use pkix::{Certificate, chain};
//! # fn f(leaf: &[u8], root: &[u8], now: i64) -> Result<(), Box<dyn std::error::Error>> {
//! let leaf = Certificate::from_der(leaf)?;
//! let anchors = Certificate::from_pem_or_der(root)?;
//! let request =
//!     chain::Request { anchors: &anchors, others: &[], purpose: pkix::oid::KP_CODE_SIGNING, at: pkix::Time(now) };
//! match chain::build(&leaf, &request) {
//!     Ok(chain) => println!("{} certificates", chain.certificates.len()),
//!     Err(fault) => println!("{fault}"), // the certificate, the rule, and what differs
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

pub mod chain;
pub mod cms;
pub mod der;
pub mod oid;
pub mod pem;
pub mod request;
pub mod revocation;
pub mod tsp;

#[doc(hidden)]
pub mod fuzzing;

mod certificate;
mod digest;
mod error;
mod name;
mod signature;
mod sm2;
mod time;

pub use certificate::{Certificate, ExtendedKeyUsage, Extensions, KeyUsage, MAX_CERTIFICATE};
pub use digest::{Digest, Hasher};
pub use error::PkixError;
pub use name::Name;
pub use oid::Oid;
pub use signature::{AlgorithmId, PublicKey, digest_of};
pub use time::Time;
