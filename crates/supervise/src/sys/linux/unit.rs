//! All processes of one service, found and ended together.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::{descent, raw};
use crate::error::SuperviseError;
use crate::fact::Containment;
use crate::supervisor::Contain;

/// How long SIGKILL may take to show. A process in an uninterruptible wait (a dead NFS server) may never go.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// The processes of a service: those of its control group, and those that descend from us, for what left it.
#[derive(Debug)]
pub(crate) struct Unit {
    cgroup: Option<Cgroup>,
    /// The caller wants a control group or nothing.
    insist: bool,
    /// The group was made, and the kernel did not let a process in (its rules for inner groups, a delegation that ends
    /// above us): descent must do.
    shut_out: Cell<bool>,
}

impl Unit {
    pub(crate) fn new(contain: Contain) -> Result<Self, SuperviseError> {
        set_child_subreaper(true).map_err(|e| SuperviseError::System {
            what: "become the reaper of descendants",
            source: e.into(),
        })?;
        let cgroup = match contain {
            Contain::Reaper => None,
            Contain::Auto => Cgroup::create().ok(),
            Contain::Cgroup => Some(Cgroup::create().map_err(SuperviseError::Cgroup)?),
        };
        Ok(Self { cgroup, insist: contain == Contain::Cgroup, shut_out: Cell::new(false) })
    }

    pub(crate) fn containment(&self) -> Containment {
        match &self.cgroup {
            Some(group) if !self.shut_out.get() => Containment::Cgroup(group.path().to_owned()),
            _ => Containment::Reaper,
        }
    }

    pub(super) fn adopt(&self, pid: Pid) -> io::Result<()> {
        let Some(group) = &self.cgroup else { return Ok(()) };
        let result = group.adopt(pid);
        self.shut_out.set(result.is_err());
        if self.insist { result } else { Ok(()) }
    }

    /// How many live.
    pub(crate) fn members(&self) -> Result<usize, SuperviseError> {
        self.living().map(|living| living.len())
    }

    /// Sends `signal` to each.
    pub(crate) fn ask(&self, signal: Signal) -> Result<(), SuperviseError> {
        self.living()?.into_iter().for_each(|(pid, start)| send(pid, start, signal));
        Ok(())
    }

    /// Kills them all, and returns when all are gone.
    pub(crate) fn kill(
        &self,
        mut reap: impl FnMut() -> Result<(), SuperviseError>,
    ) -> Result<(), SuperviseError> {
        let deadline = Instant::now() + KILL_PATIENCE;
        loop {
            self.strike()?;
            reap()?;
            match self.members()? {
                0 => return Ok(()),
                left if Instant::now() > deadline => return Err(SuperviseError::Unkillable(left)),
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Sends SIGKILL to all of them, and does not wait.
    pub(crate) fn strike(&self) -> Result<(), SuperviseError> {
        if let Some(group) = &self.cgroup {
            let _ = group.kill(); // before Linux 5.14 there is no such file, and the lines below do it
        }
        self.freeze()?;
        self.ask(Signal::SIGKILL)
    }

    /// Stops everybody until a look finds nobody new, so that nobody forks between the look and the kill.
    fn freeze(&self) -> Result<(), SuperviseError> {
        let mut stopped = HashMap::new();
        loop {
            let living = self.living()?;
            let fresh: Vec<_> =
                living.into_iter().filter(|(pid, start)| stopped.get(pid) != Some(start)).collect();
            if fresh.is_empty() {
                return Ok(());
            }
            for (pid, start) in fresh {
                send(pid, start, Signal::SIGSTOP);
                stopped.insert(pid, start);
            }
        }
    }

    fn living(&self) -> Result<HashMap<i32, u64>, SuperviseError> {
        let failed = |source| SuperviseError::System { what: "list the processes of the service", source };
        let own = std::process::id().cast_signed();
        let descendants = descent::of(own).map_err(failed)?;
        let mut living: HashMap<i32, u64> =
            descendants.into_iter().map(|(pid, stat)| (pid, stat.start)).collect();
        if let Some(group) = &self.cgroup {
            for pid in group.members().map_err(failed)? {
                living.extend(descent::stat(pid).filter(|s| !s.zombie).map(|s| (pid.as_raw(), s.start)));
            }
        }
        Ok(living)
    }
}

/// Signals the process that was seen, not a later one that got its number.
fn send(pid: i32, start: u64, signal: Signal) {
    let pid = Pid::from_raw(pid);
    let Ok(pidfd) = raw::pidfd_open(pid) else { return }; // it is gone
    if descent::stat(pid).is_some_and(|stat| stat.start == start) {
        let _ = raw::pidfd_send(&pidfd, signal); // gone meanwhile, or not ours to signal: the next look will tell
    }
}
