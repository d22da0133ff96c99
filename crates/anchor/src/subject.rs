//! What is anchored: bytes, by their two digests.

use std::io::Read;

use gm::DualDigest;
use serde::{Deserialize, Serialize};

use crate::error::AnchorError;

/// Longest name of a subject, in bytes.
const MAX_NAME: usize = 4096;

/// What is anchored. The name informs, and is never compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// A file's name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 and SM3 of the bytes.
    #[serde(with = "digest_text")]
    pub digest: DualDigest,
}

impl Subject {
    /// Reads the bytes once, to their end.
    ///
    /// # Errors
    /// The reader's.
    pub fn read(name: &str, mut from: impl Read) -> std::io::Result<Self> {
        let (mut both, mut size) = (gm::Dual::new(), 0);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            both.update(&buffer[..count]);
            size += count as u64;
        }
        Ok(Self { name: name.to_owned(), size, digest: both.finalize() })
    }

    /// The subject that these bytes are.
    #[must_use]
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), size: bytes.len() as u64, digest: gm::Dual::digest(bytes) }
    }

    /// Lower-case hexadecimal SHA-256: the content hash that chains are given.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(self.digest.sha256)
    }

    /// Lower-case hexadecimal SM3.
    #[must_use]
    pub fn sm3(&self) -> String {
        hex::encode(self.digest.sm3)
    }

    /// Whether these are the same bytes.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.size == other.size && self.digest == other.digest
    }

    pub(crate) fn check(&self) -> Result<(), AnchorError> {
        match self.name.len() {
            0..=MAX_NAME => Ok(()),
            _ => Err(AnchorError::malformed("anchor proof", "the subject's name is longer than 4096 bytes")),
        }
    }
}

/// `{"sha256":"…","sm3":"…"}`, both required, lower-case hexadecimal.
mod digest_text {
    use gm::DualDigest;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wire {
        sha256: String,
        sm3: String,
    }

    pub(super) fn serialize<S: Serializer>(digest: &DualDigest, to: S) -> Result<S::Ok, S::Error> {
        Wire { sha256: hex::encode(digest.sha256), sm3: hex::encode(digest.sm3) }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DualDigest, D::Error> {
        let wire = Wire::deserialize(from)?;
        let decode = |text: &str| super::parse_digest(text).map_err(D::Error::custom);
        Ok(DualDigest { sha256: decode(&wire.sha256)?, sm3: decode(&wire.sm3)? })
    }
}

/// One spelling only: 64 digits, lower case.
pub(crate) fn parse_digest(text: &str) -> Result<[u8; 32], &'static str> {
    let wrong = "a digest is 64 lower-case hexadecimal digits";
    let mut out = [0; 32];
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(wrong);
    }
    hex::decode_to_slice(text, &mut out).map_err(|_| wrong)?;
    Ok(out)
}
