//! A socket's path fits into 108 bytes (`sockaddr_un`, unix(7)), a home's may not: a long one is reached through a
//! descriptor of its folder.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// Longest path that is used as it is; the rest of the 108 bytes is for the zero and a temporary name's suffix.
const MAX_DIRECT: usize = 90;

/// A folder, and how to name sockets in it.
pub(crate) struct Folder {
    base: PathBuf,
    _open: Option<File>,
}

impl Folder {
    pub(crate) fn open(home: &Path) -> io::Result<Self> {
        if home.as_os_str().len() <= MAX_DIRECT - super::SOCKET.len() || !cfg!(target_os = "linux") {
            return Ok(Self { base: home.to_owned(), _open: None });
        }
        let open = File::open(home)?;
        let base = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        Ok(Self { base, _open: Some(open) })
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }
}
