//! What is anchored: bytes, by their two digests.

use std::io::Read;

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
    /// Bytes, where they were counted here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Digests of the bytes.
    #[serde(with = "digest_text")]
    pub digest: Digests,
}

/// Digests of what is anchored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digests {
    /// SHA-256.
    pub sha256: [u8; 32],
    /// SM3, where the bytes were read here; who is handed a SHA-256 alone does not know it.
    pub sm3: Option<[u8; 32]>,
}

impl From<gm::DualDigest> for Digests {
    fn from(both: gm::DualDigest) -> Self {
        Self { sha256: both.sha256, sm3: Some(both.sm3) }
    }
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
        Ok(Self { name: name.to_owned(), size: Some(size), digest: both.finalize().into() })
    }

    /// The subject that these bytes are.
    #[must_use]
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        let digest = gm::Dual::digest(bytes).into();
        Self { name: name.to_owned(), size: Some(bytes.len() as u64), digest }
    }

    /// The subject that has this SHA-256, 64 lower-case hexadecimal digits: its bytes are not at hand.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn of_sha256(name: &str, sha256: &str) -> Result<Self, AnchorError> {
        let digest = parse_digest(sha256).map_err(|why| AnchorError::request("content hash", why))?;
        Ok(Self { name: name.to_owned(), size: None, digest: Digests { sha256: digest, sm3: None } })
    }

    /// Lower-case hexadecimal SHA-256: the content hash that chains are given.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(self.digest.sha256)
    }

    /// Lower-case hexadecimal SM3, where it is known.
    #[must_use]
    pub fn sm3(&self) -> Option<String> {
        self.digest.sm3.map(hex::encode)
    }

    /// Whether these are the same bytes: the same SHA-256, and nothing else that both know differs.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            one.zip(other).is_none_or(|(one, other)| one == other)
        }
        self.digest.sha256 == other.digest.sha256
            && agree(self.digest.sm3, other.digest.sm3)
            && agree(self.size, other.size)
    }

    pub(crate) fn check(&self) -> Result<(), AnchorError> {
        match self.name.len() {
            0..=MAX_NAME => Ok(()),
            _ => Err(AnchorError::malformed("anchor proof", "the subject's name is longer than 4096 bytes")),
        }
    }
}

/// `{"sha256":"…","sm3":"…"}`, lower-case hexadecimal, the second where it is known.
mod digest_text {
    use super::Digests;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wire {
        sha256: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sm3: Option<String>,
    }

    pub(super) fn serialize<S: Serializer>(digest: &Digests, to: S) -> Result<S::Ok, S::Error> {
        Wire { sha256: hex::encode(digest.sha256), sm3: digest.sm3.map(hex::encode) }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digests, D::Error> {
        let wire = Wire::deserialize(from)?;
        let decode = |text: &str| super::parse_digest(text).map_err(D::Error::custom);
        let sm3 = wire.sm3.as_deref().map(decode).transpose()?;
        Ok(Digests { sha256: decode(&wire.sha256)?, sm3 })
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
