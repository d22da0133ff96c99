//! The function table against the judges of the Go toolchain: `go tool nm` for names, addresses and sizes, `go tool
//! addr2line` for source lines; and a stripped build against its unstripped twin.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use gobinary::Binary;
use support::nm::{Symbols, is_c, is_end, is_marker, is_named};
use support::{Go, Program, Variant, has_gcc};

/// (entry, size, name, file, line), owned.
type Row = (u64, u64, String, String, u32);

fn functions(binary: &Path) -> Vec<Row> {
    let bytes = std::fs::read(binary).unwrap();
    let functions = Binary::parse(&bytes).unwrap().functions().unwrap();
    let rows = functions.into_iter();
    rows.map(|f| (f.entry, f.size, f.name.into_owned(), f.file.into_owned(), f.line)).collect()
}

/// The place that `go tool addr2line` gives for each entry: `file:line`.
fn places(go: &Go, binary: &Path, rows: &[Row]) -> Vec<String> {
    let mut command = go.command(binary.parent().unwrap());
    command.args(["tool", "addr2line"]).arg(binary).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let asked: String = rows.iter().map(|r| format!("{:#x}\n", r.0)).collect();
    let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().skip(1).step_by(2).map(str::to_owned).collect()
}

fn agrees_with_go(go: &Go, program: &Program, variant: Variant) {
    let binary = program.build(go, variant);
    let told = format!("{} {}", go.version, variant.name);
    let rows = functions(&binary);
    assert!(rows.len() > 1000, "{told}: only {} functions", rows.len());
    let symbols = support::nm::symbols(go, &binary);
    let sizeless = variant.environment.iter().any(|e| matches!(e.1, "windows" | "darwin"));
    for (entry, size, name, ..) in &rows {
        let here = symbols.get(entry).map(Vec::as_slice).unwrap_or_default();
        let same = here.iter().find(|s| is_named(&s.0, name));
        assert!(same.is_some(), "{told}: {entry:#x} is {name}, nm says {here:?}");
        let same = same.unwrap();
        // Symbols of COFF and Mach-O have no size: nm gives the distance to the next one there.
        let fits = if sizeless { *size <= same.1 && *size > 0 } else { *size == same.1 };
        assert!(fits || is_marker(name), "{told}: {name} has size {size}, nm says {}", same.1);
    }
    complete(&told, &rows, &symbols, variant);
    let places = places(go, &binary, &rows);
    assert_eq!(places.len(), rows.len(), "{told}");
    if places.iter().all(|place| place == "?:0") {
        eprintln!("SKIPPED source lines of {told}: its addr2line cannot read its own executable");
        return;
    }
    for (row, place) in rows.iter().zip(places) {
        assert!(
            format!("{}:{}", row.3, row.4) == place || is_marker(&row.2),
            "{told}: {row:?}, addr2line says {place}"
        );
    }
}

/// Nothing that nm knows as Go code is missing: between the first and the last function only C code may be.
fn complete(told: &str, rows: &[Row], symbols: &Symbols, variant: Variant) {
    let entries: BTreeSet<u64> = rows.iter().map(|r| r.0).collect();
    let missing =
        symbols.iter().filter(|(address, _)| !entries.contains(address)).flat_map(|(_, names)| names);
    let missing: Vec<_> = missing.filter(|s| !(is_end(&s.0) || variant.cgo && is_c(&s.0))).collect();
    assert!(missing.is_empty(), "{told}: not in the table: {missing:?}");
}

#[test]
fn they_are_those_of_nm_and_addr2line() {
    let test = "they_are_those_of_nm_and_addr2line";
    let gcc = has_gcc(test);
    let program = Program::new();
    for go in Go::all(test) {
        for variant in
            [support::PLAIN, support::PIE, support::WINDOWS, support::DARWIN, support::CGO, support::CGO_PIE]
        {
            if gcc || !variant.cgo {
                agrees_with_go(&go, &program, variant);
            }
        }
    }
}

#[test]
fn stripping_hides_none_of_them() {
    let test = "stripping_hides_none_of_them";
    let gcc = has_gcc(test);
    let program = Program::new();
    let pairs = [
        (support::PLAIN, support::STRIPPED),
        (support::PIE, support::STRIPPED_PIE),
        (support::WINDOWS, support::STRIPPED_WINDOWS),
        (support::DARWIN, support::STRIPPED_DARWIN),
        (support::CGO, support::STRIPPED_CGO),
        (support::CGO_PIE, support::STRIPPED_CGO_PIE),
    ];
    for go in Go::all(test) {
        for (whole, stripped) in pairs {
            if gcc || !whole.cgo {
                let twins = [whole, stripped].map(|v| functions(&program.build(&go, v)));
                assert_eq!(twins[0], twins[1], "{} {}", go.version, stripped.name);
            }
        }
    }
}

/// Four-byte pointers in either byte order; on mips code advances in steps of four.
#[test]
fn other_architectures_read_the_same() {
    let Some(go) = Go::any("other_architectures_read_the_same") else { return };
    let program = Program::new();
    let variants = [
        Variant { name: "386", environment: &[("GOARCH", "386")], ..support::PLAIN },
        Variant { name: "mips", environment: &[("GOARCH", "mips")], ..support::PLAIN },
    ];
    for variant in variants {
        agrees_with_go(&go, &program, variant);
    }
}
