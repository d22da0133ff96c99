//! The C functions of GM/T 0018-2012 §6. The only module of SDF with `unsafe`.
//!
//! What makes it sound, as far as that can be said of a maker's library: functions are called with the types of the
//! standard, buffers are at least as large as it says, lengths are checked before and after, and the library stays loaded as
//! long as a pointer into it lives.
#![expect(unsafe_code, reason = "calls into a library that is loaded at run time")]

use std::ffi::{c_int, c_uchar, c_uint, c_void};
use std::path::Path;
use std::ptr::null_mut;

use libloading::Library;

use crate::DeviceError;

/// `SGD_SM3` (GM/T 0006, §5.2.4).
const SGD_SM3: c_uint = 1;
/// `ECCref_MAX_LEN` (§5.4): fields for curves of up to 512 bits.
const FIELD: usize = 64;
/// `SDR_OK` (Annex A).
const OK: c_int = 0;
/// Bytes handed over at once: far below what lengths of 32 bits can say.
const PIECE: usize = 1 << 20;

/// `ECCrefPublicKey` (§5.4.1).
#[repr(C)]
struct EccPublicKey {
    bits: c_uint,
    x: [c_uchar; FIELD],
    y: [c_uchar; FIELD],
}

/// `ECCSignature` (§5.4.5).
#[repr(C)]
struct EccSignature {
    r: [c_uchar; FIELD],
    s: [c_uchar; FIELD],
}

/// A device or a session: a pointer that the library gave and that only it looks behind.
#[derive(Clone, Copy)]
pub(super) struct Handle(*mut c_void);

// SAFETY: §6.1 lets sessions be used from any thread; nothing here looks behind the pointer, and a session has one owner.
unsafe impl Send for Handle {}
// SAFETY: as above. A device's handle is shared to open sessions, which the standard allows at the same time.
unsafe impl Sync for Handle {}

type Open = unsafe extern "C" fn(*mut *mut c_void) -> c_int;
type Close = unsafe extern "C" fn(*mut c_void) -> c_int;
type OpenSession = unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> c_int;
type HashInit = unsafe extern "C" fn(*mut c_void, c_uint, *mut EccPublicKey, *mut c_uchar, c_uint) -> c_int;
type HashUpdate = unsafe extern "C" fn(*mut c_void, *const c_uchar, c_uint) -> c_int;
type HashFinal = unsafe extern "C" fn(*mut c_void, *mut c_uchar, *mut c_uint) -> c_int;
type Unlock = unsafe extern "C" fn(*mut c_void, c_uint, *const c_uchar, c_uint) -> c_int;
type ExportKey = unsafe extern "C" fn(*mut c_void, c_uint, *mut EccPublicKey) -> c_int;
type Sign = unsafe extern "C" fn(*mut c_void, c_uint, *const c_uchar, c_uint, *mut EccSignature) -> c_int;

/// The functions that are used, and the library that they are in.
pub(crate) struct Functions {
    open_device: Open,
    close_device: Close,
    open_session: OpenSession,
    close_session: Close,
    hash_init: HashInit,
    hash_update: HashUpdate,
    hash_final: HashFinal,
    unlock: Unlock,
    export_key: ExportKey,
    sign: Sign,
    _library: Library,
}

