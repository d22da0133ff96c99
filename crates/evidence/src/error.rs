//! What can go wrong while an artefact is read.

use std::io;
use std::path::Path;

use seal::{Format, escape};

/// Who must act on an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The artefact is not what it should be.
    Artefact,
    /// The machine does not let it be read.
    Environment,
}

/// Errors of this crate. `Read`, `Write`, `Device` and `Unstable` are of the environment, all others of the artefact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The operating system refused.
    #[error("cannot read `{path}`")]
    Read {
        /// What was to be read, escaped.
        path: String,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// A file that should be unpacked is no archive.
    #[error("`{path}` is no archive that is known here (ZIP, 7z, tar, tar.gz, tar.xz, tar.zst)")]
    NoArchive {
        /// The file, escaped.
        path: String,
    },
    /// A file changed between the first and the last byte.
    #[error("`{path}` changed while it was read")]
    Unstable {
        /// The file, escaped.
        path: String,
    },
    /// Neither file, directory nor symbolic link.
    #[error("`{path}` is a {kind}; only files, directories and symbolic links can be sealed")]
    Special {
        /// Where, escaped.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("the name `{name}` is not UTF-8")]
    Name {
        /// The name, escaped.
        name: String,
    },
    /// A path that breaks the rules of a seal.
    #[error("an entry has a path that is refused")]
    Path(#[from] seal::PathError),
    /// Paths that cannot stand together: one twice, or one below a file.
    #[error("its entries are refused")]
    Tree(#[from] seal::SealError),
    /// An archive as a whole breaks a rule.
    #[error("the {format} archive is refused: {why}")]
    Archive {
        /// The format it was read as.
        format: Format,
        /// The rule.
        why: &'static str,
    },
    /// A ZIP has no directory that can be read.
    #[error("the zip archive cannot be listed; {headers} local headers still stand in it")]
    NoDirectory {
        /// How many signatures of local headers there are.
        headers: u64,
        /// What is wrong with its end.
        #[source]
        source: Box<EvidenceError>,
    },
    /// An archive does not decode.
    #[error("the {format} archive does not decode")]
    Stream {
        /// The format it was read as.
        format: Format,
        /// The decoder's answer.
        #[source]
        source: io::Error,
    },
    /// An entry breaks a rule.
    #[error("entry `{path}` is refused: {why}")]
    Entry {
        /// The entry, escaped.
        path: String,
        /// The rule.
        why: &'static str,
    },
    /// An entry cannot be written where it is unpacked.
    #[error("cannot unpack `{path}`")]
    Write {
        /// The entry, escaped.
        path: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// An entry does not decode.
    #[error("entry `{path}` does not decode")]
    Decode {
        /// The entry, escaped.
        path: String,
        /// The decoder's answer.
        #[source]
        source: io::Error,
    },
    /// The device that is to compute SM3 failed in the middle.
    #[error("the device that computes SM3 failed")]
    Device(#[from] gmdevice::DeviceError),
    /// More than a limit allows.
    #[error("it holds more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// The name of the field of [`crate::Limits`].
        field: &'static str,
    },
}

impl EvidenceError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: escape(path.as_os_str().as_encoded_bytes()), source }
    }

    pub(crate) fn entry(path: &str, why: &'static str) -> Self {
        Self::Entry { path: escape(path.as_bytes()), why }
    }

    pub(crate) fn decode(path: &seal::EntryPath, source: io::Error) -> Self {
        Self::Decode { path: path.to_string(), source }
    }

    pub(crate) fn unwritten(path: &seal::EntryPath, error: io::Error) -> Self {
        Self::from_io(error, |source| Self::Write { path: escape(path.as_str().as_bytes()), source })
    }

    /// An error that went through a decoder: our own comes out as it went in, the decoder's becomes `otherwise`.
    pub(crate) fn from_io(error: io::Error, otherwise: impl FnOnce(io::Error) -> Self) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(foreign) => otherwise(foreign),
        }
    }

    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// Who must act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Read { .. } | Self::Unstable { .. } | Self::Write { .. } | Self::Device(_) => {
                Blame::Environment
            }
            _ => Blame::Artefact,
        }
    }

    /// Whether a tolerant reader may go on: the artefact is damaged, but neither the machine nor a limit is at
    /// fault.
    pub(crate) fn is_damage(&self) -> bool {
        !matches!(self, Self::Read { .. } | Self::Write { .. } | Self::Device(_) | Self::Limit { .. })
    }

    /// The error and its causes, on one line.
    #[must_use]
    pub fn reason(&self) -> String {
        self.with_causes(self.to_string())
    }

    /// The same where the entry is named already.
    pub(crate) fn reason_of_entry(&self) -> String {
        self.with_causes(match self {
            Self::Entry { why, .. } => (*why).to_owned(),
            Self::Decode { .. } => "it does not decode".to_owned(),
            Self::Unstable { .. } => "it changed while it was read".to_owned(),
            Self::Special { kind, .. } => format!("it is a {kind}"),
            Self::Name { .. } => "its name is not UTF-8".to_owned(),
            other => other.to_string(),
        })
    }

    fn with_causes(&self, mut text: String) -> String {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
