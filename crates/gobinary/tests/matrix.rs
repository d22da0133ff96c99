//! A service of ten thousand functions, built by each release in each shape: what `go tool nm` knows as Go code is found
//! at the same address, and a stripped build gives the same list as its twin with symbols.
//!
//! All seven releases where peers are required or releases are named; a sample otherwise.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::HashMap;
use std::path::Path;

use gobinary::{Binary, Type};
use support::nm::{Symbols, is_c, is_end, is_named};
use support::{Go, Program, Variant, has_gcc};

/// Releases of Go 1 that the matrix must have where peers are required.
const RELEASES: std::ops::RangeInclusive<u32> = 21..=27;
/// The shape with symbols, and its stripped twin.
const SHAPES: [(Variant, Variant); 4] = [
    (support::PLAIN, support::STRIPPED),
    (support::PIE, support::STRIPPED_PIE),
    (in_service(support::CGO), in_service(support::STRIPPED_CGO)),
    (in_service(support::SHARED), in_service(support::STRIPPED_SHARED)),
];

/// The service comes to C by the resolver of `net`, not by code of its own.
const fn in_service(variant: Variant) -> Variant {
    Variant { cgo: true, ..variant }
}

/// (entry, size, name, file, line, frame, inlined calls).
type Row = (u64, u64, String, String, u32, u32, Vec<String>);

struct Read {
    functions: Vec<Row>,
    types: Vec<Type>,
    text: std::ops::Range<u64>,
}

fn read(path: &Path, told: &str) -> Read {
    let bytes = std::fs::read(path).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let module = binary.module_data().unwrap();
    assert_eq!(module.layout_from, "release", "{told}");
    let mut details = binary.details().unwrap();
    let functions = binary.functions().unwrap().into_iter().map(|f| {
        let detail = details.of(&f).unwrap();
        let inlined = detail.inlined.into_iter().map(|call| call.name.into_owned()).collect();
        (f.entry, f.size, f.name.into_owned(), f.file.into_owned(), f.line, detail.frame, inlined)
    });
    Read {
        functions: functions.collect(),
        types: binary.types().unwrap().into_parts().0,
        text: module.field("text").unwrap()..module.field("etext").unwrap(),
    }
}

/// Every symbol of Go code within the text has a function of that name at its address.
fn nothing_is_missing(told: &str, found: &Read, symbols: &Symbols, cgo: bool) {
    let by: HashMap<u64, &str> = found.functions.iter().map(|row| (row.0, row.2.as_str())).collect();
    let mut compared = 0;
    for (address, names) in symbols.range(found.text.clone()) {
        for (name, _) in names.iter().filter(|(name, _)| !(is_end(name) || cgo && is_c(name))) {
            let ours = by.get(address).copied().unwrap_or_default();
            // Two symbols may stand for one function: an assembly function and the wrapper that was not needed.
            let same = is_named(name, ours) || names.iter().any(|(other, _)| is_named(other, ours));
            assert!(same, "{told}: {address:#x} is {ours:?}, nm says {name}");
            compared += 1;
        }
    }
    assert!(compared > 5000, "{told}: only {compared} symbols");
}

/// Name, size, fields, methods.
type Shape = (String, u64, Vec<(String, u64)>, usize);

/// Types are compared without addresses: stripping moves the sections.
fn told_types(read: &Read) -> Vec<Shape> {
    let row = |t: &Type| {
        let fields = t.fields.iter().map(|f| (f.name.clone(), f.offset)).collect();
        (t.qualified(), t.size, fields, t.methods.len())
    };
    read.types.iter().map(row).collect()
}

#[test]
fn every_release_in_every_shape() {
    let test = "every_release_in_every_shape";
    let gcc = has_gcc(test);
    let program = Program::new();
    let toolchains = Go::all(test);
    if support::peers_are_required() {
        let missing: Vec<u32> =
            RELEASES.filter(|minor| toolchains.iter().all(|go| go.minor() != *minor)).collect();
        assert!(missing.is_empty(), "no toolchain of Go 1.{missing:?}");
    }
    for go in toolchains {
        for (whole, stripped) in SHAPES {
            if whole.cgo && !gcc {
                continue;
            }
            let told = format!("{} {}", go.version, whole.name);
            let path = program.build_package(&go, whole, "server");
            let (with, without) =
                (read(&path, &told), read(&program.build_package(&go, stripped, "server"), &told));
            nothing_is_missing(&told, &with, &support::nm::symbols(&go, &path), whole.cgo);
            assert!(with.functions == without.functions, "{told}: the stripped twin differs");
            assert_eq!(told_types(&with), told_types(&without), "{told}");
            assert!(with.types.len() > 3000, "{told}: {} types", with.types.len());
            eprintln!(
                "{told}: {} functions, {} types, and the same stripped",
                with.functions.len(),
                with.types.len()
            );
        }
    }
}
