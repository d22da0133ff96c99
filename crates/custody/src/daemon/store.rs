//! Events into the ledger, or what their source wants when its disk is full: the caller told to come again, the
//! request kept waiting, or the events put aside in a spill.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::ring::WhenDiskFull;
use audit::{AuditError, Caller, LedgerError, Receipt, Session, Spill, Spilled};
use event::{EventId, InvalidComplianceEvent};

use super::Daemon;
use super::settings::{Settings, WhenFull};
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

/// Between two attempts when the disk is full.
const AGAIN: Duration = Duration::from_millis(500);

/// What became of an event.
pub(crate) enum Stored {
    /// It has its index.
    Recorded(Receipt),
    /// It waits in the spill, durable.
    Waiting(EventId),
    /// It was refused.
    Refused(InvalidComplianceEvent),
}

/// Opens the spill, if a source wants one.
pub(crate) fn open_spill(settings: &Settings) -> Result<Option<Arc<Spill>>, Failure> {
    let Some((path, bytes)) = &settings.spill else { return Ok(None) };
    Spill::open(path, *bytes).map(|spill| Some(Arc::new(spill))).map_err(failure)
}

/// What the owner does with events of rings while the disk is full.
pub(crate) fn tell_rings(session: &Session, settings: &Settings, spill: Option<&Arc<Spill>>) -> Outcome {
    let when = match (settings.disk_full.get("ring"), spill) {
        (Some(WhenFull::Block), _) => WhenDiskFull::Wait(settings.block),
        (Some(WhenFull::Spill), Some(spill)) => WhenDiskFull::Spill(Arc::clone(spill)),
        _ => WhenDiskFull::Refuse,
    };
    session.rings_when_full(when).map_err(failure)
}

/// Stores events that came by a way.
pub(crate) fn store(
    daemon: &Daemon,
    way: &str,
    offered: &[Vec<u8>],
    caller: &Caller,
) -> Result<Vec<Stored>, AuditError> {
    let when_full = daemon.settings.disk_full.get(way).copied().unwrap_or_default();
    let deadline = Instant::now() + daemon.settings.block;
    if let Some(spill) = daemon.spill.as_deref().filter(|spill| when_full == WhenFull::Spill && spill.holds())
    {
        return put_aside(daemon, spill, offered, caller); // behind those that wait
    }
    loop {
        let error = match daemon.session.submit_for(offered, caller).and_then(audit::Pending::wait) {
            Ok(verdicts) => return Ok(verdicts.into_iter().map(stored).collect()),
            Err(error) => error,
        };
        if !matches!(error, AuditError::Ledger(LedgerError::Full { .. })) {
            return Err(error);
        }
        match (when_full, daemon.spill.as_deref()) {
            (WhenFull::Spill, Some(spill)) => return put_aside(daemon, spill, offered, caller),
            (WhenFull::Block, _) if Instant::now() < deadline => std::thread::sleep(AGAIN),
            _ => return Err(error),
        }
    }
}

fn stored(verdict: audit::Verdict) -> Stored {
    match verdict {
        Ok(receipt) => Stored::Recorded(receipt),
        Err(refusal) => Stored::Refused(refusal),
    }
}

fn put_aside(
    daemon: &Daemon,
    spill: &Spill,
    offered: &[Vec<u8>],
    caller: &Caller,
) -> Result<Vec<Stored>, AuditError> {
    let spilled = daemon.session.spill_for(spill, offered, caller)?;
    Ok(spilled
        .into_iter()
        .map(|spilled| match spilled {
            Spilled::Waiting(id) => Stored::Waiting(id),
            Spilled::Refused(refusal) => Stored::Refused(refusal),
        })
        .collect())
}

/// Records what waits in the spill as soon as there is room.
pub(crate) async fn replay(daemon: Arc<Daemon>) {
    let Some(spill) = daemon.spill.clone() else { return };
    loop {
        if spill.holds() {
            let (session, spill) = (Arc::clone(&daemon.session), Arc::clone(&spill));
            let replayed = tokio::task::spawn_blocking(move || session.replay(&spill)).await;
            if let Ok(Ok(events)) = replayed {
                daemon.output.remark(&format!("recorded {events} events that waited for room on the disk"));
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
