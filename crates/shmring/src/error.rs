use std::io;

/// Why a ring cannot be used, or cannot be used any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// An answer of the operating system.
    #[error("cannot {what} the ring's memory")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The answer.
        #[source]
        source: io::Error,
    },
    /// The descriptor is not the memory of a ring: its size could change, or it is something else.
    #[error("the descriptor is not a ring's memory: {why}")]
    Foreign {
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The other end wrote what no ring can hold. Nothing more can be read from it, or written to it.
    #[error("the ring is broken at {position}: {why}")]
    Broken {
        /// Bytes of the stream before the place.
        position: u64,
        /// The rule that is broken.
        why: &'static str,
    },
    /// The record is empty or longer than [`crate::MAX_RECORD`].
    #[error("a record has 1 to {} bytes, not {length}", crate::MAX_RECORD)]
    Length {
        /// Its length.
        length: usize,
    },
    /// There is no room, and the caller did not want to wait longer.
    #[error("the ring is full")]
    Full,
}

#[cfg(target_os = "linux")]
impl RingError {
    pub(crate) fn io(what: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Io { what, source: source.into() }
    }
}
