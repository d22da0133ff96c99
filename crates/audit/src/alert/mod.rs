//! Alerts: numbers derived from events, their changes, and a fuse that decides when someone is called.
//!
//! A rule makes a stream of numbers (events per window, the value of a field, refusals); the stream's *differences*
//! go to a [`Fuse`]. The clock is the caller's, so that the same engine runs live, behind a [`crate::Tap`], and over
//! events of the past. The file is `docs/formats/alerts.md`, the reading of the fuse `docs/design/0008`.

mod engine;
mod fuse;
mod live;
mod rules;

pub use engine::{Alert, Engine, State};
pub use fuse::{Fuse, Limits, Turn};
pub use live::Alarm;
pub use rules::{Direction, Rule, RuleError, Rules, Source, Webhook};

#[cfg(test)]
mod tests;
