//! The digests that certificates and signatures name.

use sha2::Digest as _;

use crate::der;
use crate::error::PkixError;
use crate::oid::{self, Oid};

/// A digest algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Digest {
    /// SHA-1, FIPS 180-4: computed for what is old, never for what is made here.
    Sha1,
    /// SHA-256, FIPS 180-4.
    Sha256,
    /// SHA-384, FIPS 180-4.
    Sha384,
    /// SHA-512, FIPS 180-4.
    Sha512,
    /// SM3, GB/T 32905.
    Sm3,
}

impl Digest {
    const ALL: [Self; 5] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512, Self::Sm3];

    /// The digest of an identifier.
    ///
    /// # Errors
    /// [`PkixError::Unsupported`] when it is not known, or as broken as MD5.
    pub fn from_oid(oid: Oid) -> Result<Self, PkixError> {
        Self::ALL
            .into_iter()
            .find(|digest| digest.oid() == oid)
            .ok_or(PkixError::Unsupported { what: "digest algorithm", oid })
    }

    /// Its identifier.
    #[must_use]
    pub fn oid(self) -> Oid {
        match self {
            Self::Sha1 => oid::SHA1,
            Self::Sha256 => oid::SHA256,
            Self::Sha384 => oid::SHA384,
            Self::Sha512 => oid::SHA512,
            Self::Sm3 => oid::SM3,
        }
    }

    /// Its `AlgorithmIdentifier`, with the NULL that every Windows expects (RFC 5754 §2 takes either).
    #[must_use]
    pub fn algorithm(self) -> Vec<u8> {
        der::algorithm(self.oid(), der::NULL)
    }

    /// Bytes of a digest.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 | Self::Sm3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Whether collisions can be made (NIST SP 800-131A revision 2 §9).
    #[must_use]
    pub fn is_weak(self) -> bool {
        self == Self::Sha1
    }

    /// A hasher.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        Hasher(match self {
            Self::Sha1 => State::Sha1(sha1::Sha1::new()),
            Self::Sha256 => State::Sha256(gm::sha256::Stream::new()),
            Self::Sha384 => State::Sha384(Box::new(sha2::Sha384::new())),
            Self::Sha512 => State::Sha512(Box::new(sha2::Sha512::new())),
            Self::Sm3 => State::Sm3(Box::new(gm::Sm3::new())),
        })
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sm3 => "sm3",
        })
    }
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha1(sha1::Sha1),
    Sha256(gm::sha256::Stream),
    Sha384(Box<sha2::Sha384>),
    Sha512(Box<sha2::Sha512>),
    Sm3(Box<gm::Sm3>),
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha1(h) => h.update(bytes),
            State::Sha256(h) => h.update(bytes),
            State::Sha384(h) => h.update(bytes),
            State::Sha512(h) => h.update(bytes),
            State::Sm3(h) => h.update(bytes),
        }
    }

    /// Takes the next bytes, which are pages of `size` bytes: `out` has the SHA-256 of each alone. Under SHA-256 both are
    /// computed together, for little more than the price of one.
    ///
    /// # Panics
    /// When `size` is no multiple of 64 or zero, or `out` has not one place for each page.
    pub fn update_with_pages(&mut self, pages: &[u8], size: usize, out: &mut [[u8; 32]]) {
        match &mut self.0 {
            State::Sha256(h) => h.update_with_pages(pages, size, out),
            _ => {
                self.update(pages);
                gm::sha256_pages(pages, size, out);
            }
        }
    }

    /// The digest of everything taken.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Sha1(h) => h.finalize().to_vec(),
            State::Sha256(h) => h.finalize().to_vec(),
            State::Sha384(h) => h.finalize().to_vec(),
            State::Sha512(h) => h.finalize().to_vec(),
            State::Sm3(h) => h.finalize().to_vec(),
        }
    }
}
