//! Every kind of change, in every shape of binary, on every release of Go: applied under load, checked kind by kind, taken
//! back, checked again.
//!
//! A run of the tests takes a sample: all kinds on the newest release in four shapes, and on the one before in the plain
//! shape. With `CUSTODY_SOAK` it takes the whole matrix.
#![allow(clippy::panic, reason = "a test says what it expects")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use goproc::Process;
use livepatch::Options;
use support::Service;
use support::pairs::{Pair, Shape, kinds, names};

const DIGEST: [u8; 32] = [7; 32];

fn options() -> Options {
    Options { attempts: 2000, ..Options::default() }
}

/// What the service says of each kind: how many answers it gave, how many were wrong, and one of these.
fn counts(service: &mut Service, mode: &str) -> BTreeMap<String, (u64, u64, String)> {
    let mut found = BTreeMap::new();
    let mut line = service.ask(&format!("expect {mode}"));
    while line != "done" {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (name, calls, wrong) = (next(), next(), next());
        found.insert(name, (calls.parse().expect("a number"), wrong.parse().expect("a number"), next()));
        line = service.line();
    }
    found
}

/// Every kind has answered since, and none ever wrongly; and one more answer of each is the one that is expected.
fn expect(service: &mut Service, mode: &str, label: &str, before: &mut BTreeMap<String, (u64, u64, String)>) {
    let now = counts(service, mode);
    let mut failed = Vec::new();
    for name in names() {
        let (calls, wrong, complaint) = now.get(&name).unwrap_or_else(|| panic!("{name} is not there"));
        let earlier = before.get(&name).map_or(0, |(calls, _, _)| *calls);
        if *wrong > 0 || *calls < earlier + 40 {
            failed.push(format!("{name}: {wrong} of {} answers wrong: {complaint}", calls - earlier));
        }
        if mode != "any" {
            let answer = service.ask(&format!("answer {name} 5"));
            if answer != format!("{mode} 9") {
                failed.push(format!("{name}: answered {answer:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{label}, {mode}:\n{}", failed.join("\n"));
    *before = now;
}

fn all_kinds(go: &Path, shape: Shape) {
    let pair = Pair::of(go, shape, &kinds(shape, "old"), &kinds(shape, "new"));
    let patch = pair.patch().unwrap_or_else(|e| panic!("{shape:?}, {}: {e}", go.display()));
    let label = format!("{} {shape:?}", patch.head.release);
    let mut service = Service::start(&pair.old);
    let mut seen = BTreeMap::new();
    expect(&mut service, "old", &label, &mut seen);
    let process = Process::open(service.pid()).expect("our child");
    // Twice: the second time finds what the first has placed.
    for round in 0..2 {
        expect(&mut service, "any", &label, &mut seen);
        let stop = livepatch::apply(&process, &patch, &DIGEST, options()).expect("a safe moment comes");
        eprintln!("{label}, round {round}: {} functions, {stop:?}", patch.head.functions.len());
        expect(&mut service, "new", &label, &mut seen);
        expect(&mut service, "any", &label, &mut seen);
        let stop = livepatch::rollback(&process, options()).expect("a safe moment comes");
        eprintln!("{label}, round {round}: {} goroutines inside at the rollback", stop.inside);
        expect(&mut service, "old", &label, &mut seen);
    }
}

/// `some` releases, or all of them.
fn in_shape(shape: Shape, some: usize) {
    let all = std::env::var_os("CUSTODY_SOAK").is_some();
    for go in support::toolchains().iter().take(if all { usize::MAX } else { some }) {
        all_kinds(go, shape);
    }
}

#[test]
fn plain() {
    in_shape(Shape::Plain, 2);
}

#[test]
fn trimmed() {
    in_shape(Shape::Trimmed, 0);
}

#[test]
fn position_independent() {
    in_shape(Shape::Pie, 1);
}

#[test]
fn with_c_code() {
    in_shape(Shape::Cgo, 1);
}

#[test]
fn position_independent_with_c_code() {
    in_shape(Shape::PieCgo, 0);
}

#[test]
fn stripped() {
    in_shape(Shape::Stripped, 1);
}

#[test]
fn position_independent_and_stripped() {
    in_shape(Shape::PieStripped, 0);
}
