//! PE images, their Authenticode signatures and timestamps, and catalogues of files: signed, verified and explained
//! without Windows.
//!
//! Pure: a source that can be read and sought goes in, bytes come out; no clock, no network. Memory is one buffer,
//! whatever the size of the image. The format is Microsoft's "Windows Authenticode Portable Executable Signature
//! Format" 1.0, with what Windows added since: page hashes, nested signatures, RFC 3161 timestamps.
//!
//! It does **not** decide whom to trust: the caller hands in anchors, the time, revocation lists. It does not ask a
//! timestamp authority either: [`sign::Signature::value`] is what to send, [`timestamp`] takes what comes back.
//!
//! ```no_run
//! use authenticode::{sign, verify};
//! # fn f(credential: &sign::Credential<'_>, anchors: &[pkix::Certificate]) -> Result<(), Box<dyn std::error::Error>> {
//! let (mut source, mut copy) = (std::fs::File::open("app.exe")?, std::fs::File::create("app.signed.exe")?);
//! let algorithm = credential.signer.algorithm();
//! let prepared = sign::Prepared::copy(&mut source, &mut copy, algorithm, sign::Options::default())?;
//! let signature = prepared.signature(credential)?;
//! prepared.finish(&mut copy, signature.to_pkcs7())?;
//!
//! let request = verify::Request {
//!     anchors, others: &[], revocation: &Default::default(), now: pkix::Time(1_795_163_445), kernel: false,
//! };
//! let report = verify::verify(&mut std::fs::File::open("app.signed.exe")?, &request)?;
//! assert!(report.holds());
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

pub mod catalog;
pub mod content;
pub mod image;
pub mod oid;
pub mod pass;
pub mod portal;
pub mod resource;
pub mod sign;
pub mod subject;
pub mod table;
pub mod tap;
pub mod timestamp;
pub mod verify;

#[doc(hidden)]
pub mod fuzzing;

mod attribute;
mod checksum;
mod error;
mod pages;

pub use attribute::{OpusInfo, SealRoots};
pub use error::AuthenticodeError;
pub use image::Image;
