//! What flags change between two builds of one program, against what `readelf` says of the same files.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::path::Path;
use std::process::Command;

use gobinary::{Binary, Comparison, compare};
use support::{Go, Program, Variant, has_gcc};

fn compared(a: &Path, b: &Path) -> Comparison {
    let [a, b] = [a, b].map(|path| std::fs::read(path).unwrap());
    compare(&Binary::parse(&a).unwrap(), &Binary::parse(&b).unwrap())
}

fn measure(found: &Comparison, id: &str) -> (u64, u64) {
    let measure = found.measures.iter().find(|m| m.id == id).unwrap();
    (measure.a.unwrap(), measure.b.unwrap())
}

/// (name, bytes) of the sections that take bytes of the file, as `readelf -SW` has them.
fn sections(binary: &Path) -> Option<Vec<(String, u64)>> {
    let output = Command::new("readelf").arg("-SW").arg(binary).output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().filter_map(|line| line.split_once(']')).filter(|row| row.0.contains('['));
    let fields = rows.map(|row| row.1.split_whitespace().collect::<Vec<_>>());
    let held = fields.filter(|f| f.len() > 5 && !matches!(f[0], "NULL" | "Name"));
    let size = |f: &[&str]| if f[1] == "NOBITS" { 0 } else { u64::from_str_radix(f[4], 16).unwrap() };
    Some(held.map(|f| (f[0].to_owned(), size(&f))).collect())
}

#[test]
fn stripping_takes_symbols_and_debug_data_and_no_code() {
    let Some(go) = Go::any("stripping_takes_symbols_and_debug_data_and_no_code") else { return };
    let program = Program::new();
    let (plain, stripped) = (program.build(&go, support::PLAIN), program.build(&go, support::STRIPPED));
    let found = compared(&plain, &stripped);
    assert!(found.same_program);
    assert!(found.functions.as_ref().unwrap().only_a == 0 && found.functions.as_ref().unwrap().resized == 0);
    let (symbols, none) = measure(&found, "symbol-bytes");
    assert!(symbols > 0 && none == 0);
    assert_eq!(measure(&found, "debug-bytes").1, 0);
    let (code, same) = measure(&found, "code-bytes");
    assert_eq!(code, same);
    let (table, kept) = measure(&found, "table-bytes");
    assert_eq!(table, kept, "no flag takes the runtime's table");
    assert!(
        found.settings.iter().any(|c| c.name == "-ldflags" && c.b.as_deref() == Some("-s -w")),
        "{found:?}"
    );
    let Some(of_plain) = sections(&plain) else { return support::skip("section sizes", "readelf") };
    let of_stripped = sections(&stripped).unwrap();
    let counts = measure(&found, "sections");
    assert_eq!(counts, (of_plain.len() as u64, of_stripped.len() as u64));
    for section in &found.sections {
        let size = |all: &[(String, u64)]| all.iter().find(|s| s.0 == section.name).map(|s| s.1);
        assert_eq!((size(&of_plain), size(&of_stripped)), (section.a, section.b), "{}", section.name);
    }
    assert!(found.sections.iter().any(|s| s.name == ".symtab" && s.b.is_none()));
}

#[test]
fn trimpath_takes_the_paths_of_the_machine() {
    let Some(go) = Go::any("trimpath_takes_the_paths_of_the_machine") else { return };
    let program = Program::new();
    let trimmed = Variant { name: "trimmed", flags: &["-trimpath"], ..support::PLAIN };
    let found = compared(&program.build(&go, support::PLAIN), &program.build(&go, trimmed));
    let (absolute, none) = measure(&found, "absolute-paths");
    assert!(absolute > 100 && none == 0, "{absolute} and {none}");
    assert!(found.checks.iter().any(|c| c.name == "trimpath" && c.b.as_deref() == Some("holds")));
    assert!(found.settings.iter().any(|c| c.name == "-trimpath" && c.a.is_none()));
}

#[test]
fn cgo_brings_unwind_tables_and_slots_to_redirect() {
    let test = "cgo_brings_unwind_tables_and_slots_to_redirect";
    let Some(go) = Go::any(test) else { return };
    if !has_gcc(test) {
        return;
    }
    let program = Program::new();
    let pure = Variant { cgo: false, environment: &[], ..support::PLAIN };
    let found = compared(&program.build(&go, pure), &program.build(&go, support::CGO));
    assert!(!found.same_program && !found.twins, "another package");
    let (none, tables) = measure(&found, "eh-frame-bytes");
    assert!(none == 0 && tables > 0);
    let (none, imports) = measure(&found, "imports");
    assert!(none == 0 && imports > 0);
    assert_eq!(measure(&found, "libraries").0, 0);
    assert!(found.functions.unwrap().only_b > 0);
}

/// A build compared with itself differs in nothing; gadgets are there even in a pure Go program.
#[test]
fn a_build_is_its_own_twin() {
    let Some(go) = Go::any("a_build_is_its_own_twin") else { return };
    let program = Program::new();
    let path = program.build(&go, support::PLAIN);
    let found = compared(&path, &path);
    assert!(found.twins && found.same_program);
    assert!(found.sections.is_empty() && found.settings.is_empty() && found.checks.is_empty());
    assert!(found.measures.iter().all(|m| m.a == m.b));
    let (places, density) = (measure(&found, "gadgets").0, measure(&found, "gadgets-per-kib-hundredths").0);
    assert!(places > 10_000 && density > 1000, "{places} places, {density} hundredths");
}
