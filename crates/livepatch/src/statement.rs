//! What is signed of a patch: `docs/formats/patch.md`, "The signature".
//!
//! The statement names the file by both digests, the two builds, and until when it may be applied. It is the payload of
//! a DSSE envelope with a type of its own: a seal of the same file says what the file is, not that it may be applied.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::patch::Head;

/// The payload type of the envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.custody.patch.v1+json";
/// A longer statement is refused.
pub const MAX_STATEMENT: usize = 64 << 10;

/// That a patch may be applied: which, to what, and until when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// SHA-256 of the patch's file, hexadecimal.
    pub sha256: String,
    /// SM3 of the patch's file, hexadecimal.
    pub sm3: String,
    /// The build that runs.
    pub old: Build,
    /// The build that the new code is of.
    pub new: Build,
    /// When it was signed, by the signer's clock.
    pub signed: Timestamp,
    /// When it ends to hold; it holds for ever without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// One of the two builds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Its build id, hexadecimal.
    pub id: String,
    /// The seal that its file stands in, if the signer was shown one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Sealed>,
}

/// A file of a seal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// SHA-256 root of the seal's tree, hexadecimal.
    pub tree: String,
}

impl Statement {
    /// The bytes that are signed.
    ///
    /// # Errors
    /// [`Error::NotStatement`] when they cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::NotStatement { what: e.to_string() })
    }

    /// Reads the payload of an envelope.
    ///
    /// # Errors
    /// [`Error::NotStatement`].
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let refused = |what: String| Error::NotStatement { what };
        if payload.len() > MAX_STATEMENT {
            return Err(refused("it is larger than 64 KiB".to_owned()));
        }
        let statement: Self = serde_json::from_slice(payload).map_err(|e| refused(e.to_string()))?;
        if statement.expires.is_some_and(|expires| expires <= statement.signed) {
            return Err(refused("it had expired when it was signed".to_owned()));
        }
        Ok(statement)
    }

    /// What does not fit the patch whose file has these digests; nothing when all does.
    #[must_use]
    pub fn contradiction(&self, head: &Head, sha256: &str, sm3: &str) -> Option<&'static str> {
        let sealed = |build: &Build, file: &str| build.seal.as_ref().is_none_or(|seal| seal.sha256 == file);
        if self.sha256 != sha256 || self.sm3 != sm3 {
            return Some("it was made for another patch");
        }
        if self.old.id != head.old_build || self.new.id != head.new_build {
            return Some("it names other builds");
        }
        (!sealed(&self.old, &head.old_file) || !sealed(&self.new, &head.new_file))
            .then_some("its seals are those of other files")
    }

    /// Does it hold no more at `now`?
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        let build = |id: &str| Build { id: id.to_owned(), seal: None };
        Statement {
            sha256: "aa".to_owned(),
            sm3: "bb".to_owned(),
            old: build("01"),
            new: build("02"),
            signed: Timestamp::UNIX_EPOCH,
            expires: None,
        }
    }

    #[test]
    fn it_holds_until_it_expires() {
        let second = |n| Timestamp::from_second(n).expect("a time");
        let mut statement = statement();
        assert!(!statement.has_expired(second(1 << 37)));
        statement.expires = Some(second(10));
        assert!(!statement.has_expired(second(9)) && statement.has_expired(second(10)));
        assert_eq!(Statement::decode(&statement.encode().expect("written")).ok(), Some(statement.clone()));
        statement.expires = Some(second(0));
        assert!(Statement::decode(&statement.encode().expect("written")).is_err());
    }

    #[test]
    fn unknown_fields_and_great_length_are_refused() {
        let text = String::from_utf8(statement().encode().expect("written")).expect("text");
        assert!(Statement::decode(text.as_bytes()).is_ok());
        assert!(Statement::decode(text.replacen('{', "{\"also\":1,", 1).as_bytes()).is_err());
        assert!(Statement::decode(format!("{text}{}", " ".repeat(MAX_STATEMENT)).as_bytes()).is_err());
    }
}
