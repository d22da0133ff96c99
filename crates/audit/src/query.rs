//! Which events are asked for.

use event::{Event, Severity, Timestamp, validate};
use serde::{Deserialize, Serialize};

use crate::AuditError;

/// A filter: an event is found when every condition that is given holds. Names and forms are those of the event.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The action begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
    /// The subject has these values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject: Vec<(String, String)>,
    /// Not before this time (RFC 3339, UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Before this time (RFC 3339, UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// At least this grave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// This id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// This `ctx.trace_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// From the newest.
    pub reverse: bool,
    /// From this index on; with `follow`, nothing means from the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Before this index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// An event that was found: its index and its stored form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Index in the ledger.
    pub index: u64,
    /// The stored form, RFC 8785.
    pub stored: Vec<u8>,
}

/// A filter whose values were read.
pub(crate) struct Conditions {
    act: Option<String>,
    subject: Vec<(String, String)>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    severity: Option<Severity>,
    id: Option<event::EventId>,
    trace_id: Option<String>,
}

impl Filter {
    /// What is still asked for once the event at `index` was given.
    pub(crate) fn advance(&mut self, index: u64) {
        if self.reverse {
            self.to = Some(index);
        } else {
            self.from = Some(index.saturating_add(1));
        }
        self.limit = self.limit.map(|limit| limit.saturating_sub(1));
    }

    /// Whether every value has its form.
    ///
    /// # Errors
    /// [`AuditError::Request`], naming the value that has not.
    pub fn check(&self) -> Result<(), AuditError> {
        self.conditions().map(|_| ())
    }

    /// Reads the values.
    ///
    /// # Errors
    /// [`AuditError::Request`], naming the value that has not its form.
    pub(crate) fn conditions(&self) -> Result<Conditions, AuditError> {
        fn bad<T>(what: &'static str, value: &str, why: &'static str) -> Result<T, AuditError> {
            Err(AuditError::Request { what, value: value.chars().take(80).collect(), why })
        }
        let time = |what, text: &Option<String>| {
            text.as_deref().map(|t| Timestamp::parse(t).or_else(|why| bad(what, t, why))).transpose()
        };
        let severity = self.severity.as_deref().map(|word| {
            Severity::parse(&word.to_uppercase())
                .map_or_else(|| bad("severity", word, "is none of DEBUG, INFO, WARN, ERROR, CRITICAL"), Ok)
        });
        let id = self.id.as_deref().map(|text| {
            event::EventId::parse(text).map_or_else(|| bad("id", text, "is not a UUID of version 4 or 7"), Ok)
        });
        Ok(Conditions {
            act: self.act.clone(),
            subject: self.subject.clone(),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            severity: severity.transpose()?,
            id: id.transpose()?,
            trace_id: self.trace_id.clone(),
        })
    }
}

impl Conditions {
    /// Whether a stored entry meets them. One that is no event is found by no condition; `audit verify` names it.
    pub(crate) fn hold(&self, stored: &[u8]) -> bool {
        validate(stored).is_ok_and(|event| self.met_by(&event))
    }

    fn met_by(&self, event: &Event<'_>) -> bool {
        self.act.as_deref().is_none_or(|act| event.act.starts_with(act))
            && self.id.is_none_or(|id| event.id == id)
            && self.severity.is_none_or(|least| event.severity >= least)
            && self.since.is_none_or(|since| event.ts >= since)
            && self.until.is_none_or(|until| event.ts < until)
            && self.trace_id.as_deref().is_none_or(|id| event.ctx.get("trace_id") == Some(id))
            && self.subject.iter().all(|(kind, name)| event.sub.get(kind) == Some(name))
    }
}
