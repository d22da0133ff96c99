use thiserror::Error;

/// Why bytes are no policy, or why a policy cannot be written.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// The XML is not well-formed, or not a policy.
    #[error("malformed policy XML, {place}: {why}")]
    Xml {
        /// The element, or where in the file.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The compiled policy is damaged or not one.
    #[error("malformed compiled policy at byte {at}: {why}")]
    Binary {
        /// The offset, from the policy's first byte.
        at: usize,
        /// What is wrong.
        why: String,
    },
    /// A reference to something that the policy does not contain.
    #[error("{from} names {kind} {id}, which the policy does not have")]
    Dangling {
        /// The element with the reference.
        from: String,
        /// What is referred to.
        kind: &'static str,
        /// The identifier.
        id: String,
    },
    /// Something that this crate cannot express.
    #[error("{what} cannot be written: {why}")]
    Unsupported {
        /// The part of the policy.
        what: String,
        /// The reason.
        why: String,
    },
}

impl PolicyError {
    pub(crate) fn xml(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Xml { place: place.into(), why: why.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), why: why.into() }
    }
}
