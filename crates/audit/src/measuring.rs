//! One stage of admission by itself, for the benchmark that sets it against a plain set of regular expressions.

use std::path::Path;

use event::{Catalogue, admit};

use crate::AuditError;
use crate::redact::Guard;

/// Admission to the schema, with or without a policy, up to the stored form.
pub struct Stage {
    catalogue: Catalogue,
    guard: Guard,
}

impl Stage {
    /// The stage of a home: its policy, and its vault if that is needed.
    ///
    /// # Errors
    /// When the policy is none.
    pub fn of(home: &Path) -> Result<Self, AuditError> {
        Ok(Self { catalogue: Catalogue::standard(), guard: Guard::of(home, "measured".into())? })
    }

    /// The stored form of an offered event. `look` sees every value first: what a peer would do.
    ///
    /// # Errors
    /// When the event is refused, or a key cannot be written.
    pub fn store(&self, offered: &[u8], look: impl Fn(&str)) -> Result<Vec<u8>, AuditError> {
        let mut event = admit(offered, &self.catalogue)?;
        for fields in [&event.sub, &event.obj, &event.ctx] {
            fields.iter().for_each(|(_, value)| look(value));
        }
        self.guard.protect(&mut event, || Ok(()))?;
        let mut leaf = Vec::with_capacity(offered.len() + 192);
        event.canonical_into(&mut leaf);
        Ok(leaf)
    }

    /// Makes new keys durable.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn settle(&self) -> Result<(), AuditError> {
        self.guard.settle()
    }
}
