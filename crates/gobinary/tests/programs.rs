//! Programs that others built: the tools of every Go release at hand, well-known servers of the rig, and whatever
//! `CUSTODY_GO_PROGRAMS` names (executables separated by colons). Everything is read of each, without a flag.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gobinary::{Binary, SymbolKind};
use support::Go;

fn tools(go: &Go) -> Vec<PathBuf> {
    let bin = go.binary.parent().unwrap();
    let mut found: Vec<PathBuf> = ["go", "gofmt"].map(|name| bin.join(name)).into();
    let platforms = std::fs::read_dir(bin.join("../pkg/tool")).into_iter().flatten().flatten();
    let files =
        platforms.flat_map(|platform| std::fs::read_dir(platform.path()).into_iter().flatten().flatten());
    found.extend(files.map(|file| file.path()));
    found.retain(|path| path.is_file());
    found
}

fn is_read_whole(path: &Path) {
    let told = path.display();
    let bytes = std::fs::read(path).unwrap();
    let binary = Binary::parse(&bytes).unwrap_or_else(|error| panic!("{told}: {error}"));
    let facts = binary.inspect();
    assert!(
        facts.go.is_some() && facts.function_table_error.is_none(),
        "{told}: {:?}",
        facts.function_table_error
    );
    let functions = binary.functions().unwrap();
    assert!(functions.len() > 1000, "{told}: {} functions", functions.len());
    let module = binary.module_data().unwrap_or_else(|error| panic!("{told}: {error}"));
    assert_eq!(module.layout_from, "release", "{told}");
    let mut details = binary.details().unwrap();
    let mut inlined = 0;
    for function in &functions {
        let detail =
            details.of(function).unwrap_or_else(|error| panic!("{told}: {}: {error}", function.name));
        inlined += detail.inlined.len();
    }
    assert!(inlined > 1000, "{told}: {inlined} inlined calls");
    let types = binary.types().unwrap();
    assert!(types.all().len() > 300 && !types.itabs().is_empty(), "{told}: {} types", types.all().len());
    let led =
        types.all().iter().flat_map(|t| t.fields.iter().map(|f| f.descriptor).chain(t.element).chain(t.key));
    let lost = led.clone().filter(|&address| types.at(address).is_none()).count();
    assert_eq!(lost, 0, "{told}: of {} references to types", led.count());
    binary.imports().unwrap();
    // Where there are symbols, every function has one at its place.
    let symbols = binary.symbols().unwrap();
    let code = symbols.iter().filter(|s| s.kind == SymbolKind::Code && !s.dynamic);
    let code: BTreeMap<u64, &str> = code.map(|s| (s.address, s.name.as_ref())).collect();
    if !code.is_empty() {
        let lost = functions.iter().find(|f| !code.contains_key(&f.entry));
        assert!(lost.is_none(), "{told}: no symbol at {lost:?}");
    }
}

#[test]
fn tools_of_go_are_read_whole() {
    let mut read = 0;
    for go in Go::all("tools_of_go_are_read_whole") {
        for path in tools(&go) {
            is_read_whole(&path);
            read += 1;
        }
    }
    eprintln!("{read} programs read");
}

/// Executables in the programs' folders of the rig.
fn well_known() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(support::rig().join("programs")).into_iter().flatten().flatten();
    let places = folders.flat_map(|folder| ["usr/bin", "usr/sbin", "bin"].map(|bin| folder.path().join(bin)));
    let files = places.flat_map(|place| std::fs::read_dir(place).into_iter().flatten().flatten());
    files.map(|file| file.path()).filter(|path| path.is_file()).collect()
}

#[test]
fn well_known_programs_are_read_whole() {
    let test = "well_known_programs_are_read_whole";
    let named = std::env::var("CUSTODY_GO_PROGRAMS").unwrap_or_default();
    let named = named.split(':').filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut all = well_known();
    if all.is_empty() {
        support::skip(test, "programs of others (cargo xtask rig fetches some)");
    }
    all.extend(named);
    for path in &all {
        is_read_whole(path);
        eprintln!("{} was read", path.display());
    }
}
