//! Which events are asked for.

mod conditions;
mod search;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::AuditError;

pub(crate) use conditions::Conditions;
pub(crate) use search::{Sink, Source, search, search_for};

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
    /// The object has these values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub object: Vec<(String, String)>,
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
    /// The action, or a name or a value of `sub`, `obj` or `ctx`, holds this text, letter for letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
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
}
