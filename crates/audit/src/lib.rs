//! From an event offered to an event proved: admission, sequencing, query, verification.
//!
//! A home has one owner at a time. [`open`] makes this process the owner (it takes the lock *and* serves the
//! home's socket) or, when someone else is, a client of the owner; what one can do with the [`Session`] is the
//! same either way, and when the owner goes away the session finds or becomes the next one.
//!
//! Acknowledged means durable: a [`Receipt`] exists only for an event that a sync has covered. A repeated `id`
//! among the newest [`WINDOW`] events is acknowledged once, with the same receipt.
//!
//! What the redaction policy finds personal is masked or sealed before it is written anywhere ([`redact`]); the keys of what
//! is sealed can be destroyed ([`vault`]).
//!
//! What it does not do: it sends nothing to sinks.
#![forbid(unsafe_code)]
#![cfg_attr(not(unix), allow(dead_code, reason = "where there are no Unix sockets, nobody connects"))]

mod admitting;
pub mod alert;
pub mod backup;
mod bench;
mod caller;
mod catalogue;
mod clock;
mod error;
mod files;
mod heartbeat;
mod home;
mod index;
pub mod intake;
mod keys;
mod metrics;
mod owner;
mod owning;
mod peer;
mod pending;
mod proof;
mod query;
mod reader;
mod reads;
mod recall;
pub mod redact;
mod refusals;
pub mod retention;
pub mod ring;
mod session;
mod settings;
mod socket;
mod spill;
mod tap;
mod traces;
pub mod vault;
mod verify;
mod window;

#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod measuring;

pub use bench::{Bench, BenchReport, bench};
pub use caller::{Caller, Via};
pub use catalogue::{CATALOGUE, load_catalogue};
pub use clock::{document, monotonic_us, now};
pub use error::{AuditError, ErrorKind};
pub use files::Files;
pub use heartbeat::{Finding, Heart, Pulse, Reading, Tolerance, compare as compare_clocks};
pub use home::{create_home, create_home_with};
pub use keys::LogKeys;
pub use ledger::{LedgerError, Trees};
pub use metrics::{Metrics, WAIT_BOUNDS_US};
pub use owning::own;
pub use pending::{Pending, Receipt, Verdict};
pub use proof::{Proof, Selector, Status};
pub use query::{Filter, Found};
pub use reader::Reader;
pub use session::{Recorder, Session, open};
pub use settings::LedgerSettings;
pub use spill::{Spill, Spilled};
pub use tap::{Note, Tap};
pub use traces::{MAX_TRACE_AGE, trace_of};
pub use verify::{Verification, verify, verify_since};
pub use window::WINDOW;
