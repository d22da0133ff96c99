//! The system calls that have no safe wrapper. All `unsafe` of this crate is here.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;

use crate::fact::Usage;
use crate::policy::End;

/// What the child needs, all of it made before the fork: after it, allocating is not allowed.
pub(super) struct Plan {
    pub(super) program: CString,
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
    /// Adds `LISTEN_PID`, which only the child knows.
    pub(super) listen_pid: bool,
    pub(super) directory: Option<CString>,
}

/// The child's descriptors. Each number is at least `3 + sockets.len()`, so that placing one overwrites no other.
pub(super) struct ChildEnds {
    /// One byte is read from it before the exec.
    pub(super) go: RawFd,
    /// The parent's end of `go`; closed in the child, so that the parent's death ends the wait.
    pub(super) go_parent: RawFd,
    /// Where `errno` is written when the exec fails.
    pub(super) failed: RawFd,
    /// Becomes stderr.
    pub(super) stderr: Option<RawFd>,
    /// Become 3, 4, ….
    pub(super) sockets: Vec<RawFd>,
}

const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// Pointers into a [`Plan`], as `execve` wants them.
struct Prepared<'a> {
    plan: &'a Plan,
    ends: &'a ChildEnds,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// `LISTEN_PID=` and room for any pid and the NUL; the last entry of `environment` points here.
    listen_pid: [u8; LISTEN_PID.len() + 12],
    parent: libc::pid_t,
}

/// Forks a child that waits for a byte on `go` and then executes the plan.
pub(super) fn fork(plan: &Plan, ends: &ChildEnds) -> io::Result<Pid> {
    let mut prepared = Prepared {
        plan,
        ends,
        arguments: pointers(&plan.arguments),
        environment: pointers(&plan.environment),
        listen_pid: [0; LISTEN_PID.len() + 12],
        parent: std::process::id().cast_signed(),
    };
    prepared.listen_pid[..LISTEN_PID.len()].copy_from_slice(LISTEN_PID);
    if plan.listen_pid {
        let slot = prepared.environment.len() - 1;
        prepared.environment[slot] = prepared.listen_pid.as_ptr().cast();
        prepared.environment.push(std::ptr::null());
    }
    // SAFETY: the child calls only async-signal-safe functions (`child` below) and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: we are the child, alone in our address space, and `prepared` is complete.
        0 => unsafe { child(&mut prepared) },
        pid => Ok(Pid::from_raw(pid)),
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
    pointers.reserve(2); // the last may be followed by LISTEN_PID
    pointers.push(std::ptr::null());
    pointers
}

/// The child's whole life before the new image.
///
/// # Safety
/// Only in a fresh child of `fork`. Everything here is async-signal-safe (`signal-safety(7)`) and allocates nothing.
unsafe fn child(prepared: &mut Prepared<'_>) -> ! {
    let ends = prepared.ends;
    // SAFETY: plain system calls on numbers and on memory that `prepared` owns; see each line's reason.
    unsafe {
        // When the supervisor dies the service is asked to go: unsupervised is not how it was started. The signal
        // follows the thread that forked, and the supervisor forks from the thread that waits.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
        if libc::getppid() != prepared.parent {
            libc::_exit(127); // it died before the line above
        }
        libc::setsid(); // away from the terminal: its Ctrl-C reaches the supervisor, which passes it on
        for number in 1..=libc::SIGRTMAX() {
            libc::signal(number, libc::SIG_DFL); // Rust ignores SIGPIPE; a service starts with the defaults
        }
        libc::close(ends.go_parent);
        let stderr_failed = ends.stderr.is_some_and(|fd| libc::dup2(fd, libc::STDERR_FILENO) == -1);
        let mut target: c_int = 3;
        let mut failed = stderr_failed;
        for &socket in &ends.sockets {
            failed |= libc::dup2(socket, target) == -1;
            target += 1;
        }
        failed |= !close_on_exec_from(target);
        if failed {
            give_up(ends.failed);
        }
        wait_for_go(ends.go);
        write_pid(&mut prepared.listen_pid);
        if let Some(directory) = &prepared.plan.directory
            && libc::chdir(directory.as_ptr()) == -1
        {
            give_up(ends.failed);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::execve(
            prepared.plan.program.as_ptr(),
            prepared.arguments.as_ptr(),
            prepared.environment.as_ptr(),
        );
        give_up(ends.failed)
    }
}

/// Marks every descriptor from `first` on close-on-exec, so that the service inherits nothing it was not given.
///
/// # Safety
/// As [`child`].
unsafe fn close_on_exec_from(first: c_int) -> bool {
    // SAFETY: both calls take numbers only; a number that is no descriptor is EBADF.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, c_int::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 {
            return true;
        }
        // Before Linux 5.11: one by one, up to the limit of this process.
        let mut limit = std::mem::zeroed::<libc::rlimit>();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == -1 {
            return false;
        }
        let end = c_int::try_from(limit.rlim_cur.min(1 << 20)).unwrap_or(1 << 20);
        for fd in first..end {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        true
    }
}

