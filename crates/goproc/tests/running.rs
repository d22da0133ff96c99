//! A real Go program under load, looked at from outside.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use goproc::call::{self, Lender};
use goproc::{
    Executable, GoRuntime, Goroutine, Machine, Memory as _, Modules, Position, Process, Tracer, seam,
};

const PATIENCE: Duration = Duration::from_secs(5);

struct Looked {
    executable: Vec<u8>,
    process: Process,
}

impl Looked {
    fn at(pid: i32) -> Self {
        let process = Process::open(pid).expect("our own child may be opened");
        Self { executable: process.executable().expect("its file is there"), process }
    }

    fn runtime(&self) -> GoRuntime {
        GoRuntime::of(&Executable::parse(&self.executable).expect("an executable"))
            .expect("it is not stripped")
    }
}

/// One stop: every goroutine with the names on its stack, or nothing if one was between two states.
fn walk(
    looked: &Looked,
    runtime: &GoRuntime,
    modules: &Modules,
    tracer: &mut Tracer<'_>,
) -> Option<Vec<Vec<String>>> {
    tracer.stop(PATIENCE).expect("all threads stop");
    let mut threads: BTreeMap<i32, (u64, u64)> = tracer
        .threads()
        .map(|thread| (thread, tracer.registers(thread).expect("it is stopped")))
        .map(|(thread, registers)| (thread, (registers.rip, registers.rsp)))
        .collect();
    let machines: BTreeMap<u64, Machine> =
        runtime.machines(&looked.process).expect("machines").into_iter().map(|m| (m.address, m)).collect();
    for machine in machines.values() {
        let Some(state) = threads.get_mut(&machine.thread) else { continue };
        if let Some(interrupted) =
            machine.interrupted(&looked.process, state.1).expect("a frame of the kernel")
        {
            *state = interrupted;
        }
    }
    let goroutines = runtime.goroutines(&looked.process).expect("goroutines");
    let stacks = goroutines.iter().map(|goroutine: &Goroutine| {
        let Position::At { pc, sp } = goroutine.position(&machines, &threads) else { return None };
        let frames = goroutine.unwind(&looked.process, modules, pc, sp).expect("its stack is there")?;
        Some(frames.iter().map(|f| modules.find(f.entry).expect("a function").1.name.to_owned()).collect())
    });
    let stacks = stacks.collect();
    tracer.go_on().expect("all threads go on");
    stacks
}

#[test]
fn every_goroutine_is_unwound_while_threads_come_and_go() {
    let Some(go) = support::go() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = support::Program::start(&go, folder.path());
    let looked = Looked::at(program.pid());
    let runtime = looked.runtime();
    let modules = runtime.modules(&looked.process).expect("function tables");
    let mut tracer = Tracer::seize(&looked.process).expect("it may be traced");
    let mut whole = 0;
    for _ in 0..200 {
        let Some(stacks) = walk(&looked, &runtime, &modules, &mut tracer) else { continue };
        whole += 1;
        let parked = stacks.iter().filter(|s| s.iter().filter(|n| *n == "main.parked").count() == 10).count();
        assert_eq!(parked, 50, "each of them stands ten deep in one function");
        assert!(stacks.iter().all(|s| s.last().is_some_and(|n| n == "runtime.goexit")));
        assert_eq!(stacks.iter().filter(|s| s.iter().any(|n| n == "main.main")).count(), 1);
    }
    tracer.release().expect("all are let go");
    program.assert_well();
    assert!(whole >= 100, "{whole} of 200 stops found every goroutine settled");
}

fn lent_mapping(looked: &Looked) -> goproc::Result<u64> {
    const ANONYMOUS_PRIVATE: u64 = 0x22;
    let executable = Executable::parse(&looked.executable)?;
    let text = executable.segments()?.into_iter().find(|s| s.executable).expect("code");
    let loan = call::place(text.bytes, text.address).expect("padding");
    let machines = looked.runtime().machines(&looked.process)?;
    for machine in machines.iter().filter(|m| m.thread > 0).cycle().take(1000) {
        match Lender::borrow(&looked.process, machine.thread, machine.scheduler_stack, loan) {
            Ok(mut lender) => {
                let pid = lender.call(39, [0; 6])?;
                assert_eq!(pid, looked.process.pid().unsigned_abs().into(), "getpid, made over there");
                let address = lender.call(9, [0, 8192, 1, ANONYMOUS_PRIVATE, u64::MAX, 0])?;
                lender.give_back()?;
                return Ok(address);
            }
            Err(goproc::Error::NoDonor | goproc::Error::Gone { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Err(goproc::Error::NoDonor)
}

#[test]
fn a_call_is_lent_and_what_is_read_only_there_is_written() {
    let Some(go) = support::go() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = support::Program::start(&go, folder.path());
    let looked = Looked::at(program.pid());
    for _ in 0..50 {
        let address = lent_mapping(&looked).expect("an idle thread makes two calls");
        let maps = looked.process.maps().expect("mappings");
        let mapping = maps.iter().find(|m| (m.start..m.end).contains(&address)).expect("it was mapped");
        assert!(!mapping.is_writable());
        assert!(looked.process.write(address, b"no").is_err());
        looked.process.write_forced(address, b"yes").expect("we may");
        assert_eq!(looked.process.bytes(address, 3).expect("it can be read"), b"yes");
    }
    program.assert_well();
    let executable = Executable::parse(&looked.executable).expect("an executable");
    let text = executable.segments().expect("segments").into_iter().find(|s| s.executable).expect("code");
    assert_eq!(
        looked.process.bytes(text.address, text.bytes.len() as u64).expect("its code"),
        text.bytes,
        "the loan is gone"
    );
}

/// The victim of the next test: this program again, which dies before its nth system call on the target.
#[test]
fn victim() {
    let (Ok(pid), Ok(calls)) = (std::env::var("GOPROC_TEST_TARGET"), std::env::var("GOPROC_TEST_CALLS"))
    else {
        return;
    };
    let looked = Looked::at(pid.parse().expect("a number"));
    let runtime = looked.runtime();
    let modules = runtime.modules(&looked.process).expect("function tables");
    let before = seam::made();
    seam::die_after(calls.parse().expect("a number"));
    lent_mapping(&looked).expect("a call is lent");
    let mut tracer = Tracer::seize(&looked.process).expect("it may be traced");
    walk(&looked, &runtime, &modules, &mut tracer);
    tracer.release().expect("all are let go");
    assert!(
        seam::made() - before < calls.parse().expect("a number"),
        "the seam was armed beyond the last call"
    );
}

#[test]
fn a_target_survives_our_death_between_any_two_system_calls() {
    use std::os::unix::process::ExitStatusExt as _;
    let Some(go) = support::go() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = support::Program::start(&go, folder.path());
    // Every call of the loan and of the first stop; then in steps through the reading and the letting go.
    let (mut calls, mut deaths) = (0_u64, 0);
    loop {
        let status = Command::new(std::env::current_exe().expect("this test has a file"))
            .args(["--exact", "victim", "--quiet"])
            .env("GOPROC_TEST_TARGET", program.pid().to_string())
            .env("GOPROC_TEST_CALLS", calls.to_string())
            .stdout(std::process::Stdio::null())
            .status()
            .expect("this test can be run");
        program.assert_well();
        match status.signal() {
            Some(9) => deaths += 1,
            _ => break assert!(status.success(), "the victim that lived did its work"),
        }
        calls += if calls < 120 { 1 } else { calls / 8 };
    }
    assert!(deaths > 120, "{deaths} deaths");
}
