//! A platform without a verified start: every entrance refuses, so the values below cannot exist.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use crate::error::SuperviseError;
use crate::fact::{Containment, Usage};
use crate::listen::Address;
use crate::policy::End;
use crate::supervisor::{Contain, Launch};
use crate::verify::Image;

/// The held signals.
#[derive(Debug)]
pub struct Signals(Infallible);

impl Signals {
    /// Refuses.
    pub fn hold() -> Result<Self, SuperviseError> {
        Err(SuperviseError::Platform)
    }

    pub(crate) fn next(&self, _: Option<Duration>) -> std::io::Result<Option<Notice>> {
        match self.0 {}
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Socket(Infallible);

impl Socket {
    /// Refuses.
    pub fn open(_: &Address) -> Result<Self, SuperviseError> {
        Err(SuperviseError::Platform)
    }

    /// The name in `LISTEN_FDNAMES`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.0 {}
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &str {
        match self.0 {}
    }
}

/// A process's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pid(Infallible);

impl Pid {
    pub(crate) fn as_raw(self) -> i32 {
        match self.0 {}
    }
}

/// The one signal that is named above the platform.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::upper_case_acronyms, reason = "signal(7) calls it so")]
pub(crate) enum Signal {
    SIGTERM = 15,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    #[expect(dead_code, reason = "nothing is noticed here")]
    Child,
    #[expect(dead_code, reason = "nothing is noticed here")]
    Forward(Signal),
}

pub(crate) fn means_stop(_: Signal) -> bool {
    true
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) since: Instant,
    pub(crate) image: Option<Image>,
}

impl Child {
    pub(crate) fn signal(&self, _: Signal) -> bool {
        match self.pid.0 {}
    }

    pub(crate) fn stderr_tail(self) -> Vec<u8> {
        match self.pid.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Unit(Infallible);

impl Unit {
    pub(crate) fn new(_: Contain) -> Result<Self, SuperviseError> {
        Err(SuperviseError::Platform)
    }

    pub(crate) fn containment(&self) -> Containment {
        match self.0 {}
    }

    pub(crate) fn members(&self) -> Result<usize, SuperviseError> {
        match self.0 {}
    }

    pub(crate) fn ask(&self, _: Signal) -> Result<(), SuperviseError> {
        match self.0 {}
    }

    pub(crate) fn strike(&self) -> Result<(), SuperviseError> {
        match self.0 {}
    }

    pub(crate) fn kill(&self, _: impl FnMut() -> Result<(), SuperviseError>) -> Result<(), SuperviseError> {
        match self.0 {}
    }
}

pub(crate) fn start(
    _: &Launch,
    unit: &Unit,
    _: &mut dyn FnMut(Pid, &Image) -> Result<(), SuperviseError>,
) -> Result<Child, SuperviseError> {
    match unit.0 {}
}

/// A child that ended and was reaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaped {
    pub(crate) pid: Pid,
    pub(crate) end: End,
    pub(crate) usage: Usage,
}

pub(crate) fn reap() -> Result<Option<Reaped>, SuperviseError> {
    Ok(None)
}