/// # Safety
/// As [`child`].
unsafe fn wait_for_go(go: RawFd) {
    let mut byte = 0u8;
    // SAFETY: one byte is read into one byte.
    unsafe {
        loop {
            match libc::read(go, (&raw mut byte).cast(), 1) {
                1 => return,
                -1 if *libc::__errno_location() == libc::EINTR => {}
                _ => libc::_exit(127), // the supervisor is gone, or wants nothing any more
            }
        }
    }
}

/// Writes the own pid behind `LISTEN_PID=`, in decimal, without allocating.
fn write_pid(slot: &mut [u8; LISTEN_PID.len() + 12]) {
    // SAFETY: getpid cannot fail and touches no memory.
    let mut rest = unsafe { libc::getpid() }.unsigned_abs();
    let mut digits = [0u8; 10];
    let mut count = 0;
    loop {
        digits[count] = b'0' + (rest % 10) as u8;
        count += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for (place, digit) in slot[LISTEN_PID.len()..].iter_mut().zip(digits[..count].iter().rev()) {
        *place = *digit;
    }
}

/// Tells the parent `errno` and ends.
///
/// # Safety
/// As [`child`].
unsafe fn give_up(failed: RawFd) -> ! {
    // SAFETY: four bytes are written from a four-byte integer; `errno` is this thread's.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(failed, (&raw const errno).cast(), size_of::<c_int>());
        libc::_exit(127)
    }
}

/// Duplicates `fd` to a number of at least `floor`, close-on-exec.
pub(super) fn duplicate_above(fd: RawFd, floor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on a number; the result, when there is one, is a new descriptor that nobody else owns.
    unsafe {
        match libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, floor) {
            -1 => Err(io::Error::last_os_error()),
            new => Ok(OwnedFd::from_raw_fd(new)),
        }
    }
}

/// One child that ended, if there is one.
pub(super) fn wait_any() -> io::Result<Option<(Pid, End, Usage)>> {
    wait(-1, libc::WNOHANG)
}

/// Waits until the child `pid` ends.
pub(super) fn wait_for(pid: Pid) -> io::Result<Option<(Pid, End, Usage)>> {
    wait(pid.as_raw(), 0)
}

fn wait(pid: libc::pid_t, options: c_int) -> io::Result<Option<(Pid, End, Usage)>> {
    loop {
        let mut status = 0;
        // SAFETY: a `rusage` of zeros is a valid value, and the kernel fills it.
        let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
        // SAFETY: both pointers are to live locals of the right types.
        let found = unsafe { libc::wait4(pid, &raw mut status, options, &raw mut usage) };
        if found == 0 {
            return Ok(None);
        }
        if found == -1 {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::ECHILD) => return Ok(None),
                _ => return Err(error),
            }
        }
        if let Some(end) = end_of(status) {
            return Ok(Some((Pid::from_raw(found), end, usage_of(&usage))));
        }
        // A stop, of a process that is being traced: not an ending.
    }
}

fn end_of(status: c_int) -> Option<End> {
    if libc::WIFEXITED(status) {
        return Some(End::Code(libc::WEXITSTATUS(status)));
    }
    libc::WIFSIGNALED(status)
        .then(|| End::Signal { number: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) })
}

