//! One entry of an artefact: what the leaf of the tree binds.

use gm::{Dual, DualDigest};
use serde::{Deserialize, Serialize};

use crate::error::SealError;
use crate::path::{EntryPath, MAX_PATH};

/// The permission bits that an entry binds: `rwx` thrice, set-user-id, set-group-id, sticky (POSIX `S_I*`).
pub const MAX_MODE: u32 = 0o7777;
/// Every symbolic link has this mode: systems differ in what they keep, and none looks at it.
pub const LINK_MODE: u32 = 0o777;

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file; a hard link is a file.
    File,
    /// A symbolic link; its content is its target, and it is never followed.
    Symlink,
    /// A directory that the source records itself; parents that are only implied are none.
    Directory,
}

impl EntryKind {
    /// The type octet of the leaf (`docs/formats/seal.md`, "Leaf").
    pub(crate) fn octet(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Symlink => 2,
            Self::Directory => 3,
        }
    }
}

impl std::fmt::Display for EntryKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Symlink => "symlink",
            Self::Directory => "directory",
        })
    }
}

/// An entry. `digest` is that of the content: what `sha256sum` and `openssl dgst -sm3` print for a file, the same
/// of the target's bytes for a symbolic link, that of nothing for a directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it stands in the artefact.
    pub path: EntryPath,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// Permission bits, at most [`MAX_MODE`].
    #[serde(with = "mode_text")]
    pub mode: u32,
    /// Bytes of content.
    pub size: u64,
    /// Where a symbolic link points, as written in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// SHA-256 and SM3 of the content.
    #[serde(with = "digest_text")]
    pub digest: DualDigest,
}

impl Entry {
    /// A regular file.
    #[must_use]
    pub fn file(path: EntryPath, mode: u32, size: u64, digest: DualDigest) -> Self {
        Self { path, kind: EntryKind::File, mode: mode & MAX_MODE, size, target: None, digest }
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(path: EntryPath, target: &str) -> Self {
        Self {
            path,
            kind: EntryKind::Symlink,
            mode: LINK_MODE,
            size: target.len() as u64,
            digest: Dual::digest(target.as_bytes()),
            target: Some(target.to_owned()),
        }
    }

    /// A directory.
    #[must_use]
    pub fn directory(path: EntryPath, mode: u32) -> Self {
        Self {
            path,
            kind: EntryKind::Directory,
            mode: mode & MAX_MODE,
            size: 0,
            target: None,
            digest: Dual::digest(b""),
        }
    }

    /// Holds an entry that was read from outside to what the constructors guarantee.
    pub(crate) fn check(&self) -> Result<(), SealError> {
        let wrong = |why| Err(SealError::Entry { path: self.path.to_string(), why });
        match (self.kind, &self.target) {
            _ if self.mode > MAX_MODE => wrong("its mode has more than twelve bits"),
            (EntryKind::File, None) => Ok(()),
            (EntryKind::Directory, None) if *self == Self::directory(self.path.clone(), self.mode) => Ok(()),
            (EntryKind::Directory, None) => wrong("a directory has no content"),
            (EntryKind::Symlink, Some(target)) if target.is_empty() || target.len() > MAX_PATH => {
                wrong("its target is empty or longer than 4096 bytes")
            }
            (EntryKind::Symlink, Some(target)) if *self == Self::symlink(self.path.clone(), target) => Ok(()),
            (EntryKind::Symlink, Some(_)) => wrong("its size, mode or digest is not that of its target"),
            (EntryKind::Symlink, None) => wrong("a symbolic link has a target"),
            (_, Some(_)) => wrong("only a symbolic link has a target"),
        }
    }
}

/// Modes as four or more octal digits, as `stat -c %04a` prints them.
mod mode_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(mode: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{mode:04o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        let text = String::deserialize(from)?;
        let octal = text.len() == 4 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        octal
            .then(|| u32::from_str_radix(&text, 8).ok())
            .flatten()
            .ok_or_else(|| D::Error::custom("a mode is four octal digits, as in \"0755\""))
    }
}

/// `{"sha256":"…","sm3":"…"}`, both required, lower-case hexadecimal.
pub(crate) mod digest_text {
    use gm::DualDigest;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wire {
        sha256: String,
        sm3: String,
    }

    pub(crate) fn serialize<S: Serializer>(digest: &DualDigest, to: S) -> Result<S::Ok, S::Error> {
        Wire { sha256: hex::encode(digest.sha256), sm3: hex::encode(digest.sm3) }.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DualDigest, D::Error> {
        let wire = Wire::deserialize(from)?;
        let decode = |text: &str| parse_hex(text).map_err(D::Error::custom);
        Ok(DualDigest { sha256: decode(&wire.sha256)?, sm3: decode(&wire.sm3)? })
    }

    /// One spelling only: 64 digits, lower case.
    pub(crate) fn parse_hex(text: &str) -> Result<[u8; 32], &'static str> {
        let wrong = "a digest is 64 lower-case hexadecimal digits";
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong);
        }
        let mut out = [0; 32];
        hex::decode_to_slice(text, &mut out).map_err(|_| wrong)?;
        Ok(out)
    }
}
