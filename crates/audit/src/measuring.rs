//! One stage of admission by itself, for the benchmark that sets it against a plain set of regular expressions.

use std::path::Path;

use event::{Catalogue, admit};
use ledger::Leaves;
use tlog::{Hash, Sha256, TreeHash as _};

use crate::AuditError;
use crate::redact::Guard;

/// Admission to the schema, with or without a policy, up to the leaf's hash.
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

    /// The leaf hashes (SHA-256) of the stored forms of a batch, made as the owner of a home makes them. `look` sees every
    /// value first: what a peer would do.
    ///
    /// # Errors
    /// When an event is refused, or a key cannot be written.
    pub fn leaves<'a>(
        &self,
        offered: impl IntoIterator<Item = &'a [u8]>,
        look: impl Fn(&str),
    ) -> Result<Vec<Hash>, AuditError> {
        let mut leaves = Leaves::new();
        for offered in offered {
            let mut event = admit(offered, &self.catalogue)?;
            for fields in [&event.sub, &event.obj, &event.ctx] {
                fields.iter().for_each(|(_, value)| look(value));
            }
            self.guard.protect(&mut event, || Ok(()))?;
            leaves.push_with(|out| {
                event.canonical_into(out);
                Ok::<_, AuditError>(())
            })?;
        }
        let slices: Vec<&[u8]> = leaves.iter().collect();
        let mut hashes = vec![Hash::default(); slices.len()];
        Sha256::leaves(&slices, &mut hashes);
        Ok(hashes)
    }

    /// Makes new keys durable.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn settle(&self) -> Result<(), AuditError> {
        self.guard.settle()
    }
}
