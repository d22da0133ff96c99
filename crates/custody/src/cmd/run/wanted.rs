//! What a program must be: the one question that every start answers.

use supervise::{Image, Verdict, Verify};

use super::digests::Digests;
use super::sealed::Sealed;

/// Where the answer comes from.
pub(super) enum Wanted {
    /// A seal that somebody trusted signed.
    Sealed(Box<Sealed>),
    /// Digests given on the command line.
    Digests(Digests),
    /// It may be anything.
    Anything,
}

impl Wanted {
    pub(super) fn is_anything(&self) -> bool {
        matches!(self, Self::Anything)
    }

    /// The lines `sealed …` and `found …` of a refusal.
    pub(super) fn lines(&self, image: &Image) -> (String, String) {
        let found = &image.executable.digest;
        match self {
            Self::Sealed(sealed) => (sealed.line(image), short("sha256", &found.sha256)),
            Self::Digests(digests) => digests.lines(found),
            Self::Anything => (String::new(), short("sha256", &found.sha256)),
        }
    }

    /// The command that shows what changed, where there is one.
    pub(super) fn look(&self, image: &Image) -> String {
        match self {
            Self::Sealed(sealed) => sealed.look(image),
            _ => "it did not run; put the sealed program back, or seal this one".to_owned(),
        }
    }
}

impl Verify for Wanted {
    fn verdict(&self, image: &Image) -> Verdict {
        match self {
            Self::Sealed(sealed) => sealed.verdict(image),
            Self::Digests(digests) => digests.verdict(&image.executable.digest),
            Self::Anything => Verdict::Accepted { grounds: "nothing is wanted of it".to_owned() },
        }
    }
}

/// A digest as a person reads it. The facts carry it whole.
pub(super) fn short(algorithm: &str, digest: &[u8; 32]) -> String {
    format!("{algorithm}:{}…", hex::encode(&digest[..8]))
}
