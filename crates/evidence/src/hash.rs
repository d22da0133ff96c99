//! One stream under both hashes, SM3 by whoever is to compute it.
//!
//! A device that fails in the middle cannot be replaced any more: what it took is gone. Its error comes out with the digest.

use gm::{Dual, DualDigest};
use gmdevice::{Device, DeviceError, Sm3Stream};
use sha2::{Digest as _, Sha256};

/// SM3 of one stream; the first failure is kept for the end.
pub(crate) struct Sm3Sum(Result<Box<dyn Sm3Stream>, DeviceError>);

impl Sm3Sum {
    pub(crate) fn new(device: Option<&Device>) -> Self {
        Self(device.map_or_else(|| Ok(Box::new(gm::Sm3::new()) as Box<dyn Sm3Stream>), Device::sm3))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Ok(stream) = &mut self.0
            && let Err(error) = stream.update(bytes)
        {
            self.0 = Err(error);
        }
    }

    pub(crate) fn finish(self) -> Result<[u8; 32], DeviceError> {
        self.0.and_then(|mut stream| stream.finish())
    }
}

/// Both hashes of one stream.
pub(crate) enum Both {
    Here(Box<Dual>),
    Device(Box<Sha256>, Sm3Sum),
}

impl Both {
    pub(crate) fn new(device: Option<&Device>) -> Self {
        match device {
            None => Self::Here(Box::default()),
            Some(_) => Self::Device(Box::default(), Sm3Sum::new(device)),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Here(both) => both.update(bytes),
            Self::Device(sha256, sm3) => {
                sha256.update(bytes);
                sm3.update(bytes);
            }
        }
    }

    pub(crate) fn finish(self) -> Result<DualDigest, DeviceError> {
        match self {
            Self::Here(both) => Ok(both.finalize()),
            Self::Device(sha256, sm3) => {
                Ok(DualDigest { sha256: sha256.finalize().into(), sm3: sm3.finish()? })
            }
        }
    }
}
