//! Starts a process into its exec-stop, has it measured there, and lets it go or kills it.
//!
//! Order: fork; the child waits; it is put into the service's group and seized (`PTRACE_SEIZE` with
//! `PTRACE_O_EXITKILL`: should the supervisor die, so does what it has not yet judged); it is told to go; its exec
//! stops it at `PTRACE_EVENT_EXEC`, in the kernel, before the first instruction of the new image; it is measured,
//! judged, and detached or killed.

use std::ffi::{CString, OsStr};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::raw::{self, ChildEnds, Plan};
use super::tee::Tee;
use super::{Socket, Unit, image};
use crate::command::Command;
use crate::error::SuperviseError;
use crate::supervisor::Launch;
use crate::verify::Image;

/// The main process of a running service.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) since: Instant,
    pub(crate) image: Option<Image>,
    tee: Option<Tee>,
}

impl Child {
    /// Passes `signal` on; `false` when it could not be.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        kill(self.pid, signal).is_ok()
    }

    /// The last bytes of its stderr; call it once it has ended.
    pub(crate) fn stderr_tail(self) -> Vec<u8> {
        self.tee.map(Tee::finish).unwrap_or_default()
    }
}

/// Starts the program. `gate` is asked while it stands in its exec-stop; when it refuses, the process is dead before
/// its error is returned. Without a gate a kernel that refuses ptrace is no obstacle.
pub(crate) fn start(
    launch: &Launch,
    unit: &Unit,
    gate: &mut dyn FnMut(Pid, &Image) -> Result<(), SuperviseError>,
) -> Result<Child, SuperviseError> {
    let mut newborn = Newborn::fork(launch)?;
    unit.adopt(newborn.pid).map_err(SuperviseError::Cgroup)?;
    let image = match newborn.seize() {
        Ok(()) => {
            newborn.let_go()?;
            newborn.await_exec(launch)?;
            let image = newborn.inspect(launch)?;
            gate(newborn.pid, &image)?;
            ptrace::detach(newborn.pid, None).map_err(|_| SuperviseError::KilledInStop)?;
            Some(image)
        }
        Err(error) if launch.verified => return Err(error),
        Err(_) => {
            newborn.let_go()?;
            newborn.check_exec(launch)?;
            None
        }
    };
    Ok(newborn.grown(image))
}

/// A process that has not been let go; dropping it kills it.
struct Newborn {
    pid: Pid,
    go: Option<PipeWriter>,
    failed: PipeReader,
    tee: Option<Tee>,
    arguments: Vec<Vec<u8>>,
    ours: bool,
}

impl Newborn {
    fn fork(launch: &Launch) -> Result<Self, SuperviseError> {
        let failed = |source| SuperviseError::System { what: "prepare a process", source };
        let plan = plan(&launch.command, &launch.sockets)?;
        let arguments = plan.arguments.iter().map(|a| a.as_bytes().to_vec()).collect();
        let (go_read, go) = io::pipe().map_err(failed)?;
        let (failed_read, failed_write) = io::pipe().map_err(failed)?;
        let stderr = (launch.stderr_tail > 0).then(io::pipe).transpose().map_err(failed)?;
        let (stderr_read, stderr_write) = stderr.unzip();
        let tee =
            stderr_read.map(|source| Tee::new(source, launch.stderr_tail)).transpose().map_err(failed)?;

        let lifted = Lifted::above(&launch.sockets).map_err(failed)?;
        let go_read = lifted.lift(go_read.into()).map_err(failed)?;
        let failed_write = lifted.lift(failed_write.into()).map_err(failed)?;
        let stderr_write = stderr_write.map(|fd| lifted.lift(fd.into())).transpose().map_err(failed)?;
        let ends = ChildEnds {
            go: go_read.as_raw_fd(),
            go_parent: go.as_raw_fd(),
            failed: failed_write.as_raw_fd(),
            stderr: stderr_write.as_ref().map(|fd| fd.as_raw_fd()),
            sockets: lifted.sockets.iter().map(|fd| fd.as_raw_fd()).collect(),
        };
        let pid = raw::fork(&plan, &ends).map_err(failed)?;
        Ok(Self { pid, go: Some(go), failed: failed_read, tee, arguments, ours: true })
    }

    fn seize(&self) -> Result<(), SuperviseError> {
        ptrace::seize(self.pid, Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL)
            .map_err(|errno| SuperviseError::Trace(errno.into()))
    }

