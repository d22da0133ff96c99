//! A look at events on their way in, by reference: what alerts are made of.
//!
//! [`Tap::look`] runs on the thread that admits, before the event has a place; it notes what concerns it and copies
//! nothing else. [`Tap::count`] is called only for what is new to the ledger, so that a repeated delivery counts
//! once.

use event::{Event, InvalidComplianceEvent};

/// What a tap noted of one event: which of its streams, under which key, with which number.
#[derive(Clone, PartialEq, Debug)]
pub struct Note {
    /// The tap's own number of the stream.
    pub stream: usize,
    /// The stream's key; empty where there is one for all.
    pub key: Box<str>,
    /// The number.
    pub value: f64,
}

/// Looks at what is admitted and refused. Must not wait: everyone who records waits for it.
pub trait Tap: Send + Sync {
    /// What concerns the tap in an admitted event, as it will be stored; mostly nothing.
    fn look(&self, event: &Event<'_>) -> Vec<Note>;
    /// The event that was looked at is new and has its place.
    fn count(&self, notes: Vec<Note>);
    /// An event was refused.
    fn refused(&self, refusal: &InvalidComplianceEvent);
}
