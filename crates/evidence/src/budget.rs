//! How much an archive may still unpack to.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::EvidenceError;
use crate::options::Limits;

/// Content below this much is not held to the ratio: a small archive of zeros packs a thousandfold and harms
/// nobody.
const RATIO_FROM: u64 = 16 << 20;

pub(crate) struct Budget {
    limits: Limits,
    container: u64,
    spent: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limits: Limits, container: u64) -> Self {
        Self { limits, container, spent: AtomicU64::new(0) }
    }

    /// Counts bytes that were unpacked. Called before they are used, from any thread.
    pub(crate) fn spend(&self, bytes: u64) -> Result<(), EvidenceError> {
        let spent = self.spent.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if spent > self.limits.bytes {
            let limit = self.limits.bytes;
            return Err(EvidenceError::Limit { what: "bytes when unpacked", limit, field: "bytes" });
        }
        if spent > RATIO_FROM && spent > self.container.saturating_mul(self.limits.ratio) {
            let limit = self.limits.ratio;
            return Err(EvidenceError::Limit {
                what: "times its own size when unpacked",
                limit,
                field: "ratio",
            });
        }
        Ok(())
    }

    pub(crate) fn check_entries(&self, count: usize) -> Result<(), EvidenceError> {
        check_entries(&self.limits, count)
    }
}

pub(crate) fn check_entries(limits: &Limits, count: usize) -> Result<(), EvidenceError> {
    if count as u64 > limits.entries {
        return Err(EvidenceError::Limit { what: "entries", limit: limits.entries, field: "entries" });
    }
    Ok(())
}
