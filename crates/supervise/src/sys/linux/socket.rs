//! Listening sockets that outlive the processes they are given to, as `sd_listen_fds(3)` describes.
//!
//! The supervisor opens each socket once and keeps it: while the service is down, connections queue in the
//! socket's backlog, and none is refused.

use std::io;
use std::net::{TcpListener, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{Backlog, listen};

use crate::error::SuperviseError;
use crate::listen::{Address, Place};

/// Connections that may wait. The kernel caps it at `net.core.somaxconn`, 4096 since Linux 5.4.
const BACKLOG: i32 = 4096;

/// An open listening socket. Dropping it closes it and removes its name from the file system.
#[derive(Debug)]
pub struct Socket {
    name: String,
    address: String,
    fd: OwnedFd,
    file: Option<PathBuf>,
}

impl Socket {
    /// Opens the socket that `address` names.
    pub fn open(address: &Address) -> Result<Self, SuperviseError> {
        let failed = |source| SuperviseError::Listen { address: address.to_string(), source };
        let (fd, shown, file) = match &address.place {
            Place::Tcp(place) => open_tcp(place).map_err(failed)?,
            Place::Unix(path) => (open_unix(path).map_err(failed)?, address.to_string(), Some(path.clone())),
            Place::Abstract(name) => (open_abstract(name).map_err(failed)?, address.to_string(), None),
        };
        // The standard library's backlog is its own choice; a second listen(2) only changes the backlog.
        let backlog = Backlog::new(BACKLOG).expect("a positive constant");
        listen(&fd, backlog).map_err(|errno| failed(errno.into()))?;
        Ok(Self { name: address.name.clone(), address: shown, fd, file })
    }

    /// The name in `LISTEN_FDNAMES`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address, with the port the kernel chose where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file); // nothing depends on it: a stale name is taken over at the next open
        }
    }
}

fn open_tcp(place: &str) -> io::Result<(OwnedFd, String, Option<PathBuf>)> {
    let addresses: Vec<_> = place.to_socket_addrs()?.collect();
    let listener = TcpListener::bind(addresses.as_slice())?;
    let shown = format!("tcp:{}", listener.local_addr()?);
    Ok((listener.into(), shown, None))
}

fn open_unix(path: &Path) -> io::Result<OwnedFd> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path).map(Into::into)
        }
        other => other.map(Into::into),
    }
}

/// A socket file that nobody listens behind: left by a process that had no time to remove it.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

fn open_abstract(name: &str) -> io::Result<OwnedFd> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_file_is_taken_over_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap()); // std leaves the file
        let address: Address = format!("unix:{}", path.display()).parse().unwrap();
        let socket = Socket::open(&address).unwrap();
        assert!(matches!(Socket::open(&address), Err(SuperviseError::Listen { .. })));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_plain_file_in_the_way_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "mine").unwrap();
        let address: Address = format!("unix:{}", path.display()).parse().unwrap();
        assert!(Socket::open(&address).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
