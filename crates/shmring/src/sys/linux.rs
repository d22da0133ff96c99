//! Memory files, futexes, descriptors over sockets. All `unsafe` of this crate is here.
#![allow(unsafe_code)]

use std::fs::{File, Permissions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

use crate::RingError;
use crate::layout::{Data, HEADER, Header, MAGIC, MAX_CAPACITY, MIN_CAPACITY, VERSION};

/// The mapped memory of a ring. Its size is sealed for as long as any process has it.
pub struct Memory {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to no thread, and everything in it is reached through atomics.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes a ring with room for `capacity` bytes, a power of two between [`MIN_CAPACITY`] and [`MAX_CAPACITY`]; the
    /// descriptor is for whoever shall write to it.
    ///
    /// # Errors
    /// [`RingError::Foreign`] for another capacity; [`RingError::Io`] when there is no memory.
    pub fn create(capacity: u64) -> Result<(Self, OwnedFd), RingError> {
        check_capacity(capacity)?;
        let file = memory_file().map_err(|e| RingError::io("make", e))?;
        let file = File::from(file);
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(|e| RingError::io("close to others", e))?;
        file.set_len(HEADER as u64 + capacity).map_err(|e| RingError::io("size", e))?;
        // All pages now: one that is missing later would be a signal (SIGBUS), not an error.
        let size = i64::try_from(HEADER as u64 + capacity).unwrap_or(i64::MAX); // checked above: at most 64 MiB
        fallocate(&file, FallocateFlags::empty(), 0, size).map_err(|e| RingError::io("allocate", e))?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|e| RingError::io("seal", e))?;
        let memory = Self::map(&file, capacity)?;
        let fixed = &memory.header().fixed.0;
        fixed.version.store(VERSION, Ordering::Relaxed);
        fixed.capacity.store(capacity, Ordering::Relaxed);
        fixed.magic.store(MAGIC, Ordering::Release);
        Ok((memory, file.into()))
    }

    /// Maps the memory behind a descriptor that came from elsewhere.
    ///
    /// # Errors
    /// [`RingError::Foreign`] when it is not a ring's, or could still change its size.
    pub fn adopt(file: impl AsFd) -> Result<Self, RingError> {
        let file = File::from(file.as_fd().try_clone_to_owned().map_err(|e| RingError::io("duplicate", e))?);
        let foreign = |why| Err(RingError::Foreign { why });
        // Pages of huge page files (also memory files, also sealable) can be missing when they are touched.
        let system = fstatfs(&file).map_err(|e| RingError::io("look at", e))?;
        if system.filesystem_type() != TMPFS_MAGIC {
            return foreign("it is not a memory file of ordinary pages");
        }
        let Ok(seals) = fcntl(&file, FcntlArg::F_GET_SEALS) else { return foreign("it has no seals") };
        let seals = SealFlag::from_bits_truncate(seals);
        if !seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL) {
            return foreign("its size is not sealed");
        }
        let size = file.metadata().map_err(|e| RingError::io("look at", e))?.len();
        let Some(capacity) = size.checked_sub(HEADER as u64) else { return foreign("it is too small") };
        check_capacity(capacity)?;
        let memory = Self::map(&file, capacity)?;
        let fixed = &memory.header().fixed.0;
        if fixed.magic.load(Ordering::Acquire) != MAGIC || fixed.version.load(Ordering::Relaxed) != VERSION {
            return foreign("it is no ring of this version");
        }
        Ok(memory)
    }

    fn map(file: &File, capacity: u64) -> Result<Self, RingError> {
        let length = usize::try_from(HEADER as u64 + capacity)
            .map_err(|_| RingError::Foreign { why: "it is too large" })?;
        // SAFETY: a new mapping at an address of the kernel's choice; the file has `length` bytes, and its seals keep
        // it from ever having fewer.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(base.cast::<u8>()).filter(|_| base != libc::MAP_FAILED) {
            Some(base) => Ok(Self { base, length }),
            None => Err(RingError::io("map", io::Error::last_os_error())),
        }
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, longer than a `Header` (`HEADER` bytes come before the records), lives
        // as long as `self`, and every field is an atomic, for which all bit patterns are values.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    pub(crate) fn data(&self) -> Data<'_> {
        let length = self.length - HEADER;
        // SAFETY: `length` bytes follow the header within the mapping; they are aligned to a page, live as long as
        // `self`, and are only ever used as atomics.
        let words = unsafe {
            std::slice::from_raw_parts(self.base.add(HEADER).cast::<AtomicU64>().as_ptr(), length / 8)
        };
        Data::new(words)
    }

    /// Bytes for records.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.data().capacity()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it is our mapping, and nothing that borrows from it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

fn check_capacity(capacity: u64) -> Result<(), RingError> {
    if capacity.is_power_of_two() && (MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
        return Ok(());
    }
    Err(RingError::Foreign { why: "its capacity is not a power of two from 256 KiB to 64 MiB" })
}

fn memory_file() -> nix::Result<OwnedFd> {
    const NAME: &str = "custody-ring";
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Never executable, where the kernel knows how to say so (Linux 6.3).
    let sealed = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    memfd_create(NAME, flags | sealed).or_else(|_| memfd_create(NAME, flags))
}

/// Waits until `word` is no longer `seen`, for at most `patience`. Returns early now and then; the caller looks again.
pub(crate) fn wait(word: &AtomicU32, seen: u32, patience: Duration) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    // SAFETY: futex(2) on a word that lives through the call, with a timeout that does too. Not FUTEX_PRIVATE: the
    // other end is another process. Whatever it answers, the caller looks again.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, &raw const time) };
}

/// Wakes everyone who waits for `word`.
pub(crate) fn wake(word: &AtomicU32) {
    // SAFETY: futex(2) on a live word; waking has no effect on memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Sends bytes with a descriptor attached to the first of them (`SCM_RIGHTS`, unix(7)). Gives how many were sent.
///
/// # Errors
/// The system's answer.
pub fn send(stream: &UnixStream, bytes: &[u8], file: impl AsFd) -> io::Result<usize> {
    let files = [file.as_fd().as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&files)];
    Ok(sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(bytes)], &rights, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Reads bytes and the first of the descriptors that came with them; any other is closed.
///
/// # Errors
/// The system's answer.
pub fn receive(stream: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    // Room for all that one message can carry (SCM_MAX_FD): of a cut list, those that came would never be closed.
    let mut control = nix::cmsg_space!([RawFd; 253]);
    let mut buffers = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
    let mut first = None;
    if let Ok(messages) = message.cmsgs() {
        for message in messages {
            let ControlMessageOwned::ScmRights(files) = message else { continue };
            for file in files {
                // SAFETY: the kernel just made this descriptor for us; nobody else has it.
                let file = unsafe { OwnedFd::from_raw_fd(file) };
                first.get_or_insert(file);
            }
        }
    }
    Ok((message.bytes, first))
}
