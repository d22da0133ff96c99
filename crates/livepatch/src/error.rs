//! What can go wrong, by who must act.

/// A refusal or a failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A change that no live patch can make safely: where, and why.
    #[error("{place} cannot be changed in a running process: {reason}")]
    Refused {
        /// The function, type or variable.
        place: String,
        /// Why.
        reason: String,
    },
    /// One of the two builds is no Go executable.
    #[error("the {which} build is no Go executable")]
    NotGo {
        /// `old` or `new`.
        which: &'static str,
        /// What was found instead.
        #[source]
        source: gobinary::Error,
    },
    /// One of the two builds cannot be read.
    #[error("the {which} build cannot be read")]
    Unreadable {
        /// `old` or `new`.
        which: &'static str,
        /// Why.
        #[source]
        source: goproc::Error,
    },
    /// One of the two builds lacks what a patch is made from.
    #[error("the {which} build has no {what}")]
    Lacks {
        /// `old` or `new`.
        which: &'static str,
        /// A symbol, a section.
        what: String,
    },
    /// One build runs at any address, the other at fixed ones: their code is not the same.
    #[error("one of the two builds is position independent and the other is not")]
    OtherShape,
    /// What was given as the twin with symbols is another build.
    #[error("the build with symbols is not the twin of the one that runs: {what}")]
    NotTwin {
        /// What differs first.
        what: String,
    },
    /// The two builds are not of one release.
    #[error("the old build is of {old} and the new one of {new}")]
    OtherRelease {
        /// Of the old build.
        old: String,
        /// Of the new one.
        new: String,
    },
    /// The new build is linked at addresses that it cannot have beside the old one.
    #[error(
        "the new build is linked at {address:#x}, where it cannot stand beside the old one; from {free:#x} on it can"
    )]
    Placement {
        /// Its first address.
        address: u64,
        /// Where nothing stands yet.
        free: u64,
    },
    /// There is nothing to patch.
    #[error("no function differs between the two builds")]
    NoChange,
    /// The debugging data does not describe a structure of the runtime.
    #[error("the fields of the runtime's structures are not known")]
    Layout {
        /// What is missing.
        #[source]
        source: goproc::Error,
    },
    /// A build contradicts itself.
    #[error("{what}")]
    Contradicts {
        /// What was found.
        what: String,
    },
    /// The bytes are no patch, or a damaged one.
    #[error("this is no patch: {what}")]
    NotPatch {
        /// What was found.
        what: String,
    },
    /// The payload of a signature says nothing about a patch.
    #[error("this is no statement about a patch: {what}")]
    NotStatement {
        /// What was found.
        what: String,
    },
    /// The process does not run what the patch was made for.
    #[error("the process does not run the build that the patch was made for: {what}")]
    OtherBuild {
        /// What differs.
        what: String,
    },
    /// The process carries a patch already, or none where one is expected.
    #[error("the process {what}")]
    State {
        /// Its state.
        what: String,
    },
    /// What a rollback relies on does not hold; the process runs as before.
    #[error("rollback refused: {what}")]
    RollbackRefused {
        /// What does not hold.
        what: String,
    },
    /// No safe moment was found; the process runs as before.
    #[error("no safe moment in {attempts} attempts: {what}")]
    NoSafeMoment {
        /// How many stops were made.
        attempts: u32,
        /// What stood in the way at the last one.
        what: String,
    },
    /// The process could not be looked into or changed.
    #[error("the process cannot be patched")]
    Process(#[from] goproc::Error),
}

impl Error {
    pub(crate) fn refused(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused { place: place.into(), reason: reason.into() }
    }

    pub(crate) fn not_patch(what: impl Into<String>) -> Self {
        Self::NotPatch { what: what.into() }
    }
}

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;
