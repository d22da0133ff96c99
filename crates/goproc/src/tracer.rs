//! All threads of a process, seized, stopped together, and let go again.
//!
//! Threads are seized while they run (`PTRACE_SEIZE` does not stop), then interrupted together, so the stop costs one
//! round trip of the slowest thread and not one of each. Threads that are made in between are attached by the kernel
//! (`PTRACE_O_TRACECLONE`) or found by reading the list again. `PTRACE_O_EXITKILL` is not set: when this process dies,
//! the kernel lets every thread go on where it stands (ptrace(2), "Death under ptrace").

use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::process::{Process, refused};
use crate::sys::{self, Change, Registers};

/// The stop that `PTRACE_INTERRUPT` makes, and the first stop of a thread that was attached at its birth.
const EVENT_STOP: i32 = 128;
/// What `PTRACE_O_TRACESYSGOOD` adds to the signal of a stop at a system call.
const AT_SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;
/// Lists of threads are read at most this often until nothing new stands in them.
const ROUNDS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Stopped; the signal is delivered when it goes on.
    Stopped(i32),
}

/// Threads of one process, seized by this thread of ours. ptrace belongs to the thread that attached, so this value
/// does not leave it.
#[derive(Debug)]
pub struct Tracer<'p> {
    process: &'p Process,
    threads: BTreeMap<i32, State>,
    bound: PhantomData<*mut ()>,
}

impl<'p> Tracer<'p> {
    /// Seizes every thread; none is stopped.
    ///
    /// # Errors
    /// When the process may not be traced, is traced by someone else, or is gone.
    pub fn seize(process: &'p Process) -> Result<Self> {
        let mut tracer = Self { process, threads: BTreeMap::new(), bound: PhantomData };
        for _ in 0..ROUNDS {
            if !tracer.seize_unknown()? {
                return Ok(tracer);
            }
        }
        Err(Error::Limit { what: "the number of rounds in which threads were made", limit: ROUNDS as u64 })
    }

    /// Seizes one thread only: for a call that one thread can make while the others run.
    ///
    /// # Errors
    /// As [`Tracer::seize`].
    pub fn seize_one(process: &'p Process, thread: i32) -> Result<Self> {
        sys::seize(thread).map_err(|e| refused("seize a thread", thread, e))?;
        Ok(Self { process, threads: BTreeMap::from([(thread, State::Running)]), bound: PhantomData })
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &'p Process {
        self.process
    }

