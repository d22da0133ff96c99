//! Windows programs among the entries: what Authenticode signs of them, computed while they pass by.
//!
//! A signed image has other bytes than it had before, and the same Authenticode digests. Whoever seals a tree and then
//! signs what is in it needs both.

use authenticode::pass::Wanted;
use authenticode::tap::Tap;
use gm::DualDigest;
use pkix::Digest;
use seal::EntryPath;

/// What is wanted of the PE images among the entries.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Images {
    /// Nothing: they are files.
    #[default]
    Ignored,
    /// Their Authenticode digests.
    Digests,
    /// Their page hashes under SHA-256 too, one for 4 KiB.
    Pages,
}

/// A PE image, as Authenticode sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// The entry that it is.
    pub path: EntryPath,
    /// Bytes without a certificate table, filled up to a multiple of eight as a signer does.
    pub size: u64,
    /// The Authenticode digests: of everything but the checksum and the certificate table.
    pub digest: DualDigest,
    /// The table of page hashes under SHA-256, where it was wanted and the image allows it.
    pub pages: Option<Vec<u8>>,
}

/// Looks at one content as it passes by.
pub(crate) struct Watch(Option<Box<Tap>>);

impl Watch {
    /// For a content that says to have `size` bytes.
    pub(crate) fn new(images: Images, size: u64) -> Self {
        let pages = match images {
            Images::Ignored => return Self(None),
            Images::Digests => Vec::new(),
            Images::Pages => vec![Digest::Sha256],
        };
        let wanted = Wanted { digests: vec![Digest::Sha256, Digest::Sm3], pages };
        Self(Some(Box::new(Tap::new(size, wanted))))
    }

    pub(crate) fn see(&mut self, piece: &[u8]) {
        if let Some(tap) = &mut self.0 {
            tap.update(piece);
            if !tap.is_open() {
                self.0 = None;
            }
        }
    }

    /// What it was, if it was an image and is complete.
    pub(crate) fn image(self, path: &EntryPath) -> Option<Image> {
        let tapped = self.0?.finish()?;
        let digest = |digest| tapped.found.digest(digest).and_then(|value| value.try_into().ok());
        let digest = DualDigest { sha256: digest(Digest::Sha256)?, sm3: digest(Digest::Sm3)? };
        let pages = tapped.found.pages(Digest::Sha256).map(<[u8]>::to_vec);
        Some(Image { path: path.clone(), size: tapped.size, digest, pages })
    }
}
