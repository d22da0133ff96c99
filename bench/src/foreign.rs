//! OpenSSL and libgcrypt as they lie on the system, loaded when a benchmark asks for them: both then run in this process, on
//! the same buffers, in turn with ours.
//!
//! The declarations are those of `openssl/evp.h` (OpenSSL 3) and `gcrypt.h` (libgcrypt 1.10).

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};

use anyhow::{Context as _, Result, ensure};
use libloading::{Library, Symbol};

type Opaque = *mut c_void;

/// A symbol of `library`.
///
/// # Safety
/// `T` must be the function's type in the library's header.
unsafe fn symbol<'l, T>(library: &'l Library, name: &'static str) -> Result<Symbol<'l, T>> {
    // SAFETY: the caller's promise.
    unsafe { library.get(name.as_bytes()) }.with_context(|| format!("no {name}"))
}

fn library(name: &'static str) -> Option<Library> {
    // SAFETY: the initialisers of these two libraries ask nothing of who loads them.
    let found = unsafe { Library::new(name) };
    found.inspect_err(|e| eprintln!("bench: {name} skipped: {e}")).ok()
}

/// `libcrypto`.
pub(crate) struct OpenSsl(Library);

impl OpenSsl {
    pub(crate) fn load() -> Option<Self> {
        library("libcrypto.so.3").map(Self)
    }

    /// Its own words about its version.
    pub(crate) fn version(&self) -> Result<String> {
        // SAFETY: `const char *OpenSSL_version(int)`, which gives a static string for 0.
        let text = unsafe {
            let version: Symbol<'_, unsafe extern "C" fn(c_int) -> *const c_char> =
                symbol(&self.0, "OpenSSL_version")?;
            std::ffi::CStr::from_ptr(version(0))
        };
        Ok(text.to_string_lossy().split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    /// SM4 in counter mode, in place.
    pub(crate) fn sm4_ctr(&self, key: &[u8; 16]) -> Result<impl FnMut(&[u8; 16], &mut [u8]) -> Result<()>> {
        type Start = unsafe extern "C" fn(Opaque, *const c_void, Opaque, *const u8, *const u8) -> c_int;
        type Update = unsafe extern "C" fn(Opaque, *mut u8, *mut c_int, *const u8, c_int) -> c_int;
        // SAFETY: the types are those of openssl/evp.h. The context is never freed: it lives as long as the benchmark.
        let (start, update, cipher, context) = unsafe {
            let new: Symbol<'_, unsafe extern "C" fn() -> Opaque> = symbol(&self.0, "EVP_CIPHER_CTX_new")?;
            let cipher: Symbol<'_, unsafe extern "C" fn() -> *const c_void> = symbol(&self.0, "EVP_sm4_ctr")?;
            let start: Symbol<'_, Start> = symbol(&self.0, "EVP_EncryptInit_ex")?;
            let update: Symbol<'_, Update> = symbol(&self.0, "EVP_EncryptUpdate")?;
            (start, update, cipher(), new())
        };
        ensure!(!context.is_null() && !cipher.is_null(), "no SM4 in this OpenSSL");
        // SAFETY: key and vector have the sixteen bytes that this cipher reads.
        let begun = unsafe { start(context, cipher, null_mut(), key.as_ptr(), key.as_ptr()) };
        ensure!(begun == 1, "OpenSSL refuses the key");
        Ok(move |counter: &[u8; 16], data: &mut [u8]| {
            let mut written = 0;
            let length = c_int::try_from(data.len())?;
            // SAFETY: a null key keeps the one that is set; in place, `length` bytes in and out, of a stream mode.
            let done = unsafe {
                start(context, null(), null_mut(), null(), counter.as_ptr()) == 1
                    && update(context, data.as_mut_ptr(), &raw mut written, data.as_ptr(), length) == 1
            };
            ensure!(done && written == length, "OpenSSL failed");
            Ok(())
        })
    }

    /// SM3 of a message, in one call.
    pub(crate) fn sm3(&self) -> Result<impl FnMut(&[u8]) -> Result<[u8; 32]>> {
        type Digest =
            unsafe extern "C" fn(*const u8, usize, *mut u8, *mut c_uint, *const c_void, Opaque) -> c_int;
        // SAFETY: the types are those of openssl/evp.h.
        let (digest, kind) = unsafe {
            let kind: Symbol<'_, unsafe extern "C" fn() -> *const c_void> = symbol(&self.0, "EVP_sm3")?;
            let digest: Symbol<'_, Digest> = symbol(&self.0, "EVP_Digest")?;
            (digest, kind())
        };
        Ok(move |message: &[u8]| {
            let (mut out, mut length) = ([0; 32], 0);
            // SAFETY: SM3 writes 32 bytes, and as many are there.
            let done = unsafe {
                digest(message.as_ptr(), message.len(), out.as_mut_ptr(), &raw mut length, kind, null_mut())
            };
            ensure!(done == 1 && length == 32, "OpenSSL failed");
            Ok(out)
        })
    }
}

/// `libgcrypt`.
pub(crate) struct Gcrypt(Library);

/// A cipher of libgcrypt, never closed: it lives as long as the benchmark.
pub(crate) struct GcryptSm4<'l> {
    handle: Opaque,
    set_counter: Symbol<'l, unsafe extern "C" fn(Opaque, *const u8, usize) -> c_uint>,
    encrypt: Symbol<'l, unsafe extern "C" fn(Opaque, *mut u8, usize, *const u8, usize) -> c_uint>,
    tag: Symbol<'l, unsafe extern "C" fn(Opaque, *mut u8, usize) -> c_uint>,
}

impl Gcrypt {
    pub(crate) fn load() -> Option<Self> {
        library("libgcrypt.so.20").map(Self)
    }

