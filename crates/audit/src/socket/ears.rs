//! The owner's ear: bytes, and until the first request is known the descriptor that may come with it.

use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// What requests are read from.
pub(crate) type Input<'s> = BufReader<Ears<'s>>;

pub(crate) struct Ears<'s> {
    stream: &'s UnixStream,
    /// Descriptors are taken. Later ones are closed by the kernel: ordinary reads do not receive them.
    open: bool,
    file: Option<OwnedFd>,
}

impl<'s> Ears<'s> {
    pub(crate) fn new(stream: &'s UnixStream) -> Self {
        Self { stream, open: cfg!(target_os = "linux"), file: None }
    }

    /// Takes no more descriptors; gives the one that came.
    pub(crate) fn deaf(&mut self) -> Option<OwnedFd> {
        self.open = false;
        self.file.take()
    }
}

impl Read for Ears<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if self.open {
            let (length, file) = shmring::receive(self.stream, bytes)?;
            self.file = self.file.take().or(file);
            return Ok(length);
        }
        self.stream.read(bytes)
    }
}