    /// The seized threads.
    pub fn threads(&self) -> impl Iterator<Item = i32> + '_ {
        self.threads.keys().copied()
    }

    /// Stops every thread, within `patience`; otherwise lets all go on and fails.
    ///
    /// # Errors
    /// [`Error::NotStopped`]; [`Error::Gone`] when the process ended.
    pub fn stop(&mut self, patience: Duration) -> Result<()> {
        let begin = Instant::now();
        let mut waiting = self.running();
        self.interrupt(&waiting)?;
        loop {
            let before = waiting.len();
            waiting = self.hear(&waiting)?;
            if self.threads.is_empty() {
                return Err(Error::Gone { pid: self.process.pid() });
            }
            if waiting.is_empty() {
                if self.is_complete()? {
                    return Ok(());
                }
                waiting = self.running();
                self.interrupt(&waiting)?;
            }
            if begin.elapsed() > patience {
                let running = waiting.len();
                let error = Error::NotStopped {
                    running,
                    threads: self.threads.len(),
                    milliseconds: patience.as_millis(),
                };
                self.go_on()?;
                return Err(error);
            }
            if waiting.len() == before {
                sys::give_way();
            }
        }
    }

    /// Does nothing run that is not seized? Threads that were made since are known from the stop of their maker, so the
    /// list is read again only if the kernel counts more threads than stand here.
    fn is_complete(&mut self) -> Result<bool> {
        Ok(self.process.thread_count()? == self.threads.len() || !self.seize_unknown()?)
    }

    fn interrupt(&mut self, threads: &[i32]) -> Result<()> {
        threads.iter().try_for_each(|thread| self.unless_gone(*thread, sys::interrupt(*thread)))
    }

    /// Stops the threads that are seized and looks for no others: the counterpart of [`Tracer::seize_one`].
    ///
    /// # Errors
    /// As [`Tracer::stop`].
    pub fn stop_one(&mut self, thread: i32, patience: Duration) -> Result<()> {
        let begin = Instant::now();
        if self.threads.get(&thread) == Some(&State::Running) {
            self.interrupt(&[thread])?;
        }
        while self.threads.get(&thread) == Some(&State::Running) {
            self.hear(&[thread])?;
            if begin.elapsed() > patience {
                return Err(Error::NotStopped { running: 1, threads: 1, milliseconds: patience.as_millis() });
            }
            sys::give_way();
        }
        match self.threads.contains_key(&thread) {
            true => Ok(()),
            false => Err(Error::Gone { pid: thread }),
        }
    }

    /// Lets all run for a while, still seized: whatever stops a seized thread in that time (a signal on its way to it, the
    /// birth of another) is passed on at once.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn let_run(&mut self, time: Duration) -> Result<()> {
        let begin = Instant::now();
        self.go_on()?;
        while begin.elapsed() < time {
            let running = self.running();
            self.hear(&running)?;
            self.go_on()?;
            std::thread::sleep(time.min(Duration::from_micros(100)));
        }
        Ok(())
    }

    /// Lets every stopped thread go on, still seized.
    ///
    /// # Errors
    /// When the kernel refuses; a thread that is gone is no error.
    pub fn go_on(&mut self) -> Result<()> {
        for (thread, signal) in self.stopped() {
            self.unless_gone(thread, sys::resume(thread, signal))?;
            if let Some(state) = self.threads.get_mut(&thread) {
                *state = State::Running;
            }
        }
        Ok(())
    }

    /// Lets every thread go, for good. Threads that run are stopped for a moment, because only stopped ones can be
    /// let go.
    ///
    /// # Errors
    /// When the kernel refuses; whatever still hangs is let go by the kernel when this process ends.
    pub fn release(mut self) -> Result<()> {
        self.let_go()
    }

    /// The registers of a stopped thread.
    ///
    /// # Errors
    /// When it is not stopped, or gone.
    pub fn registers(&self, thread: i32) -> Result<Registers> {
        sys::registers(thread).map_err(|e| refused("read the registers", thread, e))
    }

    pub(crate) fn set_registers(&self, thread: i32, registers: &Registers) -> Result<()> {
        sys::set_registers(thread, registers).map_err(|e| refused("set the registers", thread, e))
    }

    /// Lets one stopped thread run to the next entry to or exit from a system call. Signals that come are put into
    /// `held`: delivered here, a handler would run on top of a borrowed stack.
    pub(crate) fn run_to_system_call(&mut self, thread: i32, held: &mut Vec<i32>) -> Result<()> {
        loop {
            sys::resume_to_system_call(thread).map_err(|e| refused("continue a thread", thread, e))?;
            match self.await_stop(thread)? {
                (AT_SYSTEM_CALL, _) => return Ok(()),
                (signal, 0) => held.push(signal),
                _ => {}
            }
        }
    }

    /// Takes away the signal that a stopped thread would get when it goes on.
    pub(crate) fn take_signal(&mut self, thread: i32) -> Option<i32> {
        match self.threads.get_mut(&thread) {
            Some(State::Stopped(signal)) if *signal != 0 => Some(std::mem::take(signal)),
            _ => None,
        }
    }

    fn await_stop(&mut self, thread: i32) -> Result<(i32, i32)> {
        let begin = Instant::now();
        loop {
            match sys::poll(thread).map_err(|e| refused("wait for a thread", thread, e))? {
                Some(change @ Change::Stopped { signal, event, .. }) => {
                    self.take_in(change)?;
                    self.threads.insert(thread, State::Stopped(0));
                    return Ok((signal, event));
                }
                Some(Change::Ended { .. }) => {
                    self.threads.remove(&thread);
                    return Err(Error::Gone { pid: thread });
                }
                // A call that was lent is one that does not block: mapping memory and its like.
                None if begin.elapsed() > Duration::from_secs(10) => {
                    return Err(Error::NotStopped { running: 1, threads: 1, milliseconds: 10_000 });
                }
                None => sys::give_way(),
            }
        }
    }

    fn let_go(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.detach_stopped()?;
        let mut waiting = self.running();
        self.interrupt(&waiting)?;
        while !waiting.is_empty() {
            waiting = self.hear(&waiting)?;
            self.detach_stopped()?;
            if begin.elapsed() > Duration::from_secs(5) {
                return Err(Error::NotStopped {
                    running: waiting.len(),
                    threads: waiting.len(),
                    milliseconds: 5000,
                });
            }
            sys::give_way();
        }
        Ok(())
    }

    fn detach_stopped(&mut self) -> Result<()> {
        for (thread, signal) in self.stopped() {
            self.threads.remove(&thread);
            self.unless_gone(thread, sys::detach(thread, signal))?;
        }
        Ok(())
    }

    /// Takes in what `waitpid` has to tell of these threads, without blocking; returns those that still run, with the
    /// threads that they have made. Each is asked for by its number: the kernel finds one thread at once, and any thread
    /// (-1) by going through all.
    fn hear(&mut self, threads: &[i32]) -> Result<Vec<i32>> {
        let mut running = Vec::new();
        for thread in threads {
            match sys::poll(*thread) {
                Ok(None) => running.push(*thread),
                Ok(Some(change)) => running.extend(self.take_in(change)?),
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                    self.threads.remove(thread);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => running.push(*thread),
                Err(error) => return Err(refused("wait for a thread", *thread, error)),
            }
        }
        Ok(running)
    }

    /// What a thread told; the thread that it made, if that is what stopped it. A thread that a seized one makes is
    /// seized by the kernel, stops before its first instruction, and is known from here on.
    fn take_in(&mut self, change: Change) -> Result<Option<i32>> {
        let Change::Stopped { thread, signal, event } = change else {
            let Change::Ended { thread } = change else { return Ok(None) };
            self.threads.remove(&thread);
            return Ok(None);
        };
        debug_assert!(event == 0 || event == EVENT_STOP || event == libc::PTRACE_EVENT_CLONE);
        // A stop without an event is a signal on its way: it is held with the thread and delivered later.
        let pending = if event == 0 && signal != AT_SYSTEM_CALL { signal } else { 0 };
        self.threads.insert(thread, State::Stopped(pending));
        if event != libc::PTRACE_EVENT_CLONE {
            return Ok(None);
        }
        let made = match sys::event_message(thread) {
            Ok(made) => i32::try_from(made).unwrap_or(0),
            // Killed meanwhile; `waitpid` will say so.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => return Err(refused("ask for the thread made by a thread", thread, error)),
        };
        if made == 0 || self.threads.contains_key(&made) {
            return Ok(None);
        }
        self.threads.insert(made, State::Running);
        Ok(Some(made))
    }

    /// Seizes what is not seized yet; was there anything?
    fn seize_unknown(&mut self) -> Result<bool> {
        let mut any = false;
        for thread in self.process.threads()? {
            if self.threads.contains_key(&thread) {
                continue;
            }
            match sys::seize(thread) {
                Ok(()) => {
                    self.threads.insert(thread, State::Running);
                    any = true;
                }
                // Ended since the list was read; or attached by the kernel at its birth, and about to report.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) if error.raw_os_error() == Some(libc::EPERM) && self.is_ours(thread) => {
                    self.threads.insert(thread, State::Running);
                    any = true;
                }
                Err(_) if self.is_ending(thread) => {}
                Err(error) => return Err(refused("seize a thread", thread, error)),
            }
        }
        Ok(any)
    }

    /// Does the kernel name this thread of ours as the tracer? `Tracer::seize` of an attached thread fails with EPERM,
    /// and so does that of a thread which someone else traces or which has ended and was not reaped.
    fn is_ours(&self, thread: i32) -> bool {
        // The kernel names the thread of ours that traces, and each of ours has a number of its own.
        let tracer = self.told(thread, "TracerPid:").and_then(|t| t.parse::<u32>().ok()).filter(|t| *t != 0);
        tracer.is_some_and(|t| std::path::Path::new(&format!("/proc/self/task/{t}")).exists())
    }

    /// A thread that has ended and still stands in the list cannot be seized, and need not be.
    fn is_ending(&self, thread: i32) -> bool {
        self.told(thread, "State:").is_none_or(|state| state.starts_with(['Z', 'X']))
    }

    fn told(&self, thread: i32, what: &str) -> Option<String> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/task/{thread}/status", self.process.pid())).ok()?;
        status.lines().find_map(|line| line.strip_prefix(what)).map(|value| value.trim().to_owned())
    }

    fn running(&self) -> Vec<i32> {
        self.threads
            .iter()
            .filter(|(_, state)| **state == State::Running)
            .map(|(thread, _)| *thread)
            .collect()
    }

    fn stopped(&self) -> Vec<(i32, i32)> {
        let signal = |(thread, state): (&i32, &State)| match state {
            State::Running => None,
            State::Stopped(signal) => Some((*thread, *signal)),
        };
        self.threads.iter().filter_map(signal).collect()
    }

    /// A thread may end at any time; that is no failure, and `waitpid` tells of it.
    fn unless_gone(&mut self, thread: i32, result: io::Result<()>) -> Result<()> {
        match result {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            Err(error) => Err(refused("steer a thread", thread, error)),
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Tracer<'_> {
    fn drop(&mut self) {
        // Best effort: whoever wants to know calls `release`.
        let _ = self.let_go();
    }
}