impl Functions {
    pub(super) fn load(path: &Path) -> Result<Self, DeviceError> {
        let failed = |source| DeviceError::Library { path: path.to_owned(), source };
        // SAFETY: the owner of the home names the library; its constructors run, as they would in every program of its maker.
        let library = unsafe { Library::new(path) }.map_err(failed)?;
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: a function of this name has the type that §6 gives it; the pointer lives as long as `library`.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }.map_err(failed)?
            };
        }
        Ok(Self {
            open_device: function!("SDF_OpenDevice"),
            close_device: function!("SDF_CloseDevice"),
            open_session: function!("SDF_OpenSession"),
            close_session: function!("SDF_CloseSession"),
            hash_init: function!("SDF_HashInit"),
            hash_update: function!("SDF_HashUpdate"),
            hash_final: function!("SDF_HashFinal"),
            unlock: function!("SDF_GetPrivateKeyAccessRight"),
            export_key: function!("SDF_ExportSignPublicKey_ECC"),
            sign: function!("SDF_InternalSign_ECC"),
            _library: library,
        })
    }

    pub(super) fn open_device(&self) -> Result<Handle, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: §6.2.1; the place for the handle is valid.
        check("SDF_OpenDevice", unsafe { (self.open_device)(&raw mut handle) })?;
        Ok(Handle(handle))
    }

    pub(super) fn close_device(&self, device: Handle) {
        // SAFETY: §6.2.2; the device was opened by this library and is closed once. What it answers is of no use to anyone.
        unsafe { (self.close_device)(device.0) };
    }

    pub(super) fn open_session(&self, device: Handle) -> Result<Handle, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: §6.2.3; the device is open and the place for the handle valid.
        check("SDF_OpenSession", unsafe { (self.open_session)(device.0, &raw mut handle) })?;
        Ok(Handle(handle))
    }

    pub(super) fn close_session(&self, session: Handle) {
        // SAFETY: §6.2.4; the session was opened by this library and is closed once.
        unsafe { (self.close_session)(session.0) };
    }

    pub(super) fn hash_init(&self, session: Handle) -> Result<(), DeviceError> {
        // SAFETY: §6.6.1; without a public key it is the plain digest, and no id is read.
        let code = unsafe { (self.hash_init)(session.0, SGD_SM3, null_mut(), null_mut(), 0) };
        check("SDF_HashInit", code)
    }

    pub(super) fn hash_update(&self, session: Handle, bytes: &[u8]) -> Result<(), DeviceError> {
        bytes.chunks(PIECE).try_for_each(|piece| {
            // SAFETY: §6.6.2; the bytes are read only, and as many as the length says.
            check("SDF_HashUpdate", unsafe { (self.hash_update)(session.0, piece.as_ptr(), length(piece)) })
        })
    }

    pub(super) fn hash_final(&self, session: Handle) -> Result<[u8; 32], DeviceError> {
        // Room for the longest digest of the standard's algorithms: a library that ignores the length errs within it.
        let mut digest = [0; FIELD];
        let mut written: c_uint = 32;
        // SAFETY: §6.6.3; there is more room than a digest of SM3 has.
        let code = unsafe { (self.hash_final)(session.0, digest.as_mut_ptr(), &raw mut written) };
        check("SDF_HashFinal", code)?;
        match (written, digest.first_chunk()) {
            (32, Some(digest)) => Ok(*digest),
            _ => Err(DeviceError::Malformed("a digest of SM3 has 32 bytes")),
        }
    }

    pub(super) fn unlock(&self, session: Handle, index: u32, password: &[u8]) -> Result<(), DeviceError> {
        // SAFETY: §6.2.6; the password is read only, and as long as the length says.
        let code = unsafe { (self.unlock)(session.0, index, password.as_ptr(), length(password)) };
        check("SDF_GetPrivateKeyAccessRight", code)
    }

    /// The public half of the signing key `index`, uncompressed.
    pub(super) fn public_key(&self, session: Handle, index: u32) -> Result<[u8; 65], DeviceError> {
        let mut key = EccPublicKey { bits: 0, x: [0; FIELD], y: [0; FIELD] };
        // SAFETY: §6.3.3; the structure is the standard's.
        let code = unsafe { (self.export_key)(session.0, index, &raw mut key) };
        check("SDF_ExportSignPublicKey_ECC", code)?;
        if key.bits != 256 {
            return Err(DeviceError::Malformed("its key is not one of SM2"));
        }
        let mut point = [4; 65];
        point[1..33].copy_from_slice(&low_half(&key.x)?);
        point[33..].copy_from_slice(&low_half(&key.y)?);
        Ok(point)
    }

    /// r and s of a signature by the key `index`.
    pub(super) fn sign(
        &self,
        session: Handle,
        index: u32,
        digest: &[u8; 32],
    ) -> Result<[[u8; 32]; 2], DeviceError> {
        let mut signature = EccSignature { r: [0; FIELD], s: [0; FIELD] };
        // SAFETY: §6.4.6; the digest is read only, and the structure is the standard's.
        let code =
            unsafe { (self.sign)(session.0, index, digest.as_ptr(), length(digest), &raw mut signature) };
        check("SDF_InternalSign_ECC", code)?;
        Ok([low_half(&signature.r)?, low_half(&signature.s)?])
    }
}

/// No more than [`PIECE`], a digest or a password.
fn length(bytes: &[u8]) -> c_uint {
    c_uint::try_from(bytes.len()).unwrap_or(0)
}

fn check(function: &'static str, code: c_int) -> Result<(), DeviceError> {
    match code {
        OK => Ok(()),
        code => Err(DeviceError::Sdf { function, code: code.cast_unsigned() }),
    }
}

/// A number of 256 bits at the end of its field.
fn low_half(field: &[u8; FIELD]) -> Result<[u8; 32], DeviceError> {
    match field.split_first_chunk::<32>() {
        Some((high, low)) if *high == [0; 32] => {
            low.try_into().map_err(|_| DeviceError::Malformed("a number has another length"))
        }
        _ => Err(DeviceError::Malformed("a number is longer than 256 bits")),
    }
}
