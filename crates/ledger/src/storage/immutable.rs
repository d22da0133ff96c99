//! The immutable attribute of Linux file systems (`chattr +i`, ioctl_iflags(2)), which the standard library does not
//! know: a file that has it can be changed, renamed and removed by nobody until the attribute is taken away, for which
//! CAP_LINUX_IMMUTABLE is needed.
#![allow(unsafe_code, reason = "two ioctls")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// `FS_IMMUTABLE_FL`, linux/fs.h.
const IMMUTABLE: libc::c_long = 0x10;

/// Whether that changed anything.
pub(super) fn set(file: &File, on: bool) -> io::Result<bool> {
    // The interface is declared with `long`, file systems read and write an `int` (ioctl_iflags(2), "Bugs"): a long of
    // zeroes takes either on a little-endian machine, and the flags are in its low half.
    let mut flags: libc::c_long = 0;
    // SAFETY: the descriptor is open for the whole call, and the kernel writes at most a long to the pointer.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let wanted = if on { flags | IMMUTABLE } else { flags & !IMMUTABLE };
    if wanted == flags {
        return Ok(false);
    }
    // SAFETY: as above; the kernel only reads from the pointer.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const wanted) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(true)
}
