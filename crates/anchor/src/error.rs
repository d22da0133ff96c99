//! What can go wrong between a digest and those who anchor it.

/// Errors of this crate. Grouped by who must act: the evidence itself (`Broken`, `Conflict`), the bytes or names
/// handed in (`Malformed`, `Request`), the other end (`Unreachable`, `Answered`, `Declined`), a key (`Key`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// Nobody answered.
    #[error("`{address}` does not answer")]
    Unreachable {
        /// Who was asked.
        address: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The answer is an error of the protocol.
    #[error("`{address}` answered {status}: {words}")]
    Answered {
        /// Who was asked.
        address: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of what was said, escaped.
        words: String,
    },
    /// The other end understood and will not do it.
    #[error("{who} declined: {why}")]
    Declined {
        /// Who.
        who: String,
        /// Its words.
        why: String,
    },
    /// Bytes from outside are not what they were taken for.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// What they were taken for.
        what: &'static str,
        /// The rule that they break.
        why: String,
    },
    /// A name, a setting or a field of a request is not one that can be used.
    #[error("{what} cannot be used: {why}")]
    Request {
        /// What was given.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// Another content is anchored under this business id.
    #[error("business id `{biz_id}` stands for another content already")]
    Conflict {
        /// The id.
        biz_id: String,
    },
    /// The evidence does not hold.
    #[error("{what} does not hold: {why}")]
    Broken {
        /// The evidence.
        what: &'static str,
        /// The rule that it breaks.
        why: String,
    },
    /// A key cannot be used.
    #[error("cannot sign the request")]
    Key(#[source] signing::SigningError),
    /// The operating system gives no randomness.
    #[error("the system has no randomness: {0}")]
    Randomness(getrandom::Error),
}

impl AnchorError {
    pub(crate) fn malformed(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Malformed { what, why: why.to_string() }
    }

    pub(crate) fn broken(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Broken { what, why: why.to_string() }
    }

    pub(crate) fn request(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Request { what, why: why.to_string() }
    }

    /// Whether the same request may succeed later: nobody answered, or the other end was busy or broken.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Answered { status, .. } => matches!(status, 401 | 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}