    fn let_go(&mut self) -> Result<(), SuperviseError> {
        let Some(mut go) = self.go.take() else { return Ok(()) };
        go.write_all(&[1]).map_err(|_| SuperviseError::KilledInStop)
    }

    /// Waits for the exec-stop. Signals that come before it are passed on as they would be without us.
    fn await_exec(&mut self, launch: &Launch) -> Result<(), SuperviseError> {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::PtraceEvent(_, _, event))
                    if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 =>
                {
                    return Ok(());
                }
                Ok(WaitStatus::PtraceEvent(..)) => self.resume(None)?,
                Ok(WaitStatus::Stopped(_, signal)) => self.resume(Some(signal))?,
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {
                    self.ours = false; // reaped: the number is no longer ours
                    self.check_exec(launch)?;
                    return Err(SuperviseError::KilledInStop);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => {
                    return Err(SuperviseError::System { what: "wait for the exec", source: errno.into() });
                }
            }
        }
    }

    fn resume(&self, signal: Option<Signal>) -> Result<(), SuperviseError> {
        ptrace::cont(self.pid, signal).map_err(|_| SuperviseError::KilledInStop)
    }

    /// The child writes `errno` when its exec fails, and the exec closes the pipe when it does not.
    fn check_exec(&mut self, launch: &Launch) -> Result<(), SuperviseError> {
        let mut errno = [0; 4];
        match self.failed.read_exact(&mut errno) {
            Err(_) => Ok(()),
            Ok(()) => Err(SuperviseError::Exec {
                path: launch.command.program().to_owned(),
                source: io::Error::from_raw_os_error(i32::from_ne_bytes(errno)),
            }),
        }
    }

    fn inspect(&self, launch: &Launch) -> Result<Image, SuperviseError> {
        if launch.verified {
            image::check_protection(self.pid)?;
            if image::runs_through_interpreter(self.pid, &self.arguments)? {
                return Err(SuperviseError::Script(PathBuf::from(launch.command.program())));
            }
        }
        image::measure(self.pid, launch.accept_remote || !launch.verified)
    }

    fn grown(mut self, image: Option<Image>) -> Child {
        self.ours = false;
        Child { pid: self.pid, since: Instant::now(), image, tee: self.tee.take() }
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        if self.ours {
            // A stopped or waiting process dies of SIGKILL without returning to user mode.
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = raw::wait_for(self.pid);
        }
    }
}

/// Descriptors moved out of the way of `3..3 + sockets`, where the child will place the sockets.
struct Lifted {
    sockets: Vec<OwnedFd>,
    floor: i32,
}

impl Lifted {
    fn above(sockets: &[Socket]) -> io::Result<Self> {
        let floor = i32::try_from(3 + sockets.len()).map_err(io::Error::other)?;
        let lifted = sockets.iter().map(|socket| raw::duplicate_above(socket.as_fd().as_raw_fd(), floor));
        Ok(Self { sockets: lifted.collect::<io::Result<_>>()?, floor })
    }

    fn lift(&self, fd: OwnedFd) -> io::Result<OwnedFd> {
        raw::duplicate_above(fd.as_raw_fd(), self.floor)
    }
}

fn plan(command: &Command, sockets: &[Socket]) -> Result<Plan, SuperviseError> {
    let mut environment: Vec<CString> = command
        .variables()
        .iter()
        .map(|(key, value)| c_string(&[key.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<Result<_, _>>()?;
    if !sockets.is_empty() {
        let names = sockets.iter().map(Socket::name).collect::<Vec<_>>().join(":");
        environment.push(c_string(format!("LISTEN_FDS={}", sockets.len()).as_bytes())?);
        environment.push(c_string(format!("LISTEN_FDNAMES={names}").as_bytes())?);
    }
    let strings =
        |all: &[std::ffi::OsString]| all.iter().map(|s| c_string(s.as_bytes())).collect::<Result<_, _>>();
    Ok(Plan {
        program: c_string(command.program().as_os_str().as_bytes())?,
        arguments: strings(command.arguments())?,
        environment,
        listen_pid: !sockets.is_empty(),
        directory: command.start_directory().map(OsStr::new).map(|d| c_string(d.as_bytes())).transpose()?,
    })
}

fn c_string(bytes: &[u8]) -> Result<CString, SuperviseError> {
    CString::new(bytes).map_err(|_| SuperviseError::Command("it holds a NUL byte"))
}
