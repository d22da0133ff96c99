//! Where the fields of the module data are when no table says so: programs whose release is not known, and programs of a
//! release that nobody made, whose module data has a field more.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use gobinary::{Binary, ModuleData};
use support::{Go, Program, Variant};

/// The same bytes, by a release that is not out yet: 1.97 instead of 1.27.
fn unheard_of(go: &Go, path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    let version = go.version.as_bytes();
    let places: Vec<usize> =
        bytes.windows(version.len()).enumerate().filter(|(_, w)| *w == version).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at + "go1.".len()] = b'9');
    bytes
}

/// The fields that reading needs behind those that never moved.
fn needed(minor: u32) -> &'static [&'static str] {
    match minor {
        27.. => &["types", "etypes", "itaboffset", "itabsize", "gofunc", "textsectmap", "next"],
        _ => &["types", "etypes", "gofunc", "textsectmap", "typelinks", "itablinks", "next"],
    }
}

fn same(told: &str, a: &ModuleData, b: &ModuleData, names: &[&str]) {
    for name in names {
        let field = |module: &ModuleData| module.fields.iter().find(|f| f.name == *name).cloned();
        assert!(field(a).is_some(), "{told}: {name}");
        assert_eq!(field(a), field(b), "{told}: {name}");
    }
}

#[test]
fn an_unknown_release_is_read_by_its_code() {
    let test = "an_unknown_release_is_read_by_its_code";
    let program = Program::new();
    for go in Go::all(test).into_iter().filter(|go| go.minor() >= 21) {
        for variant in [support::STRIPPED, support::STRIPPED_PIE] {
            let told = format!("{} {}", go.version, variant.name);
            let path = program.build(&go, variant);
            let (known, renamed) = (std::fs::read(&path).unwrap(), unheard_of(&go, &path));
            let (known, unknown) = (Binary::parse(&known).unwrap(), Binary::parse(&renamed).unwrap());
            let (module, derived) = (known.module_data().unwrap(), unknown.module_data().unwrap());
            assert_eq!((module.layout_from, derived.layout_from), ("release", "code"), "{told}");
            // All that the code says agrees with one layout of the table, and that is the right one.
            assert_eq!((&derived.layout, &derived.fields), (&module.layout, &module.fields), "{told}");
            same(&told, derived, module, needed(go.minor()));
            assert!(!unknown.wants_code(), "{told}");
        }
    }
}

/// Machines whose code is not decoded: the content decides, and the output says so.
#[test]
fn without_code_the_content_decides() {
    let Some(go) = Go::any("without_code_the_content_decides") else { return };
    let arm = Variant { name: "arm64", environment: &[("GOARCH", "arm64")], ..support::STRIPPED };
    let bytes = unheard_of(&go, &Program::new().build(&go, arm));
    let binary = Binary::parse(&bytes).unwrap();
    assert_eq!(binary.module_data().unwrap().layout_from, "content");
    assert!(!binary.wants_code());
}

/// Changes one file of the standard library: `what` once, by `with`.
fn changed(go: &Go, folder: &Path, file: &str, what: &str, with: &str) -> (PathBuf, PathBuf) {
    let root = go.prints(folder, &["env", "GOROOT"]);
    let original = Path::new(root.trim()).join("src").join(file);
    let text = std::fs::read_to_string(&original).unwrap();
    assert_eq!(text.matches(what).count(), 1, "{file}: {what}");
    let copy = folder.join(file.replace('/', "-"));
    std::fs::write(&copy, text.replace(what, with)).unwrap();
    (original, copy)
}

/// Builds the program by a Go whose runtime and linker know one more field, in the middle of the module data.
fn with_another_field(go: &Go, program: &Program, folder: &Path) -> PathBuf {
    let fields = "end, gcdata, gcbss";
    let runtime = changed(go, folder, "runtime/symtab.go", fields, &format!("{fields}, spare"));
    let last = "moduledata.AddAddr(ctxt.Arch, ldr.Lookup(\"runtime.gcbss\", 0))\n";
    let more = format!("{last}\tmoduledata.AddUint(ctxt.Arch, 0)\n");
    let linker = changed(go, folder, "cmd/link/internal/ld/symtab.go", last, &more);
    // The linker is linked by the old one, so its own runtime stays as it was.
    let overlay = |name: &str, (from, to): &(PathBuf, PathBuf)| {
        let file = folder.join(name);
        std::fs::write(&file, format!("{{\"Replace\": {{{from:?}: {to:?}}}}}")).unwrap();
        format!("-overlay={}", file.display())
    };
    let (for_linker, overlay) = (overlay("linker.json", &linker), overlay("program.json", &runtime));
    let (link, wrapper, out) = (folder.join("link"), folder.join("wrapper"), folder.join("program"));
    go.prints(program.path(), &["build", &for_linker, "-o", link.to_str().unwrap(), "cmd/link"]);
    let script =
        format!("#!/bin/sh\ncase $1 in */link) shift; exec {} \"$@\" ;; esac\nexec \"$@\"\n", link.display());
    std::fs::write(&wrapper, script).unwrap();
    Command::new("chmod").arg("+x").arg(&wrapper).status().unwrap();
    let wrapper = format!("-toolexec={}", wrapper.display());
    let flags = ["build", &overlay, &wrapper, "-ldflags=-s -w", "-o", out.to_str().unwrap(), "./types"];
    go.prints(program.path(), &flags);
    out
}

#[test]
fn a_layout_that_no_release_has_is_read_by_its_code() {
    let test = "a_layout_that_no_release_has_is_read_by_its_code";
    let Some(go) = Go::any(test) else { return };
    let program = Program::new();
    let folder = tempfile::tempdir().unwrap();
    let path = with_another_field(&go, &program, folder.path());
    assert!(Command::new(&path).status().unwrap().success(), "the program itself works");
    let original = std::fs::read(program.build_package(&go, support::STRIPPED, "types")).unwrap();
    let original = Binary::parse(&original).unwrap();
    for bytes in [std::fs::read(&path).unwrap(), unheard_of(&go, &path)] {
        let binary = Binary::parse(&bytes).unwrap();
        let module = binary.module_data().unwrap();
        assert_eq!((module.layout, module.layout_from), ("unknown", "code"));
        for name in needed(go.minor()) {
            let offset =
                |module: &ModuleData| module.fields.iter().find(|f| f.name == *name).map(|f| f.offset);
            let usual = offset(original.module_data().unwrap()).unwrap();
            assert_eq!(offset(module), Some(usual + 8), "{name}");
        }
        let names = |binary: &Binary<'_>| {
            let types = binary.types().unwrap();
            assert!(!types.itabs().is_empty());
            let itabs = types.itabs().len();
            (types.all().iter().map(gobinary::Type::qualified).collect::<Vec<_>>(), itabs)
        };
        assert_eq!(names(&binary), names(&original));
        let function = binary.functions().unwrap().into_iter().find(|f| f.name == "main.main").unwrap();
        assert!(!binary.details().unwrap().of(&function).unwrap().inlined.is_empty());
    }
}
