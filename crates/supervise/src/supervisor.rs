//! The life of one service: start, watch, end, start again.

use std::time::{Duration, Instant, SystemTime};

use crate::command::Command;
use crate::error::SuperviseError;
use crate::fact::{Ended, Fact};
use crate::policy::{Class, End, Next, Policy, Restarts};
use crate::sys::{self, Child, Notice, Pid, Signal, Signals, Socket, Unit};
use crate::verify::{Image, Verdict, Verify};

/// How a service's descendants are to be kept together.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Contain {
    /// In a control group where one can be made, by descent otherwise.
    #[default]
    Auto,
    /// In a control group, or not at all.
    Cgroup,
    /// By descent: the supervisor adopts every orphan.
    Reaper,
}

/// Everything about the service that stays the same from one start to the next.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) command: Command,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) stderr_tail: usize,
    pub(crate) accept_remote: bool,
    pub(crate) verified: bool,
}

/// How the supervisor's work ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The service ended with exit 0.
    Clean,
    /// It was stopped because the supervisor was asked to.
    Stopped,
    /// It did not end well and was not started again.
    GaveUp {
        /// How it ended last.
        end: End,
        /// Restarts that the window held; `None` when restarts are switched off.
        restarts: Option<u32>,
    },
}

/// A service to be supervised. The process that calls [`Supervisor::run`] becomes the reaper of orphans: it should have
/// no other children, since every descendant of it counts as one of the service.
pub struct Supervisor<'a> {
    launch: Launch,
    policy: Policy,
    contain: Contain,
    verifier: Option<&'a dyn Verify>,
}

impl<'a> Supervisor<'a> {
    /// Supervises `command`, unverified until [`Self::verified_by`] says by whom.
    #[must_use]
    pub fn new(command: Command) -> Self {
        let launch = Launch {
            command,
            sockets: Vec::new(),
            stderr_tail: 64 * 1024,
            accept_remote: false,
            verified: false,
        };
        Self { launch, policy: Policy::default(), contain: Contain::Auto, verifier: None }
    }

    /// Every start must be accepted by `verifier`.
    #[must_use]
    pub fn verified_by(mut self, verifier: &'a dyn Verify) -> Self {
        self.verifier = Some(verifier);
        self.launch.verified = true;
        self
    }

    /// Takes the image also from file systems that others can change behind this kernel's back.
    #[must_use]
    pub fn accept_remote(mut self, accept: bool) -> Self {
        self.launch.accept_remote = accept;
        self
    }

    /// Hands these sockets to every process, as descriptors from 3 on.
    #[must_use]
    pub fn sockets(mut self, sockets: Vec<Socket>) -> Self {
        self.launch.sockets = sockets;
        self
    }

    /// When it is started again.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How its descendants are kept together.
    #[must_use]
    pub fn contain(mut self, contain: Contain) -> Self {
        self.contain = contain;
        self
    }

    /// How many of the last bytes of stderr are kept; 0 hands it our own stderr instead of a pipe.
    #[must_use]
    pub fn stderr_tail(mut self, bytes: usize) -> Self {
        self.launch.stderr_tail = bytes;
        self
    }

    /// Runs it until it ends for good. `facts` is told each step, on this thread, before the next one.
    pub fn run(self, signals: &Signals, facts: &mut dyn FnMut(Fact)) -> Result<Ending, SuperviseError> {
        let unit = Unit::new(self.contain)?;
        let begun = Instant::now();
        let restarts = Restarts::new(self.policy);
        let stop = None;
        Run { launch: &self.launch, verifier: self.verifier, unit, restarts, signals, facts, begun, stop }
            .run()
    }
}

/// One call of [`Supervisor::run`].
struct Run<'a> {
    launch: &'a Launch,
    verifier: Option<&'a dyn Verify>,
    unit: Unit,
    restarts: Restarts,
    signals: &'a Signals,
    facts: &'a mut dyn FnMut(Fact),
    begun: Instant,
    /// Set once a stop was asked for.
    stop: Option<Stop>,
}

/// A stop under way.
#[derive(Clone, Copy)]
struct Stop {
    deadline: Instant,
    forced: bool,
}