fn usage_of(usage: &libc::rusage) -> Usage {
    let time = |t: libc::timeval| {
        let micros = u64::try_from(t.tv_usec).unwrap_or(0);
        Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
    };
    Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        max_resident_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        major_faults: u64::try_from(usage.ru_majflt).unwrap_or(0),
    }
}

/// The next pending signal of `set`, waiting at most `timeout`.
pub(super) fn next_signal(set: &SigSet, timeout: Option<Duration>) -> io::Result<Option<c_int>> {
    let limit = timeout.map(|t| libc::timespec {
        tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: t.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `set` and `limit` outlive the call; no siginfo is asked for.
    match unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), limit) } {
        -1 => match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(None),
            e => Err(e),
        },
        number => Ok(Some(number)),
    }
}

/// Whether `signal` is ignored, as `nohup` leaves SIGHUP.
pub(super) fn is_ignored(signal: Signal) -> bool {
    // SAFETY: a `sigaction` of zeros is a valid value; with a null new action the call only reads.
    unsafe {
        let mut old = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(signal as c_int, std::ptr::null(), &raw mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}

/// Puts SIGCHLD back to its default: ignored, it would make the kernel reap children before we see them.
pub(super) fn keep_children() {
    // SAFETY: a disposition without a handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// A process by descriptor: a signal through it cannot reach a later process with the same number.
pub(super) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: a call on numbers; the result is a new descriptor that nobody else owns.
    unsafe {
        match libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(RawFd::try_from(fd).expect("a descriptor fits its type"))),
        }
    }
}

/// Sends `signal` to the process behind `pidfd`.
pub(super) fn pidfd_send(pidfd: &OwnedFd, signal: Signal) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo means what kill(2) would send.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal as c_int, info, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether this kernel refuses to execute a file that somebody holds open for writing.
///
/// An empty memory file is executed while we hold it open for writing: ETXTBSY (refused because of the writer) comes
/// before ENOEXEC (refused because it is empty), so the answer tells which rule this kernel has. It cannot succeed.
pub(super) fn exec_respects_writers() -> bool {
    exec_empty_file(true) == Some(libc::ETXTBSY)
}

/// What the kernel answers to executing an empty memory file, with or without a writer.
fn exec_empty_file(writer: bool) -> Option<c_int> {
    /// `MFD_EXEC` (Linux 6.3): executable in spite of `vm.memfd_noexec=1`; older kernels answer EINVAL.
    const MFD_EXEC: libc::c_uint = 0x10;
    let open = |flags| {
        // SAFETY: the name is a NUL-terminated constant; the result is a new descriptor of our own.
        match unsafe { libc::memfd_create(c"probe".as_ptr(), libc::MFD_CLOEXEC | flags) } {
            -1 => None,
            // SAFETY: as above.
            fd => Some(unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    };
    let file = open(MFD_EXEC).or_else(|| open(0))?;
    // The descriptor of memfd_create does not count as a writer; one that is opened by name does.
    let by_name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let _writer = writer.then(|| OpenOptions::new().write(true).open(by_name)).transpose().ok()?;
    let nothing: [*const c_char; 1] = [std::ptr::null()];
    // SAFETY: the path is empty and constant, both vectors end with a null pointer.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            nothing.as_ptr(),
            nothing.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    (answer == -1).then(|| io::Error::last_os_error().raw_os_error()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_an_exec_depends_on_the_writer_alone() {
        // Holds on every Linux that denies writing to what runs; a kernel that does not cannot run the other tests.
        assert_eq!(exec_empty_file(true), Some(libc::ETXTBSY));
        assert_eq!(exec_empty_file(false), Some(libc::ENOEXEC));
    }

    #[test]
    fn a_pid_is_written_in_decimal() {
        let mut slot = [0; LISTEN_PID.len() + 12];
        write_pid(&mut slot);
        let text: String =
            slot[LISTEN_PID.len()..].iter().take_while(|b| **b != 0).map(|b| *b as char).collect();
        assert_eq!(text, std::process::id().to_string());
    }
}
