//! Real Go services, patched under load and back again, with every answer checked.
#![allow(clippy::panic, reason = "a test says what it expects")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

use goproc::{Process, seam};
use livepatch::{Error, Options, Patch};
use support::{Builds, Service};

const DIGEST: [u8; 32] = [7; 32];

fn options() -> Options {
    Options { attempts: 2000, ..Options::default() }
}

/// Old answers, the patch, new answers, the rollback, old answers; twice, because what is placed is used again.
fn there_and_back(kind: &str) {
    for go in support::toolchains() {
        let builds = Builds::of(&go, kind);
        let patch = builds.patch().unwrap_or_else(|e| panic!("{kind}, {}: {e}", go.display()));
        let mut service = Service::start(&builds.old);
        service.expect("old");
        let process = Process::open(service.pid()).expect("our child");
        for round in 0..2 {
            service.expect("any");
            let stop = livepatch::apply(&process, &patch, &DIGEST, options()).expect("a safe moment comes");
            eprintln!("{kind}, {} round {round}: {stop:?}", patch.head.release);
            service.expect("new");
            let status = livepatch::status(&process).expect("readable").expect("it carries the patch");
            assert!(status.active && status.placed == status.switches && status.digest == "07".repeat(32));
            service.expect("any");
            livepatch::rollback(&process, options()).expect("a safe moment comes");
            service.expect("old");
            assert!(!livepatch::status(&process).expect("readable").expect("the record stays").active);
        }
    }
}

#[test]
fn a_body() {
    there_and_back("body");
}

#[test]
fn what_was_inlined_into_its_callers() {
    there_and_back("inlined");
}

#[test]
fn a_nil_pointer_is_recovered_in_new_code() {
    there_and_back("recovered");
}

#[test]
fn new_types_and_variables_live_through_the_collector() {
    there_and_back("state");
}

#[test]
fn methods_generics_closures_select_and_jump_tables() {
    there_and_back("shapes");
}

#[test]
fn a_signature_with_its_callers() {
    there_and_back("signature");
}

#[test]
fn stacks_grow_in_new_code() {
    there_and_back("grown");
}

#[test]
fn the_file_holds_what_was_built() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let patch = Builds::of(&go, "body").patch().expect("a patch");
    let file = patch.encode().expect("written");
    assert_eq!(Patch::decode(&file).expect("read"), patch);
    for cut in [0, 5, 17, 21, 100, file.len() / 2, file.len() - 1] {
        assert!(matches!(Patch::decode(&file[..cut]), Err(Error::NotPatch { .. })), "{cut}");
    }
    let names: Vec<_> = patch.head.functions.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["main.answer"], "exactly the function that differs");
    eprintln!("{} bytes", file.len());
}

#[test]
fn a_patch_for_another_build_is_refused_before_the_process_is_touched() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let (builds, other) = (Builds::of(&go, "body"), Builds::of(&go, "inlined"));
    let mut service = Service::start(&other.old);
    let process = Process::open(service.pid()).expect("our child");
    let before = process.maps().expect("mappings").len();
    let refused = livepatch::apply(&process, &builds.patch().expect("a patch"), &DIGEST, options());
    assert!(matches!(refused, Err(Error::OtherBuild { .. })), "{refused:?}");
    assert!(
        process.maps().expect("mappings").len().abs_diff(before) < 8,
        "nothing was mapped but by the service itself"
    );
    assert!(livepatch::status(&process).expect("readable").is_none());
    service.expect("old");
}

/// The victim of the next test: this program again, which dies before its nth system call on the target.
#[test]
fn victim() {
    let (Ok(pid), Ok(calls), Ok(file)) = (
        std::env::var("LIVEPATCH_TARGET"),
        std::env::var("LIVEPATCH_CALLS"),
        std::env::var("LIVEPATCH_FILE"),
    ) else {
        return;
    };
    let patch = Patch::decode(&std::fs::read(file).expect("a file")).expect("a patch");
    let process = Process::open(pid.parse().expect("a number")).expect("it may be traced");
    seam::die_after(calls.parse().expect("a number"));
    livepatch::apply(&process, &patch, &DIGEST, options()).expect("a safe moment comes");
    println!("made {}", seam::made());
}

/// Killed anywhere in an apply, we leave a service that answers as before or as after, and that can still be patched.
#[test]
fn a_service_survives_our_death_between_any_two_system_calls() {
    use std::os::unix::process::ExitStatusExt as _;
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let builds = Builds::of(&go, "inlined");
    let file = builds.folder().join("patch");
    std::fs::write(&file, builds.patch().expect("a patch").encode().expect("written")).expect("written");
    let patch = builds.patch().expect("a patch");
    let mut service = Service::start(&builds.old);
    service.expect("any");
    let (mut calls, mut deaths, mut after) = (0_u64, 0, 0);
    loop {
        let status = std::process::Command::new(std::env::current_exe().expect("this test has a file"))
            .args(["--exact", "victim", "--quiet"])
            .env("LIVEPATCH_TARGET", service.pid().to_string())
            .env("LIVEPATCH_CALLS", calls.to_string())
            .env("LIVEPATCH_FILE", &file)
            .stdout(std::process::Stdio::null())
            .status()
            .expect("this test can be run");
        service.expect("any");
        let process = Process::open(service.pid()).expect("it lives");
        let active = livepatch::status(&process).expect("readable").is_some_and(|s| s.active);
        service.expect(if active { "new" } else { "old" });
        if active {
            after += 1;
            service.expect("any");
            livepatch::rollback(&process, options()).expect("a safe moment comes");
        }
        match status.signal() {
            Some(9) => deaths += 1,
            _ => break assert!(status.success() && active, "the victim that lived patched the service"),
        }
        // Each call of the mapping and the loan in turn, then in growing steps through the reading of the stacks.
        calls += if calls < 200 { 1 } else { 1 + calls / 16 };
    }
    eprintln!("{deaths} deaths, {after} of them after the switch");
    assert!(deaths >= 200, "{deaths}");
    drop(patch);
}
