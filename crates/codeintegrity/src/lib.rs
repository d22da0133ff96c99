//! Code-integrity policies of Windows, called App Control or WDAC policies: what a machine may execute.
//!
//! A [`Policy`] is read from the XML that people edit ([`read_xml`]) or from the compiled form that the kernel reads
//! ([`read_binary`]: `.cip`, or the content of a signed `.p7b`), and written as either. Compiling drops the names: a
//! policy that was read from binary has identifiers made here. What is written in binary from what was read in binary
//! is the same bytes.
//!
//! The XML is the schema `urn:schemas-microsoft-com:sipolicy`. Microsoft does not publish the binary form;
//! `docs/formats/code-integrity-policy.md` says what it is and how that is known.
//!
//! What this crate does not do: signatures (a signed policy is PKCS #7 around [`write_binary`]'s bytes, with the
//! content type [`CONTENT_TYPE`]), application manifests (`AppSettings`), AppID tagging policies. Pure: no I/O, no
//! clock; the policy's own identifier is the caller's.
#![forbid(unsafe_code)]

mod binary;
mod build;
mod check;
mod error;
mod filetime;
#[doc(hidden)]
pub mod fuzzing;
mod guid;
mod judge;
mod model;
mod options;
mod version;
mod xml;

#[cfg(test)]
mod tests;

pub use binary::{read as read_binary, write as write_binary};
pub use build::{Builder, Member, hash_rule_id};
pub use check::{Finding, SigningKey, deployable, signable};
pub use error::PolicyError;
pub use guid::Guid;
pub use judge::{APPLICATIONS, DRIVERS, Verdict, by_hash};
pub use model::{
    AllowedSigner, CertRoot, DeniedSigner, Eku, FileRule, Policy, PolicyType, RuleKind, Scenario, Setting,
    Signer, SignerGroup, Value,
};
pub use options::{Options, names as option_names};
pub use version::Version;
pub use xml::{read as read_xml, write as write_xml};

/// The CMS content type of a signed policy, as `signtool sign /p7co 1.3.6.1.4.1.311.79.1` writes it.
pub const CONTENT_TYPE: &str = "1.3.6.1.4.1.311.79.1";

/// The platform every policy for Windows names.
pub const PLATFORM: Guid =
    Guid::from_fields(0x2E07_F7E4, 0x194C, 0x4D20, [0xB7, 0xC9, 0x6F, 0x44, 0xA6, 0xC5, 0xA2, 0x34]);

/// The largest policy that is read, in bytes, in either form. Windows' own limit is far below.
pub const MAX_POLICY: usize = 16 << 20;