    /// Its version; initialises it, which it wants before all else.
    pub(crate) fn version(&self) -> Result<String> {
        const DISABLE_SECURE_MEMORY: c_int = 37;
        const INITIALIZATION_FINISHED: c_int = 38;
        // SAFETY: the types and the two commands are those of gcrypt.h; a null version is never refused.
        let text = unsafe {
            let check: Symbol<'_, unsafe extern "C" fn(*const c_char) -> *const c_char> =
                symbol(&self.0, "gcry_check_version")?;
            let control: Symbol<'_, unsafe extern "C" fn(c_int, ...) -> c_uint> =
                symbol(&self.0, "gcry_control")?;
            let version = check(null());
            control(DISABLE_SECURE_MEMORY, 0 as c_int);
            control(INITIALIZATION_FINISHED, 0 as c_int);
            std::ffi::CStr::from_ptr(version)
        };
        Ok(format!("libgcrypt {}", text.to_string_lossy()))
    }

    pub(crate) fn sm4(&self, gcm: bool, key: &[u8; 16]) -> Result<GcryptSm4<'_>> {
        const SM4: c_int = 318;
        let mode = if gcm { 9 } else { 6 };
        let mut handle = null_mut();
        // SAFETY: the types and numbers are those of gcrypt.h.
        let (opened, cipher) = unsafe {
            let open: Symbol<'_, unsafe extern "C" fn(*mut Opaque, c_int, c_int, c_uint) -> c_uint> =
                symbol(&self.0, "gcry_cipher_open")?;
            let set_key: Symbol<'_, unsafe extern "C" fn(Opaque, *const u8, usize) -> c_uint> =
                symbol(&self.0, "gcry_cipher_setkey")?;
            let set_counter = symbol(&self.0, if gcm { "gcry_cipher_setiv" } else { "gcry_cipher_setctr" })?;
            let opened = open(&raw mut handle, SM4, mode, 0);
            let opened = if opened == 0 { set_key(handle, key.as_ptr(), key.len()) } else { opened };
            let encrypt = symbol(&self.0, "gcry_cipher_encrypt")?;
            (opened, GcryptSm4 { handle, set_counter, encrypt, tag: symbol(&self.0, "gcry_cipher_gettag")? })
        };
        ensure!(opened == 0, "libgcrypt has no SM4: error {opened}");
        Ok(cipher)
    }
}

impl GcryptSm4<'_> {
    /// Encrypts in place from this counter (of counter mode) or nonce (of GCM) on.
    pub(crate) fn apply(&mut self, counter: &[u8], data: &mut [u8]) -> Result<()> {
        // SAFETY: the handle is open; without an input, `data.len()` bytes are encrypted where they stand.
        let failed = unsafe {
            (self.set_counter)(self.handle, counter.as_ptr(), counter.len())
                | (self.encrypt)(self.handle, data.as_mut_ptr(), data.len(), null(), 0)
        };
        ensure!(failed == 0, "libgcrypt failed: error {failed}");
        Ok(())
    }

    /// The tag of what was encrypted last, in GCM.
    pub(crate) fn tag(&mut self) -> Result<[u8; 16]> {
        let mut tag = [0; 16];
        // SAFETY: the handle is open, and sixteen bytes are there.
        let failed = unsafe { (self.tag)(self.handle, tag.as_mut_ptr(), tag.len()) };
        ensure!(failed == 0, "libgcrypt failed: error {failed}");
        Ok(tag)
    }
}
