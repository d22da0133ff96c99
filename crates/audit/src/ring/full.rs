//! What becomes of events of rings while the ledger's disk is full.

use std::sync::Arc;
use std::time::Duration;

use crate::Spill;

/// What happens to events of rings while the ledger's disk is full.
#[derive(Clone, Default)]
pub enum WhenDiskFull {
    /// The owner lets go of the ring. What is in it stays there, and its producer offers it again.
    #[default]
    Refuse,
    /// The owner waits so long for room before it lets go. The ring fills up meanwhile.
    Wait(Duration),
    /// Events wait in a spill, and count as settled: they are durable there.
    Spill(Arc<Spill>),
}

impl std::fmt::Debug for WhenDiskFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refuse => f.write_str("Refuse"),
            Self::Wait(time) => f.debug_tuple("Wait").field(time).finish(),
            Self::Spill(_) => f.write_str("Spill"),
        }
    }
}
