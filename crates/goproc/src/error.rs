//! What can go wrong, by who must act.

use std::io;

/// A refusal or a failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process is not there, or ended while it was looked at.
    #[error("process {pid} is not there")]
    Gone {
        /// Its number.
        pid: i32,
    },
    /// The kernel refused a system call of ours.
    #[error("cannot {act} of process {pid}")]
    Refused {
        /// What was attempted.
        act: &'static str,
        /// On which process or thread.
        pid: i32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Memory of the process could not be read or written whole.
    #[error("cannot {act} {length} bytes at {address:#x} in the process")]
    Memory {
        /// `read` or `write`.
        act: &'static str,
        /// Where.
        address: u64,
        /// How many.
        length: usize,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A limit of this crate was met: what is read from the process is not believed without bounds.
    #[error("{what} is beyond the limit of {limit}")]
    Limit {
        /// What was too large or too many.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The executable lacks what is needed to find one's way in the process.
    #[error("the executable has no {what}")]
    Missing {
        /// A symbol, a section, a field.
        what: String,
    },
    /// The executable or the process contradicts itself.
    #[error("{what}")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// Not all threads stopped in time; all of them were let go again.
    #[error("{running} of {threads} threads did not stop in {milliseconds} ms")]
    NotStopped {
        /// How many were still running.
        running: usize,
        /// Of how many.
        threads: usize,
        /// How long they were waited for.
        milliseconds: u128,
    },
    /// A system call that the process made on our behalf failed there.
    #[error("the process could not make system call {number} for us")]
    Remote {
        /// The system call's number.
        number: u64,
        /// What the kernel answered it.
        #[source]
        source: io::Error,
    },
    /// No thread is in a state in which a system call may be lent to it.
    #[error("no thread of the process is idle on a stack of its scheduler")]
    NoDonor,
    /// This machine is not one on which this works.
    #[error("processes are looked into on linux/amd64 only")]
    Platform,
}

impl Error {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into() }
    }
}

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;
