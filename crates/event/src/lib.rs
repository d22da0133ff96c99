//! The compliance event: its schema, its catalogue of actions, its canonical form.
//!
//! Pure: bytes in, facts or bytes out; no I/O, no clock, no randomness. The crate says what an event *is*; how
//! one is stored, proved or asked for is not its business.
//!
//! [`admit`] takes what a caller offers and gives either an [`Event`] or **every** fault with its JSON path.
//! [`Event::canonical`] is the stored form, RFC 8785; it passes the same schema ([`SCHEMA`], JSON Schema
//! Draft-07). [`Fact`] is how Custody's own parts describe what they did, before it has an id and a time.
//!
//! ```
//! let catalogue = event::Catalogue::standard();
//! let offered = br#"{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45.5Z",
//!     "severity":"WARN","sub":{"user":"10086"},"act":"AUTH.LOGIN.FAIL","ctx":{"ip":"192.168.3.5"}}"#;
//! let event = event::admit(offered, &catalogue).unwrap();
//! assert!(event.canonical().starts_with(br#"{"act":"AUTH.LOGIN.FAIL","ctx":{"ip""#));
//!
//! let fault = event::admit(br#"{"act":"AUTH.LOGIN.FIAL"}"#, &catalogue).unwrap_err();
//! assert!(fault.faults.iter().any(|f| f.path == "$.act" && f.message.contains("AUTH.LOGIN.FAIL")));
//! assert!(fault.faults.iter().any(|f| f.path == "$.id" && f.message == "is missing"));
//! ```
#![forbid(unsafe_code)]

mod admit;
mod canonical;
mod catalogue;
mod fact;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod model;
mod parse;
mod quick;
mod scan;
mod time;

pub use admit::{admit, read_stored, read_stored_with, stored_id, validate};
#[doc(hidden)]
pub use admit::{admit_generally, validate_generally};
pub use canonical::{canonical_string, canonical_strings};
pub use catalogue::{Catalogue, CatalogueError, Entry};
pub use fact::Fact;
pub use fault::{Fault, InvalidComplianceEvent, Rule};
pub use id::EventId;
pub use model::{Event, Fields, Severity};
pub use time::Timestamp;

/// The JSON Schema (Draft-07) that offered and stored events pass.
pub const SCHEMA: &str = include_str!("../schema/event.schema.json");

/// An event's stored form is never longer than this.
pub const MAX_EVENT: usize = 16 * 1024;

/// What is offered is refused unread when it is longer than this: four times the stored form, so that white
/// space and escapes do not cost a caller the event.
pub const MAX_OFFERED: usize = 64 * 1024;

/// More fields than this in one of `sub`, `obj` and `ctx` are refused.
pub const MAX_FIELDS: usize = 64;
