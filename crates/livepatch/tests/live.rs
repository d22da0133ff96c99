//! Real Go services, patched under load and back again, with every answer checked.
#![allow(clippy::panic, reason = "a test says what it expects")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

use goproc::Process;
use livepatch::{Error, Options, Patch};
use support::{Builds, Service};

const DIGEST: [u8; 32] = [7; 32];

fn options() -> Options {
    Options { attempts: 2000, ..Options::default() }
}

/// Old answers, the patch, new answers, the rollback, old answers; twice, because what is placed is used again.
fn there_and_back(kind: &str) {
    for go in support::toolchains().into_iter().take(3) {
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
