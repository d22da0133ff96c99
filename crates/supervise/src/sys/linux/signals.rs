//! The signals that the supervisor answers to, taken one by one from a queue instead of interrupting it.

use std::io;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use super::raw;
use crate::error::SuperviseError;

/// Passed on to the service. The first three also mean: stop.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Whoever sends this wants the service to end.
pub(crate) fn means_stop(signal: Signal) -> bool {
    PASSED_ON[..3].contains(&signal)
}

/// The held signals. Hold them before any thread is started: a thread that has them unblocked would take them, and
/// with them the default action.
#[derive(Debug)]
pub struct Signals {
    held: SigSet,
    before: SigSet,
}

/// What the next signal says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Notice {
    /// A child changed its state.
    Child,
    /// A signal for the service.
    Forward(Signal),
}

impl Signals {
    /// Blocks the signals in this thread and in those it starts from now on. A signal that was ignored (`nohup`)
    /// stays ignored.
    pub fn hold() -> Result<Self, SuperviseError> {
        raw::keep_children();
        let mut held = SigSet::empty();
        held.add(Signal::SIGCHLD);
        PASSED_ON.into_iter().filter(|&signal| !raw::is_ignored(signal)).for_each(|signal| held.add(signal));
        let before = held
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(|errno| SuperviseError::System { what: "block signals", source: errno.into() })?;
        Ok(Self { held, before })
    }

    /// The next signal, waiting at most `timeout`.
    pub(crate) fn next(&self, timeout: Option<Duration>) -> io::Result<Option<Notice>> {
        Ok(raw::next_signal(&self.held, timeout)?.map(|number| match Signal::try_from(number) {
            Ok(Signal::SIGCHLD) | Err(_) => Notice::Child,
            Ok(signal) => Notice::Forward(signal),
        }))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask(); // it was valid when it was read
    }
}
