//! Devices behind a library of GM/T 0018-2012 ("SDF"): cards and boxes of many makers, one C interface.
//!
//! The library's maker decides what happens inside; here it is loaded, asked, and held to the sizes of the standard. A session is
//! used by one thread at a time. Numbers of 256 bits stand at the end of fields of 64 bytes (`ECCref_MAX_LEN`, §5.4).

mod signer;
mod sys;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use signer::SdfSigner;

use crate::{DeviceError, Sm3Stream};
use sys::{Functions, Handle};

/// A loaded library with an open device.
pub struct Library {
    functions: Functions,
    device: Handle,
}

impl Library {
    /// Loads the library and opens its device.
    ///
    /// # Errors
    /// When it is no library, lacks a function, or has no device.
    pub fn load(path: &Path) -> Result<Arc<Self>, DeviceError> {
        let functions = Functions::load(path)?;
        let device = functions.open_device()?;
        Ok(Arc::new(Self { functions, device }))
    }

    pub(crate) fn sm3(self: &Arc<Self>) -> Result<SdfStream, DeviceError> {
        let session = Session::open(self)?;
        self.functions.hash_init(session.handle)?;
        Ok(SdfStream { session })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.functions.close_device(self.device);
    }
}

/// A session, closed when it is dropped; the library outlives it.
pub(crate) struct Session {
    library: Arc<Library>,
    handle: Handle,
}

impl Session {
    pub(crate) fn open(library: &Arc<Library>) -> Result<Self, DeviceError> {
        let handle = library.functions.open_session(library.device)?;
        Ok(Self { library: Arc::clone(library), handle })
    }

    pub(crate) fn functions(&self) -> &Functions {
        &self.library.functions
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.library.functions.close_session(self.handle);
    }
}

/// One message in one session.
pub(crate) struct SdfStream {
    session: Session,
}

impl Sm3Stream for SdfStream {
    fn update(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        self.session.functions().hash_update(self.session.handle, bytes)
    }

    fn finish(&mut self) -> Result<[u8; 32], DeviceError> {
        self.session.functions().hash_final(self.session.handle)
    }
}

/// A thread that panicked left nothing here: the session is the device's.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
