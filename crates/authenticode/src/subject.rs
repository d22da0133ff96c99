//! What Windows knows a file by when the signature stands elsewhere: in a catalogue, in a policy.
//!
//! An image is known by its Authenticode digests and those of its pages; anything else by the digests of all its
//! bytes. A cabinet has a digest of its own kind, which is not computed here: [`Kind::Cabinet`] says so.

use std::io::{Read, Seek, SeekFrom};

use pkix::Digest;

use crate::error::{AuthenticodeError, Result};
use crate::image::Image;
use crate::pages::Pages;
use crate::pass::{self, Wanted};

/// How a file is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// As a PE image.
    Image,
    /// As a cabinet; read from catalogues, never made.
    Cabinet,
    /// Every byte.
    Flat,
}

impl Kind {
    /// A word for scripts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Cabinet => "cabinet",
            Self::Flat => "file",
        }
    }
}

/// The digests that are taken of every file: all that catalogues and policies name.
const DIGESTS: [Digest; 2] = [Digest::Sha1, Digest::Sha256];

/// A file as catalogues and policies know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// How it was hashed.
    pub kind: Kind,
    /// Its headers, when it is an image.
    pub image: Option<Image>,
    digests: Vec<(Digest, Vec<u8>)>,
    pages: Vec<(Digest, Vec<u8>)>,
}

impl Subject {
    /// Reads a file once, whatever it is.
    ///
    /// # Errors
    /// When it cannot be read, or is an image that is malformed: a guess would give the wrong digest.
    pub fn read(source: &mut (impl Read + Seek)) -> Result<Self> {
        if !is_image(source)? {
            return flat(source);
        }
        let image = Image::read(source)?;
        let pages = DIGESTS.iter().copied().filter(|digest| Pages::new(&image, *digest).is_ok()).collect();
        let wanted = Wanted { digests: DIGESTS.to_vec(), pages };
        let found = pass::digest(source, &image, &wanted)?;
        let take = |value: Option<&[u8]>| value.unwrap_or_default().to_vec();
        let digests = DIGESTS.iter().map(|digest| (*digest, take(found.digest(*digest)))).collect();
        let pages = wanted.pages.iter().map(|digest| (*digest, take(found.pages(*digest)))).collect();
        Ok(Self { kind: Kind::Image, image: Some(image), digests, pages })
    }

    /// Its digest; SHA-1 and SHA-256 are known.
    #[must_use]
    pub fn digest(&self, digest: Digest) -> Option<&[u8]> {
        self.digests.iter().find(|(known, _)| *known == digest).map(|(_, value)| value.as_slice())
    }

    /// The table of its pages' digests, where it can have one.
    #[must_use]
    pub fn pages(&self, digest: Digest) -> Option<&[u8]> {
        self.pages.iter().find(|(known, _)| *known == digest).map(|(_, table)| table.as_slice())
    }

    /// The digest of its first page, which holds the headers: policies name it so that the kernel can decide before it
    /// has read the rest.
    #[must_use]
    pub fn first_page(&self, digest: Digest) -> Option<&[u8]> {
        self.pages(digest)?.get(4..4 + digest.size())
    }
}

/// Whether there is a PE signature where a DOS header points.
fn is_image(source: &mut (impl Read + Seek)) -> Result<bool> {
    source.seek(SeekFrom::Start(0)).map_err(AuthenticodeError::read)?;
    let mut head = Vec::new();
    source.by_ref().take(0x40).read_to_end(&mut head).map_err(AuthenticodeError::read)?;
    let Some(pointer) = head.get(0x3c..0x40).filter(|_| head.starts_with(b"MZ")) else { return Ok(false) };
    let at = u32::from_le_bytes([pointer[0], pointer[1], pointer[2], pointer[3]]);
    source.seek(SeekFrom::Start(u64::from(at))).map_err(AuthenticodeError::read)?;
    let mut signature = Vec::new();
    source.by_ref().take(4).read_to_end(&mut signature).map_err(AuthenticodeError::read)?;
    Ok(signature == b"PE\0\0")
}

fn flat(source: &mut (impl Read + Seek)) -> Result<Subject> {
    source.seek(SeekFrom::Start(0)).map_err(AuthenticodeError::read)?;
    let mut hashers = DIGESTS.map(Digest::hasher);
    let mut buffer = vec![0; 128 * 1024];
    let mut kind = None;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(AuthenticodeError::read(error)),
        };
        // MS-CAB §2.1: the signature of a cabinet.
        kind.get_or_insert(if buffer.starts_with(b"MSCF") { Kind::Cabinet } else { Kind::Flat });
        hashers.iter_mut().for_each(|hasher| hasher.update(&buffer[..count]));
    }
    let kind = kind.unwrap_or(Kind::Flat);
    let digests = match kind {
        Kind::Cabinet => Vec::new(),
        _ => DIGESTS.into_iter().zip(hashers.map(pkix::Hasher::finish)).collect(),
    };
    Ok(Subject { kind, image: None, digests, pages: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn what_is_no_image_is_known_by_all_its_bytes() {
        // A DOS program begins as an image does.
        let mut dos = vec![0u8; 0x80];
        dos[..2].copy_from_slice(b"MZ");
        dos[0x3c] = 0x40;
        for bytes in [&b""[..], b"MZ", b"echo", &dos] {
            let subject = Subject::read(&mut Cursor::new(bytes)).unwrap();
            assert_eq!(subject.kind, Kind::Flat);
            assert_eq!(subject.digest(Digest::Sha256).unwrap(), Digest::Sha256.of(bytes));
            assert_eq!(subject.digest(Digest::Sha1).unwrap(), Digest::Sha1.of(bytes));
            assert_eq!(subject.first_page(Digest::Sha256), None);
        }
        // One that is broken is not hashed as something else.
        dos[0x40..0x44].copy_from_slice(b"PE\0\0");
        assert!(Subject::read(&mut Cursor::new(&dos)).is_err());
        let cabinet = Subject::read(&mut Cursor::new(b"MSCF\0\0\0\0")).unwrap();
        assert_eq!((cabinet.kind, cabinet.digest(Digest::Sha256)), (Kind::Cabinet, None));
    }
}
