//! What the supervisor tells its caller, one value a step.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::policy::End;
use crate::verify::Image;

/// One step of a supervised service.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Fact {
    /// The image was accepted; the process has not run yet.
    Verified {
        /// The process.
        pid: u32,
        /// What was measured.
        image: Image,
        /// Why the verifier accepted it.
        grounds: String,
    },
    /// The image was refused; the process was killed before its first instruction.
    Refused {
        /// What was measured.
        image: Image,
        /// Why the verifier refused it.
        reason: String,
    },
    /// A start failed before a verdict: no such file, somebody writes to it, ptrace refused, ….
    StartFailed {
        /// The error and its causes.
        reason: String,
    },
    /// The process runs.
    Started {
        /// The process.
        pid: u32,
        /// The program as it was named, resolved along `PATH`.
        program: PathBuf,
        /// `false`: it was started without a verifier.
        verified: bool,
        /// What was measured; `None` when nobody asked for it and the kernel refused it.
        image: Option<Image>,
        /// What keeps its descendants together.
        containment: Containment,
        /// Names of the listening sockets it was given, in the order of their descriptors from 3 on.
        sockets: Vec<String>,
    },
    /// The process ended by `exit`, with a code below 128.
    Exited(Box<Ended>),
    /// The process ended by a signal, or with a code of 128 and above.
    Crashed(Box<Ended>),
    /// It will be started again.
    Restarting {
        /// After this long.
        after: Duration,
        /// Restarts after failures in the window, this one included; 0 after a crash.
        count: u32,
        /// How many the window may hold.
        limit: u32,
    },
    /// It is not started again although it did not end well.
    GaveUp {
        /// Restarts that the window holds; `None` when restarts are switched off.
        restarts: Option<u32>,
        /// How it ended last.
        end: End,
    },
    /// The supervisor was sent a signal.
    Signal {
        /// Its number.
        number: i32,
        /// It was passed on to the process; `false` when none was running.
        delivered: bool,
    },
    /// Processes that outlived the service's main process were ended.
    Swept {
        /// How many there were.
        processes: usize,
        /// Some did not go when they were asked.
        forced: bool,
    },
    /// It was stopped on request; nothing of the service runs any more.
    Stopped {
        /// It did not go when it was asked, and was killed.
        forced: bool,
    },
}

/// What keeps the descendants of a service together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Containment {
    /// A control group of their own (version 2), at this path. The supervisor is their reaper as well.
    Cgroup(PathBuf),
    /// The supervisor is the reaper of every orphan (`PR_SET_CHILD_SUBREAPER`) and finds them by descent.
    Reaper,
}

/// How one process ended, and what is worth keeping about it.
#[derive(Clone, PartialEq, Debug)]
pub struct Ended {
    /// The process.
    pub pid: u32,
    /// How it ended.
    pub end: End,
    /// When it ended, by the wall clock.
    pub at: SystemTime,
    /// How long it ran.
    pub uptime: Duration,
    /// What it used, with the children it waited for.
    pub usage: Usage,
    /// The last bytes it wrote to stderr; empty when no tail was asked for.
    pub stderr_tail: Vec<u8>,
}

/// Resources used, from `wait4(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The largest resident set, in KiB.
    pub max_resident_kib: u64,
    /// Page faults that needed the disk.
    pub major_faults: u64,
}
