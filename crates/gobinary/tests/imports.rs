//! Imports against `readelf -rW` and `objdump -p`, and the verdicts against the ways of linking that they speak of.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use gobinary::{Binary, Binding, Imports, Relro, Verdict};
use support::{Go, Program, has_gcc};

fn imports(binary: &Path) -> Imports {
    let bytes = std::fs::read(binary).unwrap();
    Binary::parse(&bytes).unwrap().imports().unwrap()
}

/// Slot → symbol, as readelf tells it.
fn relocations(binary: &Path) -> Option<BTreeMap<u64, String>> {
    let output = Command::new("readelf").arg("-rW").arg(binary).output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let wanted = ["R_X86_64_JUMP_SLO", "R_X86_64_JUMP_SLOT", "R_X86_64_GLOB_DAT", "R_X86_64_64"];
    let named = rows.filter(|f| f.len() > 4 && wanted.contains(&f[2]));
    Some(
        named
            .map(|f| {
                let name = f[4].split('@').next().unwrap().to_owned();
                (u64::from_str_radix(f[0], 16).unwrap(), name)
            })
            .collect(),
    )
}

#[test]
fn pure_go_has_no_table() {
    let test = "pure_go_has_no_table";
    let program = Program::new();
    for go in Go::all(test) {
        for variant in [support::PLAIN, support::STRIPPED_PIE] {
            let found = imports(&program.build(&go, variant));
            assert_eq!((found.verdict, found.imports.len()), (Verdict::NoTable, 0), "{}", go.version);
        }
    }
}

#[test]
fn slots_are_those_of_readelf_and_full_relro_protects_them() {
    let test = "slots_are_those_of_readelf_and_full_relro_protects_them";
    let Some(go) = Go::any(test) else { return };
    if !has_gcc(test) {
        return;
    }
    let program = Program::new();
    let lazy = support::Variant {
        name: "lazy",
        flags: &["-ldflags=-linkmode=external -extldflags=-Wl,-z,lazy,-z,norelro"],
        ..support::CGO
    };
    for variant in [support::CGO, support::CGO_PIE, lazy, support::HARDENED] {
        let path = program.build(&go, variant);
        let found = imports(&path);
        let Some(judge) = relocations(&path) else { return support::skip(test, "readelf") };
        let ours: BTreeMap<_, _> = found.imports.iter().map(|i| (i.slot, i.name.clone())).collect();
        assert_eq!(ours, judge, "{}", variant.name);
        assert!(ours.values().any(|name| name == "malloc" || name == "pthread_create"), "{ours:?}");
        match variant.name {
            "hardened" => {
                assert_eq!((found.verdict, found.writable), (Verdict::ReadOnly, 0));
                assert_eq!(found.relro, Some(Relro::Full));
            }
            "lazy" => {
                assert_eq!((found.verdict, found.relro), (Verdict::Writable, Some(Relro::None)));
                assert!(found.imports.iter().any(|i| i.binding == Binding::Lazy && i.stub.is_some()));
            }
            _ => {}
        }
    }
}

/// Windows and macOS bind every program to system libraries.
#[test]
fn other_systems_have_tables_of_their_own() {
    let Some(go) = Go::any("other_systems_have_tables_of_their_own") else { return };
    let program = Program::new();
    let windows = imports(&program.build(&go, support::WINDOWS));
    let exit = windows.imports.iter().find(|i| i.name == "ExitProcess").unwrap();
    assert_eq!(exit.library.as_deref().map(str::to_lowercase).as_deref(), Some("kernel32.dll"));
    let darwin = imports(&program.build(&go, support::DARWIN));
    assert!(darwin.imports.iter().any(|i| i.name == "_pthread_create"), "{darwin:?}");
    assert!(darwin.imports.windows(2).all(|w| w[0].slot < w[1].slot));
}
