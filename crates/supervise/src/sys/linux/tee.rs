//! Passes the service's stderr through, byte by byte as it comes, and keeps its end.

use std::io::{self, PipeReader, Read as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::tail::Tail;

/// How long to wait for the last bytes once the process is gone. They are in the pipe already; only a descendant
/// that keeps the other end open makes this wait.
const DRAIN: Duration = Duration::from_millis(100);

/// A thread between the service's stderr and ours.
#[derive(Debug)]
pub(super) struct Tee {
    tail: Arc<Mutex<Tail>>,
    done: Receiver<()>,
}

impl Tee {
    pub(super) fn new(source: PipeReader, limit: usize) -> io::Result<Self> {
        let tail = Arc::new(Mutex::new(Tail::new(limit)));
        let (finished, done) = channel();
        let kept = Arc::clone(&tail);
        std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
            copy(source, &kept);
            let _ = finished.send(()); // nobody waits when the supervisor gave up first
        })?;
        Ok(Self { tail, done })
    }

    /// The last bytes, once the stream has ended or was given time to.
    pub(super) fn finish(self) -> Vec<u8> {
        match self.done.recv_timeout(DRAIN) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).to_vec()
    }
}

fn copy(mut source: PipeReader, tail: &Mutex<Tail>) {
    let mut buffer = [0; 16 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                tail.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..n]);
                // Our own stderr may be gone. The service is not told so: it has its tail, and goes on.
                let _ = io::stderr().lock().write_all(&buffer[..n]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
