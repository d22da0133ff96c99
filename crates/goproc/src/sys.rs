//! The system calls that have no safe wrapper. All `unsafe` of this crate is here.
//!
//! Every function is one system call on a target, counted by [`crate::seam`].
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::seam;

/// The general registers of a stopped thread.
pub(crate) type Registers = libc::user_regs_struct;

/// What `waitpid` told about a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Stopped, with the signal and the ptrace event (0 for none) of the stop.
    Stopped { thread: i32, signal: i32, event: i32 },
    /// Gone.
    Ended { thread: i32 },
}

fn step() {
    if seam::is_last() {
        // SAFETY: no memory is involved; the process ends here.
        unsafe {
            libc::kill(libc::getpid(), libc::SIGKILL);
            libc::pause();
        }
    }
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        other => Ok(other),
    }
}

/// `pidfd_open(2)`.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    step();
    // SAFETY: the arguments are plain numbers; the kernel returns a new descriptor that nobody else owns.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: as above: the descriptor is fresh and owned by nobody.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `process_vm_readv(2)` of one range; returns how many bytes came.
pub(crate) fn read_memory(pid: i32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    step();
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: into.len() };
    // SAFETY: the local range is exactly `into`, alive and writable during the call; the remote range is checked by
    // the kernel and never dereferenced here.
    let count = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// As many ranges as one call takes (`IOV_MAX`, writev(2)).
pub(crate) const MOST_RANGES: usize = 1024;

/// `process_vm_readv(2)` of up to [`MOST_RANGES`] ranges, one behind the other; returns how many bytes came.
pub(crate) fn gather_memory(pid: i32, ranges: &[(u64, usize)], into: &mut [u8]) -> io::Result<usize> {
    step();
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote: Vec<libc::iovec> = ranges
        .iter()
        .map(|(address, length)| libc::iovec { iov_base: *address as *mut libc::c_void, iov_len: *length })
        .collect();
    let count = libc::c_ulong::try_from(remote.len()).map_err(io::Error::other)?;
    // SAFETY: the local range is exactly `into`, alive and writable during the call, and the kernel writes no more than
    // it; the remote ranges are `count` structures that live as long, checked by the kernel and never dereferenced here.
    let count = unsafe { libc::process_vm_readv(pid, &local, 1, remote.as_ptr(), count, 0) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// `process_vm_writev(2)` of one range, which the process itself may write; returns how many bytes went.
pub(crate) fn write_memory(pid: i32, address: u64, from: &[u8]) -> io::Result<usize> {
    step();
    let local = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: from.len() };
    // SAFETY: the kernel only reads the local range, which is exactly `from`; the remote range is its to check.
    let count = unsafe { libc::process_vm_writev(pid, &local, 1, &remote, 1, 0) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// One positioned write through an open `/proc/PID/mem`, counted like the others.
pub(crate) fn write_at(file: &std::fs::File, address: u64, from: &[u8]) -> io::Result<usize> {
    step();
    std::os::unix::fs::FileExt::write_at(file, from, address)
}

fn ptrace(request: libc::c_uint, thread: i32, address: u64, data: u64) -> io::Result<()> {
    step();
    // SAFETY: only requests whose `address` and `data` are plain numbers come here.
    checked(unsafe { libc::ptrace(request, thread, address, data) }).map(|_| ())
}

/// `PTRACE_SEIZE`: attaches without stopping; threads that it makes are attached too, by the kernel.
pub(crate) fn seize(thread: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACESYSGOOD;
    ptrace(libc::PTRACE_SEIZE, thread, 0, u64::from(options.cast_unsigned()))
}

/// `PTRACE_INTERRUPT`: asks for a stop.
pub(crate) fn interrupt(thread: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_INTERRUPT, thread, 0, 0)
}

/// `PTRACE_CONT`, delivering `signal` unless it is 0.
pub(crate) fn resume(thread: i32, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_CONT, thread, 0, u64::from(signal.cast_unsigned()))
}

/// `PTRACE_SYSCALL`: on to the next entry to, or exit from, a system call.
pub(crate) fn resume_to_system_call(thread: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_SYSCALL, thread, 0, 0)
}

/// `PTRACE_DETACH`, delivering `signal` unless it is 0.
pub(crate) fn detach(thread: i32, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_DETACH, thread, 0, u64::from(signal.cast_unsigned()))
}

/// `PTRACE_GETEVENTMSG`: after the event of a clone, the number of the new thread.
pub(crate) fn event_message(thread: i32) -> io::Result<u64> {
    step();
    let mut message: libc::c_ulong = 0;
    // SAFETY: the kernel writes one `unsigned long` through the pointer, which is valid for exactly that.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, thread, 0, &raw mut message) };
    checked(result).map(|_| message)
}

/// `PTRACE_GETREGS`.
pub(crate) fn registers(thread: i32) -> io::Result<Registers> {
    step();
    // SAFETY: the structure consists of integers, for which all zeroes is a value.
    let mut registers: Registers = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `user_regs_struct` through the pointer, which is valid for exactly that.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, thread, 0, &raw mut registers) };
    checked(result).map(|_| registers)
}

/// `PTRACE_SETREGS`.
pub(crate) fn set_registers(thread: i32, registers: &Registers) -> io::Result<()> {
    step();
    // SAFETY: the kernel reads one `user_regs_struct` through the pointer, which is valid for exactly that.
    checked(unsafe { libc::ptrace(libc::PTRACE_SETREGS, thread, 0, std::ptr::from_ref(registers)) })
        .map(|_| ())
}

/// `waitpid(2)` that does not block, for one thread that this thread of ours traces. What other threads of ours trace is
/// theirs (`__WNOTHREAD`).
pub(crate) fn poll(thread: i32) -> io::Result<Option<Change>> {
    step();
    let mut status = 0;
    // SAFETY: `status` is valid for the kernel to write.
    let found =
        unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG) };
    match found {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        thread if libc::WIFSTOPPED(status) => {
            Ok(Some(Change::Stopped { thread, signal: libc::WSTOPSIG(status), event: status >> 16 }))
        }
        thread => Ok(Some(Change::Ended { thread })),
    }
}

/// `tgkill(2)`.
pub(crate) fn signal_thread(pid: i32, thread: i32, signal: i32) -> io::Result<()> {
    step();
    // SAFETY: the arguments are plain numbers.
    checked(unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, signal) }).map(|_| ())
}

/// Lets others run for a moment; not a system call on the target.
pub(crate) fn give_way() {
    std::thread::yield_now();
}
