//! What the daemon is told while it runs: SIGTERM and SIGINT end it, SIGHUP has it read its files anew. It ends by
//! itself when its ledger has stopped: opening it again is what repairs it, and that is a start's work.

use std::sync::Arc;
use std::time::Duration;

use super::{Daemon, notify};
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

/// How often the ledger is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until the daemon has to end.
#[cfg(unix)]
pub(crate) async fn wait(daemon: &Arc<Daemon>) -> Outcome {
    use tokio::signal::unix::{SignalKind, signal};
    let on = |kind| {
        signal(kind)
            .map_err(|e| Failure::environment(anyhow::Error::from(e).context("cannot wait for signals")))
    };
    let (mut term, mut int, mut hup) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?);
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            _ = hup.recv() => {
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
pub(crate) async fn wait(daemon: &Arc<Daemon>) -> Outcome {
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
