//! Who computes: the processor, the kernel (`AF_ALG`) or a card behind a GM/T 0018 library (SDF).
//!
//! `gm` makes no system calls and loads no libraries; where law or a certificate wants the algorithms to run elsewhere, this
//! crate stands between. A [`Provider`] is opened, gives a known answer or is refused, and then hashes streams. A card also
//! signs with keys that never leave it ([`sdf::SdfSigner`]).
//!
//! It does **not** fall back by itself: whoever opens a provider hears why it cannot be used, decides, and records that.
//!
//! ```
//! let device = gmdevice::Device::open(&gmdevice::Provider::Cpu)?;
//! let mut stream = device.sm3()?;
//! stream.update(b"abc")?;
//! assert_eq!(stream.finish()?, gm::Sm3::digest(b"abc"));
//! # Ok::<(), gmdevice::DeviceError>(())
//! ```

mod error;
#[cfg(target_os = "linux")]
mod kernel;
pub mod sdf;

use std::path::PathBuf;

pub use error::DeviceError;

/// Who is to compute.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Provider {
    /// `gm`, in this process.
    #[default]
    Cpu,
    /// The kernel's crypto API, which may have a driver for a device.
    Kernel,
    /// The device behind this GM/T 0018 library.
    Sdf(PathBuf),
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Kernel => f.write_str("kernel"),
            Self::Sdf(library) => write!(f, "sdf ({})", library.display()),
        }
    }
}

/// One message under SM3, piece by piece.
pub trait Sm3Stream: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When the device fails.
    fn update(&mut self, bytes: &[u8]) -> Result<(), DeviceError>;
    /// The digest of everything taken. The stream is through then.
    ///
    /// # Errors
    /// When the device fails.
    fn finish(&mut self) -> Result<[u8; 32], DeviceError>;
}

/// A provider that was opened and answered correctly.
pub struct Device {
    provider: Provider,
    inner: Inner,
}

enum Inner {
    Cpu,
    #[cfg(target_os = "linux")]
    Kernel(kernel::Kernel),
    Sdf(std::sync::Arc<sdf::Library>),
}

/// GB/T 32905-2016, Annex A.1: the message and its digest.
const KNOWN: (&[u8], [u8; 32]) = (
    b"abc",
    [
        0x66, 0xc7, 0xf0, 0xf4, 0x62, 0xee, 0xed, 0xd9, 0xd1, 0xf2, 0xd4, 0x6b, 0xdc, 0x10, 0xe4, 0xe2, 0x41,
        0x67, 0xc4, 0x87, 0x5c, 0xf2, 0xf7, 0xa2, 0x29, 0x7d, 0xa0, 0x2b, 0x8f, 0x4b, 0xa8, 0xe0,
    ],
);

impl Device {
    /// Opens the provider and asks it for a digest that is known.
    ///
    /// # Errors
    /// When it is not here, or gives a wrong answer.
    pub fn open(provider: &Provider) -> Result<Self, DeviceError> {
        let inner = match provider {
            Provider::Cpu => Inner::Cpu,
            #[cfg(target_os = "linux")]
            Provider::Kernel => Inner::Kernel(kernel::Kernel::open()?),
            #[cfg(not(target_os = "linux"))]
            Provider::Kernel => return Err(DeviceError::Absent("only Linux has AF_ALG")),
            Provider::Sdf(library) => Inner::Sdf(sdf::Library::load(library)?),
        };
        let device = Self { provider: provider.clone(), inner };
        let mut stream = device.sm3()?;
        stream.update(KNOWN.0)?;
        match stream.finish()? == KNOWN.1 {
            true => Ok(device),
            false => Err(DeviceError::WrongAnswer { provider: provider.to_string() }),
        }
    }

    /// Who computes.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// A new message.
    ///
    /// # Errors
    /// When the device takes no further one.
    pub fn sm3(&self) -> Result<Box<dyn Sm3Stream>, DeviceError> {
        match &self.inner {
            Inner::Cpu => Ok(Box::new(gm::Sm3::new())),
            #[cfg(target_os = "linux")]
            Inner::Kernel(kernel) => Ok(Box::new(kernel.sm3()?)),
            Inner::Sdf(library) => Ok(Box::new(library.sm3()?)),
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Device").field(&self.provider).finish()
    }
}

impl Sm3Stream for gm::Sm3 {
    fn update(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        Self::update(self, bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<[u8; 32], DeviceError> {
        Ok(std::mem::take(self).finalize())
    }
}
