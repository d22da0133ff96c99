//! CMS `SignedData` (RFC 5652 §5; PKCS #7 1.5 where Authenticode still speaks it): read, verified, built.
//!
//! The digest of the content is taken over the content octets of the value inside `[0]`, without its tag and length:
//! so say RFC 5652 §5.4 for an OCTET STRING and PKCS #7 §9.3 for any other type, and so does Authenticode.

mod build;
mod edit;
mod read;

pub use build::{Builder, countersignature};
pub use edit::add_unsigned;
pub use read::{Attribute, MAX_SIGNED_DATA, SignedData, SignerId, SignerInfo};
