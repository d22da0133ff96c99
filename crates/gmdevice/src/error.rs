//! What can go wrong with a device. Everything here is of the environment.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// This system has no such provider.
    #[error("{0}")]
    Absent(&'static str),
    /// The kernel refused.
    #[error("the kernel does not {action}")]
    Kernel {
        /// What was attempted.
        action: &'static str,
        /// Its answer.
        #[source]
        source: std::io::Error,
    },
    /// A library cannot be loaded, or lacks a function of GM/T 0018.
    #[error("cannot use the library `{}`", path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// The loader's answer.
        #[source]
        source: libloading::Error,
    },
    /// A function of GM/T 0018 failed.
    #[error("{function} failed with {code:#010x}")]
    Sdf {
        /// The function.
        function: &'static str,
        /// Its answer (GM/T 0018 Annex A).
        code: u32,
    },
    /// A device gave what it must not give.
    #[error("the device is not to be trusted: {0}")]
    Malformed(&'static str),
    /// A known digest came out wrong.
    #[error("{provider} computes SM3 wrongly")]
    WrongAnswer {
        /// The provider.
        provider: String,
    },
}
