//! What only the owner of a home can do, and how a process insists on being the owner: a daemon.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ledger::LedgerError;
use tlog::Tile;

use crate::AuditError;
use crate::caller::Caller;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::pending::{Kind, Pending};
use crate::session::{Owned, PATIENCE, Session, become_owner};
use crate::tap::Tap;

/// Opens a home as its owner. Whoever owns it now may be a command that ends in a moment.
///
/// # Errors
/// [`LedgerError::Owned`] when someone else keeps it; the ledger's reason when it cannot be opened.
pub fn own(home: &Path) -> Result<Session, AuditError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match become_owner(home) {
            Err(AuditError::Ledger(LedgerError::Owned { .. })) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            owned => return Ok(Session::of_owner(home, owned?)),
        }
    }
}

impl Session {
    pub(crate) fn as_owner(&self) -> Result<Arc<Owned>, AuditError> {
        self.owned().ok_or_else(|| AuditError::Ledger(LedgerError::Owned { home: self.home().to_owned() }))
    }

    /// As [`Session::submit`], for a caller whose name was checked: it is written into `ctx.peer.*`.
    ///
    /// # Errors
    /// As there; when this process is not the owner.
    pub fn submit_for(&self, offered: &[Vec<u8>], caller: &Caller) -> Result<Pending<'_>, AuditError> {
        let owned = self.as_owner()?;
        let submitted = owned.owner.submit(offered, &Peer::remote(caller.clone()))?;
        Ok(Pending { session: self, kind: Kind::Local { owner: Arc::clone(&owned.owner), submitted } })
    }

    /// That the ledger still takes events.
    ///
    /// # Errors
    /// Why it does not: it must be opened again. When this process is not the owner.
    pub fn health(&self) -> Result<(), AuditError> {
        self.as_owner()?.owner.log.wait_durable(u64::MAX, Duration::ZERO)?;
        Ok(())
    }

    /// Has a tap look at everything that is admitted or refused from now on; one for the life of the owner.
    ///
    /// # Errors
    /// When this process is not the owner.
    pub fn tap(&self, tap: Arc<dyn Tap>) -> Result<bool, AuditError> {
        Ok(self.as_owner()?.owner.tap.set(tap).is_ok())
    }

    /// Has what comes over the home's socket wait so long for room while the disk is full, instead of being refused. Batches
    /// of one connection that were under way together may then change places.
    ///
    /// # Errors
    /// When this process is not the owner.
    pub fn block_when_full(&self, for_: Duration) -> Result<(), AuditError> {
        let owned = self.as_owner()?;
        owned.server.lock().unwrap_or_else(PoisonError::into_inner).block_when_full(for_);
        Ok(())
    }

    /// What happens to events of rings while the disk is full, from now on.
    ///
    /// # Errors
    /// When this process is not the owner.
    pub fn rings_when_full(&self, when: crate::ring::WhenDiskFull) -> Result<(), AuditError> {
        self.as_owner()?.owner.rings.set_when_full(when);
        Ok(())
    }

    /// What was counted since the home was opened.
    ///
    /// # Errors
    /// When this process is not the owner.
    pub fn metrics(&self) -> Result<Metrics, AuditError> {
        let owned = self.as_owner()?;
        let log = &owned.owner.log;
        Ok(Metrics {
            size: log.size(),
            durable: log.durable_size(),
            lost: owned.owner.rings.dropped(),
            published: log.latest_checkpoint().size(),
            ..owned.owner.meter.read()
        })
    }

    /// The newest checkpoint as it is published (c2sp.org/tlog-tiles `/checkpoint`).
    ///
    /// # Errors
    /// When this process is not the owner.
    pub fn published_checkpoint(&self) -> Result<String, AuditError> {
        Ok(self.as_owner()?.owner.log.latest_checkpoint().note.clone())
    }

    /// A tile or entry bundle by its path below the log (c2sp.org/tlog-tiles); nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or this process is not the owner.
    pub fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, AuditError> {
        Ok(self.as_owner()?.owner.log.read_resource(&tile.to_string())?)
    }
}
