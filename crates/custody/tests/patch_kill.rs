//! `custody` is killed between two of its system calls on a service, in turn between each two: the service answers
//! correctly every time, and what is asked of it afterwards works.
//!
//! The real program is stepped from system call to system call (ptrace(2), `PTRACE_SYSCALL`) and gets SIGKILL at the
//! entry to the nth one that looks at or changes the service; the kernel then does not begin it. Each death has a service
//! of its own, so that those in the middle of placing a patch are among them.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;
use support::Home;
use support::patch::{Service, builds};

/// What looks at, steers or changes another process. The first of them is always [`libc::SYS_pidfd_open`].
const CALLS: [libc::c_long; 7] = [
    libc::SYS_pidfd_open,
    libc::SYS_ptrace,
    libc::SYS_wait4,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pwrite64,
    libc::SYS_tgkill,
];

/// How a stepped run ended.
#[derive(PartialEq, Eq, Debug)]
enum End {
    /// Before the call that it was to be killed at.
    Killed,
    /// By itself: there are not so many calls.
    Exited(i32),
}

/// The soak goes through all of them; otherwise each seventh, and each of the last ones, which follow the switch.
fn step() -> u64 {
    if std::env::var_os("CUSTODY_SOAK").is_some() { 1 } else { 7 }
}

/// Runs `custody` and kills it at the entry to the call after `calls` of [`CALLS`].
fn run_until(home: &Home, arguments: &[&str], calls: u64) -> End {
    let mut child = held(home, arguments);
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let (mut made, mut entering, mut is_custody) = (0, true, false);
    let ended = loop {
        let mut deliver = None;
        match waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap() {
            WaitStatus::Exited(_, code) => break End::Exited(code),
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => break End::Killed,
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC) => {
                // The end of the exec comes first.
                (is_custody, entering) = (true, false);
            }
            WaitStatus::PtraceSyscall(_) => {
                let call = ptrace::getregs(pid).unwrap().orig_rax.cast_signed();
                if entering && CALLS.contains(&call) {
                    if made == calls {
                        kill(pid, Signal::SIGKILL).unwrap();
                    }
                    made += u64::from(made > 0 || call == libc::SYS_pidfd_open);
                }
                entering = !entering;
            }
            WaitStatus::Stopped(_, signal) => deliver = Some(signal),
            _ => {}
        }
        match is_custody {
            true => _ = ptrace::syscall(pid, deliver), // it may be dead
            false => _ = ptrace::cont(pid, deliver),
        }
    };
    drop(child);
    ended
}

/// A shell that waits for a line before it becomes `custody`.
fn held(home: &Home, arguments: &[&str]) -> Child {
    let custody = home.command(arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", "read line; exec \"$0\" \"$@\""]).arg(custody.get_program()).args(custody.get_args());
    shell.current_dir(home.folder()).env("CUSTODY_HOME", home.path());
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn status(home: &Home, pid: &str) -> bool {
    let output = home.run(&["patch", "status", "--pid", pid, "--json"], 0);
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["active"] == true
}

/// A home with a signed patch and the service that it is for; nothing without a Go toolchain.
fn home() -> Option<Home> {
    let home = Home::new();
    builds(&home, "payments")?;
    home.run(&["patch", "build", "--old", "payments", "--new", "payments-fixed", "-o", "fix.cpatch"], 0);
    home.run(&["patch", "sign", "fix.cpatch"], 0);
    Some(home)
}

/// What the service says is what the record says.
fn settled(home: &Home, service: &mut Service) -> bool {
    let active = status(home, &service.pid());
    assert_eq!(service.answer(), if active { "NEW" } else { "OLD" });
    active
}

#[test]
fn killed_anywhere_in_an_apply() {
    let Some(home) = home() else { return };
    let (mut calls, mut deaths, mut after) = (0, 0, 0);
    let mut step = step();
    loop {
        let mut service = Service::start(&home.folder().join("payments"));
        let pid = service.pid();
        let apply = ["patch", "apply", "--pid", &pid, "fix.cpatch", "--attempts", "2000"];
        let ended = run_until(&home, &apply, calls);
        let active = settled(&home, &mut service);
        if ended != End::Killed {
            assert_eq!((ended, active), (End::Exited(0), true));
            if step == 1 {
                break;
            }
            (calls, step) = (calls + 1 - step, 1);
            continue;
        }
        (deaths, after) = (deaths + 1, after + u64::from(active));
        home.run(&apply, i32::from(active));
        assert_eq!(service.answer(), "NEW");
        home.run(&["patch", "rollback", "--pid", &pid, "--attempts", "2000"], 0);
        assert_eq!(service.answer(), "OLD");
        calls += step;
    }
    eprintln!("{deaths} deaths in {calls} calls, {after} of them after the switch");
    assert!(deaths > 10 && after > 0, "{deaths} deaths, {after} of them after the switch");
}

#[test]
fn killed_anywhere_in_a_rollback() {
    let Some(home) = home() else { return };
    let (mut calls, mut deaths, mut after) = (0, 0, 0);
    loop {
        let mut service = Service::start(&home.folder().join("payments"));
        let pid = service.pid();
        let apply = ["patch", "apply", "--pid", &pid, "fix.cpatch", "--attempts", "2000"];
        let rollback = ["patch", "rollback", "--pid", &pid, "--attempts", "2000"];
        home.run(&apply, 0);
        let ended = run_until(&home, &rollback, calls);
        let active = settled(&home, &mut service);
        if ended != End::Killed {
            assert_eq!((ended, active), (End::Exited(0), false));
            break;
        }
        (deaths, after) = (deaths + 1, after + u64::from(!active));
        if active {
            home.run(&rollback, 0);
            assert_eq!(service.answer(), "OLD");
        }
        home.run(&apply, 0);
        assert_eq!(service.answer(), "NEW");
        calls += step();
    }
    eprintln!("{deaths} deaths in {calls} calls, {after} of them after the switch");
    assert!(deaths > 10 && after > 0, "{deaths} deaths, {after} of them after the switch");
}
