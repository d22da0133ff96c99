//! The table carried out by itself, for as long as a daemon owns the home.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::apply::{Applied, Orders};
use super::archive::Archive;
use crate::session::{Owned, Session};
use crate::vault::{Erasure, VaultAnswer, VaultCall, VaultError};
use crate::{AuditError, LedgerError};

/// How often, and how far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cadence {
    /// Between two passes.
    pub every: Duration,
    /// Whether what may go is removed.
    pub prune: bool,
}

/// One pass at a time.
#[derive(Default)]
pub(crate) struct Turn(Mutex<()>);

impl Turn {
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes until it is dropped.
pub struct Keeping {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Session {
    /// Carries out the table and the erasures that are due, again and again. `archives` are offered closed segments
    /// beside the folders that the table names. What a pass did is told to `told`, a failure too.
    ///
    /// # Errors
    /// When this process is not the owner.
    pub fn keep_retention(
        &self,
        cadence: Cadence,
        archives: Vec<Box<dyn Archive>>,
        told: impl Fn(Result<Applied, AuditError>) + Send + 'static,
    ) -> Result<Keeping, AuditError> {
        let owned = self.as_owner()?;
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("audit-keeping".into())
            .spawn(move || run(&owned, cadence, &archives, &stopping, &told))
            .map_err(|e| AuditError::io("start a thread for", self.home(), e))?;
        Ok(Keeping { stop, thread: Some(thread) })
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported by the hook
        }
    }
}

fn run(
    owned: &Owned,
    cadence: Cadence,
    archives: &[Box<dyn Archive>],
    stop: &(Mutex<bool>, Condvar),
    told: &dyn Fn(Result<Applied, AuditError>),
) {
    let archives: Vec<&dyn Archive> = archives.iter().map(|archive| &**archive).collect();
    loop {
        told(pass(owned, cadence, &archives));
        let stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = stop.1.wait_timeout_while(stopped, cadence.every, |stopped| !*stopped);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
    }
}

/// Erasures first: what a hold keeps no more need not keep the ledger either.
fn pass(owned: &Owned, cadence: Cadence, archives: &[&dyn Archive]) -> Result<Applied, AuditError> {
    let owner = &owned.owner;
    let erased = erase_due(owned);
    let orders = Orders { dry_run: false, prune: cadence.prune };
    let applied = owner.apply_retention(orders, archives, &owner.me)?;
    erased.map(|_| applied)
}

fn erase_due(owned: &Owned) -> Result<Vec<Erasure>, AuditError> {
    match owned.owner.vault_call(VaultCall::EraseDue {}, &owned.owner.me) {
        Ok(VaultAnswer::Erasures(erasures)) => Ok(erasures),
        // Without a vault nothing waits.
        Ok(_) | Err(AuditError::Vault(VaultError::Absent)) => Ok(Vec::new()),
        Err(AuditError::Ledger(LedgerError::Closed)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
