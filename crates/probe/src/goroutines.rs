//! How many goroutines a process has, what each does, and who started it.
//!
//! No program in the kernel: every thread is stopped for as long as the goroutines are read (`goproc`), and goes on. The
//! runtime's own goroutines (`runtime/traceback.go`, `isSystemGoroutine`) are told apart, so that the others are as many as
//! `runtime.NumGoroutine` says.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use goproc::{Executable, GoRuntime, Goroutine, Machine, Modules, Position, Process, Tracer};
use serde::Serialize;

use crate::error::{Error, Result};

/// How long a thread may take to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// What goroutines do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// On a processor.
    Running,
    /// Waiting for a processor.
    Runnable,
    /// In a system call.
    SystemCall,
    /// Waiting for something else: a channel, a lock, a timer, the network.
    Waiting,
    /// In between: its stack is copied, or it is being stopped.
    Other,
}

impl State {
    /// runtime/runtime2.go, `_Gidle` and the following.
    fn of(status: u32) -> Self {
        match status {
            1 => Self::Runnable,
            2 => Self::Running,
            3 => Self::SystemCall,
            4 => Self::Waiting,
            _ => Self::Other,
        }
    }
}

/// Goroutines that do the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Group {
    /// What they do.
    pub state: State,
    /// The innermost function that is not of the runtime; empty where there is none.
    pub at: String,
    /// The function that each was started with.
    pub started_with: String,
    /// It is one of the runtime's own.
    pub system: bool,
    /// How many.
    pub count: u64,
}

/// All goroutines at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Census {
    /// As many as `runtime.NumGoroutine` would say.
    pub goroutines: u64,
    /// The runtime's own.
    pub system: u64,
    /// Threads of the process.
    pub threads: u64,
    /// How long the process stood still, in microseconds.
    pub stopped_us: u64,
    /// The most frequent first.
    pub groups: Vec<Group>,
}

/// Reads the goroutines of a process again and again.
#[derive(Debug)]
pub struct Reader {
    process: Process,
    runtime: GoRuntime,
}

impl Reader {
    /// Opens a process.
    ///
    /// # Errors
    /// [`Error::Process`] when it may not be traced; [`Error::Missing`] when its executable has no symbols or no debug data.
    pub fn open(process: NonZeroU32) -> Result<Self> {
        let failed = |source| Error::Process { process, source };
        let opened = Process::open(process.get().cast_signed()).map_err(failed)?;
        let bytes = opened.executable().map_err(failed)?;
        let executable = Executable::parse(&bytes).map_err(failed)?;
        if executable.is_position_independent() {
            return Err(Error::Missing {
                what: "a fixed address (the program is position-independent), which goroutines are found by,"
                    .to_owned(),
            });
        }
        let runtime = GoRuntime::of(&executable).map_err(|error| match error {
            goproc::Error::Missing { what } => Error::Missing { what },
            source => Error::Process { process, source },
        })?;
        Ok(Self { process: opened, runtime })
    }

    /// Stops the process, counts, and lets it go.
    ///
    /// # Errors
    /// [`Error::Process`] when it cannot be stopped or read.
    pub fn census(&self) -> Result<Census> {
        let process = NonZeroU32::new(self.process.pid().cast_unsigned()).unwrap_or(NonZeroU32::MIN);
        self.count().map_err(|source| Error::Process { process, source })
    }

    fn count(&self) -> goproc::Result<Census> {
        let modules = self.runtime.modules(&self.process)?;
        let mut tracer = Tracer::seize(&self.process)?;
        let began = Instant::now();
        let read = tracer.stop(PATIENCE).and_then(|()| self.read(&modules, &tracer));
        // Whatever was read or not: the process goes on.
        let threads = tracer.threads().count() as u64;
        tracer.release()?;
        let stopped_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut groups: Vec<Group> = read?
            .into_iter()
            .map(|((state, at, started_with, system), count)| Group {
                state,
                at,
                started_with,
                system,
                count,
            })
            .collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cmp(b)));
        let of = |system: bool| groups.iter().filter(|g| g.system == system).map(|g| g.count).sum();
        Ok(Census { goroutines: of(false), system: of(true), threads, stopped_us, groups })
    }

    fn read(
        &self,
        modules: &Modules,
        tracer: &Tracer<'_>,
    ) -> goproc::Result<BTreeMap<(State, String, String, bool), u64>> {
        let machines: BTreeMap<u64, Machine> =
            self.runtime.machines(&self.process)?.into_iter().map(|m| (m.address, m)).collect();
        let mut threads = BTreeMap::new();
        for thread in tracer.threads() {
            let registers = tracer.registers(thread)?;
            threads.insert(thread, (registers.rip, registers.rsp));
        }
        for machine in machines.values() {
            let Some(state) = threads.get_mut(&machine.thread) else { continue };
            if let Some(interrupted) = machine.interrupted(&self.process, state.1)? {
                *state = interrupted;
            }
        }
        let mut groups = BTreeMap::new();
        for goroutine in self.runtime.goroutines(&self.process)? {
            let names = self.names(&goroutine, modules, &machines, &threads)?;
            let start = names.len().checked_sub(2).map(|below| names[below].clone()).unwrap_or_default();
            let at =
                names.iter().find(|name| !name.starts_with("runtime.") && !name.starts_with("internal/"));
            let system = start.starts_with("runtime.") && start != MAIN;
            let key = (State::of(goroutine.status), at.cloned().unwrap_or_default(), start, system);
            *groups.entry(key).or_insert(0) += 1;
        }
        Ok(groups)
    }

    /// The functions on its stack, innermost first; of one between two states none.
    fn names(
        &self,
        goroutine: &Goroutine,
        modules: &Modules,
        machines: &BTreeMap<u64, Machine>,
        threads: &BTreeMap<i32, (u64, u64)>,
    ) -> goproc::Result<Vec<String>> {
        let Position::At { pc, sp } = goroutine.position(machines, threads) else { return Ok(Vec::new()) };
        let frames = goroutine.unwind(&self.process, modules, pc, sp)?.unwrap_or_default();
        let names = frames.iter().filter_map(|frame| modules.find(frame.entry));
        Ok(names.map(|(_, function)| function.name.to_owned()).collect())
    }
}

/// The start function of the runtime that runs the program's own code. `runtime.runfinq` does so at times, too, and is then
/// counted by the runtime; here it is always one of the runtime's own.
const MAIN: &str = "runtime.main";
