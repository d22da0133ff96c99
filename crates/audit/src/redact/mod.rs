//! Redaction: what is personal in an event is masked, cut, tokenised or sealed before the event is written anywhere.
//!
//! The policy is a file of the home ([`POLICY`]); without one nothing is done, and `custody doctor` says so. Its number
//! and hash stand in every event that was admitted under it (`ctx.redaction`), and its text is kept in
//! `redaction/<sha256>.toml`, so that it can be proved which rule was applied.

mod anonymise;
mod apply;
mod detect;
mod explain;
mod guard;
mod mask;
mod oracle;
mod pass;
mod pattern;
mod policy;
mod tokens;

pub use anonymise::Anonymiser;
pub use detect::Kind;
pub use explain::{Explained, ExplainedField, explain, load};
pub use policy::{Action, POLICY, Policy};

pub(crate) use guard::Guard;
pub(crate) use oracle::check as check_detectors;
pub(crate) use tokens::{Tokening, tokenings, tokens_of};

/// The field of `ctx` that names the policy. Only Custody writes it.
pub(crate) const STAMP: &str = "redaction";

/// Ends the name of a field whose own name asks for an address, when its value is none any more.
pub(crate) const SEALED_NAME: &str = ".sealed";
/// The same for a token.
pub(crate) const TOKEN_NAME: &str = ".token";

/// A policy to begin with: the table that the seed document promised, complete, with remarks.
pub const TEMPLATE: &str = include_str!("template.toml");
