//! A library of GM/T 0018 over `gm`, for the tests of whoever loads one. **No card**: its key is in its source.
//!
//! The environment variable `SDF_TEST_FAULT` makes it err: `digest` gives a wrong digest, `signature` a wrong signature, `open` no
//! device, `update` fails when a message goes on.
#![allow(unsafe_code, reason = "the other side of a C interface")]
#![allow(missing_docs, non_snake_case, reason = "the names are the standard's, and so is what they do")]
#![allow(clippy::missing_safety_doc, reason = "the safety is that of the standard's functions")]

use std::ffi::{c_int, c_uchar, c_uint, c_void};

use gm::Sm3;
use gm::sm2::PrivateKey;

const OK: c_int = 0;
/// `SDR_NOTSUPPORT`, `SDR_KEYNOTEXIST`, `SDR_PARDENY`, `SDR_HARDFAIL` (Annex A).
const NOT_SUPPORTED: c_int = 0x0100_0002;
const NO_KEY: c_int = 0x0100_0008;
const DENIED: c_int = 0x0100_000e;
const BROKEN: c_int = 0x0100_0004;
const INDEX: c_uint = 1;
const PASSWORD: &[u8] = b"12345678";

#[derive(Default)]
struct Session {
    hasher: Sm3,
    unlocked: bool,
}

#[repr(C)]
pub struct EccPublicKey {
    bits: c_uint,
    x: [c_uchar; 64],
    y: [c_uchar; 64],
}

#[repr(C)]
pub struct EccSignature {
    r: [c_uchar; 64],
    s: [c_uchar; 64],
}

fn fault(name: &str) -> bool {
    std::env::var("SDF_TEST_FAULT").is_ok_and(|fault| fault == name)
}

fn key() -> Option<PrivateKey> {
    PrivateKey::from_bytes(&[0x42; 32]).ok()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_OpenDevice(device: *mut *mut c_void) -> c_int {
    if fault("open") {
        return BROKEN;
    }
    // SAFETY: the caller's place for a handle.
    unsafe { *device = Box::into_raw(Box::new(0u64)).cast() };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_CloseDevice(device: *mut c_void) -> c_int {
    // SAFETY: made by `SDF_OpenDevice`.
    drop(unsafe { Box::from_raw(device.cast::<u64>()) });
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_OpenSession(_: *mut c_void, session: *mut *mut c_void) -> c_int {
    // SAFETY: the caller's place for a handle.
    unsafe { *session = Box::into_raw(Box::<Session>::default()).cast() };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_CloseSession(session: *mut c_void) -> c_int {
    // SAFETY: made by `SDF_OpenSession`.
    drop(unsafe { Box::from_raw(session.cast::<Session>()) });
    OK
}

/// The session behind a handle.
unsafe fn session<'a>(handle: *mut c_void) -> &'a mut Session {
    // SAFETY: made by `SDF_OpenSession`, and used by one thread at a time.
    unsafe { &mut *handle.cast::<Session>() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_HashInit(
    handle: *mut c_void,
    algorithm: c_uint,
    key: *mut EccPublicKey,
    _: *mut c_uchar,
    _: c_uint,
) -> c_int {
    if algorithm != 1 || !key.is_null() {
        return NOT_SUPPORTED;
    }
    // SAFETY: the caller's session.
    unsafe { session(handle) }.hasher = Sm3::new();
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_HashUpdate(handle: *mut c_void, data: *const c_uchar, length: c_uint) -> c_int {
    if fault("update") && length > 3 {
        return BROKEN;
    }
    // SAFETY: the caller's session and bytes.
    unsafe { session(handle).hasher.update(std::slice::from_raw_parts(data, length as usize)) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_HashFinal(handle: *mut c_void, out: *mut c_uchar, length: *mut c_uint) -> c_int {
    // SAFETY: the caller's session, and room for 32 bytes.
    unsafe {
        let mut digest = std::mem::take(&mut session(handle).hasher).finalize();
        digest[31] ^= u8::from(fault("digest"));
        std::slice::from_raw_parts_mut(out, 32).copy_from_slice(&digest);
        *length = 32;
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_GetPrivateKeyAccessRight(
    handle: *mut c_void,
    index: c_uint,
    password: *const c_uchar,
    length: c_uint,
) -> c_int {
    // SAFETY: the caller's bytes and session.
    let (given, session) =
        unsafe { (std::slice::from_raw_parts(password, length as usize), session(handle)) };
    session.unlocked = index == INDEX && given == PASSWORD;
    if session.unlocked { OK } else { DENIED }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_ExportSignPublicKey_ECC(
    _: *mut c_void,
    index: c_uint,
    out: *mut EccPublicKey,
) -> c_int {
    let Some(key) = key().filter(|_| index == INDEX) else { return NO_KEY };
    let point = key.public_key().to_sec1();
    let mut exported = EccPublicKey { bits: 256, x: [0; 64], y: [0; 64] };
    exported.x[32..].copy_from_slice(&point[1..33]);
    exported.y[32..].copy_from_slice(&point[33..]);
    // SAFETY: the caller's structure.
    unsafe { *out = exported };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn SDF_InternalSign_ECC(
    handle: *mut c_void,
    index: c_uint,
    data: *const c_uchar,
    length: c_uint,
    out: *mut EccSignature,
) -> c_int {
    // SAFETY: the caller's session.
    if !unsafe { session(handle) }.unlocked {
        return DENIED;
    }
    let Some(key) = key().filter(|_| index == INDEX) else { return NO_KEY };
    // SAFETY: the caller's bytes.
    let digest = unsafe { std::slice::from_raw_parts(data, length as usize) };
    let Ok(mut digest) = <[u8; 32]>::try_from(digest) else { return NOT_SUPPORTED };
    digest[0] ^= u8::from(fault("signature"));
    let bytes = key.sign_digest(&digest, &[7; 32]).to_bytes();
    let mut signature = EccSignature { r: [0; 64], s: [0; 64] };
    signature.r[32..].copy_from_slice(&bytes[..32]);
    signature.s[32..].copy_from_slice(&bytes[32..]);
    // SAFETY: the caller's structure.
    unsafe { *out = signature };
    OK
}
