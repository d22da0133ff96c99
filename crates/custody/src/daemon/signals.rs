//! What the daemon is told while it runs: SIGTERM and SIGINT end it, SIGHUP has it read its files anew. It ends by
//! itself when its ledger has stopped: opening it again is what repairs it, and that is a start's work.

use std::sync::Arc;
use std::time::Duration;

use super::{Daemon, notify};
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

/// How often the ledger is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The signals that are listened to, from when this is made: before anyone is told that the daemon is there.
#[cfg(unix)]
pub(crate) struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let on = |kind| {
            signal(kind)
                .map_err(|e| Failure::environment(anyhow::Error::from(e).context("cannot wait for signals")))
        };
        Ok(Self {
            term: on(SignalKind::terminate())?,
            int: on(SignalKind::interrupt())?,
            hup: on(SignalKind::hangup())?,
        })
    }
}

/// Ctrl-C, where that is all there is.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// Waits until the daemon has to end.
#[cfg(unix)]
pub(crate) async fn wait(daemon: &Arc<Daemon>, mut signals: Signals) -> Outcome {
    loop {
        tokio::select! {
            _ = signals.term.recv() => return Ok(()),
            _ = signals.int.recv() => return Ok(()),
            _ = signals.hup.recv() => {
                notify::reloading();
                daemon.reload();
                notify::ready();
            }
            () = tokio::time::sleep(LOOK) => sound(daemon)?,
        }
    }
}

/// Waits until the daemon has to end.
#[cfg(not(unix))]
pub(crate) async fn wait(daemon: &Arc<Daemon>, _: Signals) -> Outcome {
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(LOOK) => sound(daemon)?,
        }
    }
}

fn sound(daemon: &Daemon) -> Outcome {
    daemon.session.health().map_err(failure)
}
