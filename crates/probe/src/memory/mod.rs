//! Memory that becomes executable in a running process, and what stands behind it.
//!
//! The kernel tells of each call at its end (`bpf/memory.bpf.c`); this side then looks at the mapping, digests its file and
//! says what it is ([`Finding`]). With an [`Answer`] nothing of it runs unjudged: memory that is wrong in itself is answered
//! in the kernel, before the thread's next instruction; every other new code stops the process until the caller has said
//! [`Probe::release`] or [`Probe::answer`].
//!
//! Not seen: `shmat(2)` with `SHM_EXEC`, `execve(2)` (another program, which `custody run` verifies), calls of 32-bit programs,
//! and memory that only becomes executable because the program asked for `READ_IMPLIES_EXEC`.

mod mapping;
pub mod record;

use std::num::NonZeroU32;
use std::os::linux::fs::MetadataExt as _;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

pub use mapping::{Executable, Mapped, at, executable};
pub use record::{Call, Seen};

use crate::engine::{Constant, Engine, Lost};
use crate::error::{Error, Result};
use crate::programs;

/// Calls whose entry and exit are watched, and the program for the entry.
const CALLS: [(&str, &str); 4] = [
    ("mmap", "enter_mmap"),
    ("mprotect", "enter_mprotect"),
    ("pkey_mprotect", "enter_pkey_mprotect"),
    ("memfd_create", "enter_memfd_create"),
];

/// What is done to a process that has code which should not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is stopped: it does no more, and what it has in memory can be looked at.
    Stop,
    /// It is ended.
    Kill,
}

impl Answer {
    fn signal(self) -> Signal {
        match self {
            Self::Stop => Signal::SIGSTOP,
            Self::Kill => Signal::SIGKILL,
        }
    }
}

/// What is to be thought of executable memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Writable and executable at once.
    WriteExecute,
    /// Executable and of no file: written by the program itself, or by whoever got into it.
    Outside,
    /// A file that no directory has: `memfd_create(2)`, or removed since.
    Nameless,
    /// A file, and the process has other bytes than it.
    Changed,
    /// A file, as it is.
    File,
    /// It was executable, and was gone before it could be looked at.
    Gone,
}

impl Finding {
    /// What it is.
    #[must_use]
    pub fn of(memory: &Executable) -> Self {
        match &memory.file {
            _ if memory.writable => Self::WriteExecute,
            None => Self::Outside,
            Some(file) if !file.is_named() => Self::Nameless,
            Some(file) if file.changed > 0 => Self::Changed,
            Some(_) => Self::File,
        }
    }
}

/// A running probe. Dropping it detaches.
pub struct Probe {
    engine: Engine,
    process: NonZeroU32,
}

impl Probe {
    /// Watches one process.
    ///
    /// # Errors
    /// [`Error::Kernel`] without tracepoints of system calls; as [`Engine::load`].
    pub fn attach(process: NonZeroU32, answer: Option<Answer>) -> Result<Self> {
        let path = std::path::PathBuf::from("/proc/self/ns/pid");
        let namespace = std::fs::metadata(&path).map_err(|source| Error::Target { path, source })?;
        let constants = [
            Constant::Word("process", process.get()),
            Constant::Long("namespace_device", namespace.st_dev()),
            Constant::Long("namespace_inode", namespace.st_ino()),
            Constant::Word("answer", answer.map_or(0, |answer| answer.signal() as u32)),
            Constant::Word("hold", u32::from(answer.is_some())),
        ];
        let mut engine = Engine::load("memory", programs::memory()?, &constants)?;
        // Exits first: a call that is seen to begin is then seen to end.
        for (call, _) in CALLS {
            engine.attach_tracepoint("leave_call", "syscalls", &format!("sys_exit_{call}"))?;
        }
        for (call, program) in CALLS {
            engine.attach_tracepoint(program, "syscalls", &format!("sys_enter_{call}"))?;
        }
        Ok(Self { engine, process })
    }

    /// Hands over the calls since the last time, oldest first. One that carries a signal waits for
    /// [`Probe::release`] or [`Probe::answer`].
    pub fn drain(&mut self, mut each: impl FnMut(Seen)) {
        self.engine.drain(|bytes| {
            if let Some(seen) = record::read(bytes) {
                each(seen);
            }
        });
    }

    /// Lets a stopped process go on.
    ///
    /// # Errors
    /// [`Error::Target`] when it is gone.
    pub fn release(&self) -> Result<()> {
        self.send(Signal::SIGCONT)
    }

    /// Stops or ends the process.
    ///
    /// # Errors
    /// As [`Probe::release`].
    pub fn answer(&self, answer: Answer) -> Result<()> {
        self.send(answer.signal())
    }

    fn send(&self, signal: Signal) -> Result<()> {
        let number = Pid::from_raw(self.process.get().cast_signed());
        kill(number, signal).map_err(|errno| Error::Target {
            path: format!("/proc/{}", self.process).into(),
            source: errno.into(),
        })
    }

    /// What was not told so far.
    ///
    /// # Errors
    /// As [`Engine::lost`].
    pub fn lost(&self) -> Result<Lost> {
        self.engine.lost()
    }
}