impl Run<'_> {
    fn run(mut self) -> Result<Ending, SuperviseError> {
        let result = self.lives();
        // Also on an error: whatever happened, nothing of the service is left behind.
        self.unit.kill(drain_children)?;
        if let Some(Stop { forced, .. }) = self.stop {
            (self.facts)(Fact::Stopped { forced });
        }
        result
    }

    fn lives(&mut self) -> Result<Ending, SuperviseError> {
        let mut first = true;
        loop {
            let end = match self.start() {
                Ok(child) => self.watch(child)?,
                Err(error @ SuperviseError::Refused { .. }) => return Err(error),
                Err(error) => {
                    (self.facts)(Fact::StartFailed { reason: chain(&error) });
                    if first {
                        return Err(error);
                    }
                    // A later start that failed counts as a failure of the service: a deployment may be half-way
                    // through. 126 is "found but cannot be executed" (POSIX 2.8.2).
                    End::Code(126)
                }
            };
            first = false;
            self.sweep()?;
            if self.stop.is_some() {
                return Ok(Ending::Stopped);
            }
            match self.restarts.after(end, self.begun.elapsed()) {
                Next::StayDown => return Ok(Ending::Clean),
                Next::GiveUp { restarts } => {
                    (self.facts)(Fact::GaveUp { restarts, end });
                    return Ok(Ending::GaveUp { end, restarts });
                }
                Next::Restart { after, count } => self.pause(after, count)?,
            }
            if self.stop.is_some() {
                return Ok(Ending::Stopped);
            }
        }
    }

    fn start(&mut self) -> Result<Child, SuperviseError> {
        let (verifier, facts) = (self.verifier, &mut *self.facts);
        let mut gate = |pid: Pid, image: &Image| {
            let Some(verifier) = verifier else { return Ok(()) };
            match verifier.verdict(image) {
                Verdict::Accepted { grounds } => {
                    facts(Fact::Verified { pid: pid.as_raw().unsigned_abs(), image: image.clone(), grounds });
                    Ok(())
                }
                Verdict::Refused { reason } => {
                    facts(Fact::Refused { image: image.clone(), reason: reason.clone() });
                    Err(SuperviseError::Refused { image: Box::new(image.clone()), reason })
                }
            }
        };
        let child = sys::start(self.launch, &self.unit, &mut gate)?;
        (self.facts)(Fact::Started {
            pid: child.pid.as_raw().unsigned_abs(),
            program: self.launch.command.program().to_owned(),
            verified: self.launch.verified,
            image: child.image.clone(),
            containment: self.unit.containment(),
            sockets: self.launch.sockets.iter().map(|socket| socket.name().to_owned()).collect(),
        });
        Ok(child)
    }

    /// Passes signals on until the main process ends.
    fn watch(&mut self, child: Child) -> Result<End, SuperviseError> {
        loop {
            while let Some(reaped) = sys::reap()? {
                if reaped.pid == child.pid {
                    return Ok(self.ended(child, &reaped));
                }
            }
            match self.next_notice(None)? {
                Some(Notice::Forward(signal)) => self.forward(signal, Some(&child))?,
                Some(Notice::Child) => {}
                None => self.force_if_due()?,
            }
        }
    }

    fn ended(&mut self, child: Child, reaped: &sys::Reaped) -> End {
        let ended = Ended {
            pid: child.pid.as_raw().unsigned_abs(),
            end: reaped.end,
            at: SystemTime::now(),
            uptime: child.since.elapsed(),
            usage: reaped.usage,
            stderr_tail: child.stderr_tail(),
        };
        let fact = if reaped.end.class() == Class::Crash { Fact::Crashed } else { Fact::Exited };
        (self.facts)(fact(Box::new(ended)));
        reaped.end
    }

    /// Ends what outlived the main process: first asked, then killed.
    fn sweep(&mut self) -> Result<(), SuperviseError> {
        drain_children()?;
        let processes = self.unit.members()?;
        if processes == 0 {
            return Ok(());
        }
        self.unit.ask(Signal::SIGTERM)?;
        let patience = Instant::now() + self.restarts.policy().stop_timeout;
        let deadline = self.stop.map_or(patience, |stop| stop.deadline.min(patience));
        let forced = !self.await_empty(deadline)?;
        if forced {
            self.unit.kill(drain_children)?;
        }
        (self.facts)(Fact::Swept { processes, forced });
        Ok(())
    }

    /// `false`: the time is up and somebody is still there.
    fn await_empty(&mut self, deadline: Instant) -> Result<bool, SuperviseError> {
        loop {
            drain_children()?;
            if self.unit.members()? == 0 {
                return Ok(true);
            }
            let now = Instant::now();
            if now >= deadline || self.stop.is_some_and(|stop| now >= stop.deadline) {
                return Ok(false);
            }
            // Orphans are ours and announce themselves; the others are looked for.
            if let Some(Notice::Forward(signal)) = self.next_notice(Some(Duration::from_millis(50)))? {
                self.forward(signal, None)?;
            }
        }
    }

    fn pause(&mut self, after: Duration, count: u32) -> Result<(), SuperviseError> {
        (self.facts)(Fact::Restarting { after, count, limit: self.restarts.policy().limit });
        let until = Instant::now() + after;
        while self.stop.is_none() {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return Ok(());
            };
            if let Some(Notice::Forward(signal)) = self.next_notice(Some(left))? {
                self.forward(signal, None)?;
            }
        }
        Ok(())
    }

    /// Passes `signal` on; one that asks to end also starts the clock of the stop, and a second one ends the patience.
    fn forward(&mut self, signal: Signal, child: Option<&Child>) -> Result<(), SuperviseError> {
        if sys::means_stop(signal) {
            let now = Instant::now();
            let deadline = match self.stop {
                Some(_) => now,
                None => now + self.restarts.policy().stop_timeout,
            };
            self.stop = Some(Stop { deadline, forced: false });
        }
        let delivered = child.is_some_and(|child| child.signal(signal));
        (self.facts)(Fact::Signal { number: signal as i32, delivered });
        self.force_if_due()
    }

    fn force_if_due(&mut self) -> Result<(), SuperviseError> {
        match &mut self.stop {
            Some(stop) if !stop.forced && Instant::now() >= stop.deadline => {
                stop.forced = true;
                self.unit.strike()
            }
            _ => Ok(()),
        }
    }

    /// The next signal, at the latest when a stop under way must be forced.
    fn next_notice(&self, limit: Option<Duration>) -> Result<Option<Notice>, SuperviseError> {
        let stop = self
            .stop
            .filter(|stop| !stop.forced)
            .map(|stop| stop.deadline.saturating_duration_since(Instant::now()));
        let timeout = match (limit, stop) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.signals
            .next(timeout)
            .map_err(|source| SuperviseError::System { what: "wait for signals", source })
    }
}

fn drain_children() -> Result<(), SuperviseError> {
    while sys::reap()?.is_some() {}
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
