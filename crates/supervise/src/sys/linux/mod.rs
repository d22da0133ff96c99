//! Linux: exec-stop by `ptrace(2)`, descendants by control group and subreaper, sockets by `sd_listen_fds(3)`.

mod cgroup;
mod descent;
mod image;
mod raw;
mod signals;
mod socket;
mod start;
mod tee;
mod unit;

use crate::error::SuperviseError;
use crate::fact::Usage;
use crate::policy::End;

pub use signals::Signals;
pub use socket::Socket;

pub(crate) use nix::sys::signal::Signal;
pub(crate) use nix::unistd::Pid;
pub(crate) use signals::{Notice, means_stop};
pub(crate) use start::{Child, start};
pub(crate) use unit::Unit;

/// Reads each line both ways, for the fuzzer.
pub(crate) fn read_lines(bytes: &[u8]) {
    for line in bytes.split(|&byte| byte == b'\n') {
        let _ = (descent::parse(line), image::Mapping::parse(line));
    }
}

/// A child that ended and was reaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaped {
    pub(crate) pid: Pid,
    pub(crate) end: End,
    pub(crate) usage: Usage,
}

/// The next child that has ended, if one has.
pub(crate) fn reap() -> Result<Option<Reaped>, SuperviseError> {
    let found =
        raw::wait_any().map_err(|source| SuperviseError::System { what: "wait for children", source })?;
    Ok(found.map(|(pid, end, usage)| Reaped { pid, end, usage }))
}
