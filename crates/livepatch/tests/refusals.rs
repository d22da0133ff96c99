//! What cannot be changed in a running process is refused, with the place and the reason.

#![allow(clippy::panic, reason = "a test says what it expects")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use livepatch::Error;

const PROGRAM: &str = r#"package main

import (
	"errors"
	"os"
	"strconv"
)

type account struct {
	balance int
	name    string
}

type printer interface{ print() string }
type loud struct{ word string }

func (l *loud) print() string { return l.word + "!" }

var limits = []int{10, 20, 30}
var open = map[string]*account{}
var last printer = &loud{"a"}
var failed = errors.New("failed")

func init() { open[strconv.Itoa(len(os.Args))] = &account{1, "x"} }

//go:noinline
func show(a *account) string { return a.name + strconv.Itoa(a.balance+limits[a.balance%3]) }

func main() {
	for _, a := range open {
		println(show(a), last.print(), failed.Error())
	}
}
"#;

struct Maker {
    go: PathBuf,
    folder: tempfile::TempDir,
}

impl Maker {
    fn new() -> Option<Self> {
        let go = support::toolchains().into_iter().next()?;
        Some(Self { go, folder: tempfile::tempdir().expect("a folder") })
    }

    fn build(&self, source: &str, go: &Path, flags: &[&str]) -> Vec<u8> {
        let folder = self.folder.path().join("source");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("main.go"), source).expect("written");
        std::fs::write(folder.join("go.mod"), "module example\n\ngo 1.21\n").expect("written");
        let output = self.folder.path().join("out");
        let mut build = Command::new(go);
        build.arg("build").args(flags).arg("-o").arg(&output).arg(".").current_dir(&folder);
        build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("CGO_ENABLED", "0");
        assert!(build.status().expect("go runs").success(), "{source}");
        std::fs::read(output).expect("built")
    }

    /// What is said of the change from the program to one with these words replaced.
    fn change(&self, replaced: &[(&str, &str)]) -> livepatch::Result<livepatch::Patch> {
        let new = replaced.iter().fold(PROGRAM.to_owned(), |source, (from, to)| {
            assert!(source.contains(from), "{from}");
            source.replace(from, to)
        });
        let old = self.build(PROGRAM, &self.go, &[]);
        livepatch::build(&old, &self.build(&new, &self.go, &["-ldflags=-T=0x6e5a1000"]))
    }
}

#[test]
fn each_class_of_change_that_cannot_be_made_is_refused() {
    let Some(maker) = Maker::new() else { return };
    let classes: [(&str, &[(&str, &str)]); 6] = [
        (
            "type `main.account`",
            &[("balance int\n", "balance int\n\tlimit   int\n"), ("{1, \"x\"}", "{1, 2, \"x\"}")],
        ),
        (
            "type `main.account`",
            &[("balance int\n", "balance int32\n"), ("a.balance+limits", "int(a.balance)+limits")],
        ),
        ("`main.limits`", &[("10, 20, 30", "10, 20, 31")]),
        ("`main.limits`", &[("var limits = []int{10, 20, 30}", "var limits = [4]int{10, 20, 30, 40}")]),
        ("`main.init.0`", &[("&account{1,", "&account{2,")]),
        ("`main.failed`", &[("New(\"failed\")", "New(\"broken\")")]),
    ];
    for (place, replaced) in classes {
        match maker.change(replaced) {
            Err(error @ Error::Refused { .. }) => {
                eprintln!("{error}");
                assert!(error.to_string().contains(place), "{error}, not {place}");
            }
            other => panic!("{place}: {:?}", other.map(|p| p.head.functions)),
        }
    }
}

/// A program of several files, built.
fn program(go: &Path, files: &[(&str, &str)], arguments: &[&str], environment: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }
    let output = folder.path().join("out");
    let mut build = Command::new(go);
    build.arg("build").args(arguments).arg("-o").arg(&output).arg(".").current_dir(folder.path());
    build
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("CGO_ENABLED", "0");
    build.envs(environment.iter().copied());
    assert!(build.status().expect("go runs").success(), "it is built");
    std::fs::read(output).expect("built")
}

const BESIDE: &str = "-ldflags=-T=0x6e5a1000";

fn refusal(old: &[u8], new: &[u8]) -> String {
    match livepatch::build(old, new) {
        Err(error @ Error::Refused { .. }) => error.to_string(),
        other => panic!("not refused: {:?}", other.map(|p| p.head.functions)),
    }
}

#[test]
fn assembly_is_refused() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let module = ("go.mod", "module example\n\ngo 1.21\n");
    let main = ("main.go", "package main\n\nfunc magic() int\n\nfunc main() { println(magic()) }\n");
    let assembly = |n: &str| {
        format!("#include \"textflag.h\"\n\nTEXT ·magic(SB), NOSPLIT, $0-8\n\tMOVQ ${n}, ret+0(FP)\n\tRET\n")
    };
    let (one, two) = (assembly("1"), assembly("2"));
    let old = program(&go, &[module, main, ("magic_amd64.s", &one)], &[], &[]);
    let new = program(&go, &[module, main, ("magic_amd64.s", &two)], &[BESIDE], &[]);
    let said = refusal(&old, &new);
    assert!(said.contains("main.magic") && said.contains("assembly"), "{said}");
}

#[test]
fn a_changed_runtime_is_refused() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let files = [("go.mod", "module example\n\ngo 1.21\n"), ("main.go", PROGRAM)];
    let old = program(&go, &files, &[], &[]);
    let new = program(&go, &files, &["-gcflags=runtime=-l", BESIDE], &[]);
    let said = refusal(&old, &new);
    assert!(said.contains("part of the runtime"), "{said}");
}

#[test]
fn other_versions_of_modules_are_refused_unless_they_are_allowed() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let main =
        ("main.go", "package main\n\nimport \"dep.example/dep\"\n\nfunc main() { println(dep.Word()) }\n");
    let dependency = ("dep/go.mod", "module dep.example/dep\n\ngo 1.21\n");
    let build = |version: &str, word: &str, flags: &[&str]| {
        let module = format!(
            "module example\n\ngo 1.21\n\nrequire dep.example/dep {version}\n\nreplace dep.example/dep => ./dep\n"
        );
        let source = format!("package dep\n\n//go:noinline\nfunc Word() string {{ return \"{word}\" }}\n");
        program(&go, &[("go.mod", &module), main, dependency, ("dep/dep.go", &source)], flags, &[])
    };
    let old = build("v1.0.0", "old", &[]);
    let new = build("v1.1.0", "new", &[BESIDE]);
    let said = refusal(&old, &new);
    assert!(said.contains("dep.example/dep") && said.contains("v1.1.0"), "{said}");
    let sources = livepatch::Sources { other_modules: true, ..livepatch::Sources::of(&old, &new) };
    let patch = livepatch::build_from(&sources).expect("it is allowed");
    let names: Vec<_> = patch.head.functions.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["dep.example/dep.Word"]);
}

#[test]
fn another_machine_is_refused() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let files = [("go.mod", "module example\n\ngo 1.21\n"), ("main.go", PROGRAM)];
    let old = program(&go, &files, &[], &[("GOARCH", "arm64")]);
    let new = program(&go, &files, &[BESIDE], &[("GOARCH", "arm64")]);
    let refused = livepatch::build(&old, &new);
    let is_platform =
        matches!(refused, Err(Error::Unreadable { which: "old", source: goproc::Error::Platform }));
    assert!(is_platform, "{:?}", refused.map(|p| p.head.functions));
}

#[test]
fn a_twin_that_is_none_is_refused() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let other = PROGRAM.replace("balance int\n", "balance int64\n").replace("a.balance+", "int(a.balance)+");
    let module = ("go.mod", "module example\n\ngo 1.21\n");
    let stripped = program(&go, &[module, ("main.go", PROGRAM)], &["-trimpath", "-ldflags=-s -w"], &[]);
    let twin = program(&go, &[module, ("main.go", PROGRAM)], &["-trimpath"], &[]);
    let stranger =
        program(&go, &[module, ("main.go", &other.replace("\"x\"}", "\"yy\"}"))], &["-trimpath"], &[]);
    let changed = PROGRAM.replace("a.name + strconv", "a.name + \": \" + strconv");
    let new = program(&go, &[module, ("main.go", &changed)], &["-trimpath", BESIDE], &[]);
    let with =
        |symbols| livepatch::Sources { symbols: Some(symbols), ..livepatch::Sources::of(&stripped, &new) };
    assert!(livepatch::build_from(&with(&twin)).is_ok());
    let refused = livepatch::build_from(&with(&stranger));
    assert!(matches!(refused, Err(Error::NotTwin { .. })), "{:?}", refused.map(|p| p.head.functions));
}

#[test]
fn exactly_the_function_that_differs_is_changed() {
    let Some(maker) = Maker::new() else { return };
    let patch = maker.change(&[("a.name + strconv", "a.name + \": \" + strconv")]).expect("it can be made");
    let names: Vec<_> = patch.head.functions.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["main.show"], "{:?}", patch.head.functions);
}

#[test]
fn builds_that_do_not_fit_are_refused() {
    let Some(maker) = Maker::new() else { return };
    let (go, base) = (maker.go.clone(), "-ldflags=-T=0x6e5a1000");
    let old = maker.build(PROGRAM, &go, &[]);
    let same = maker.build(PROGRAM, &go, &[base]);
    let build = |old: &[u8], new: &[u8]| livepatch::build(old, new).expect_err("it is refused");
    assert!(matches!(build(&old, &same), Error::NoChange));
    assert!(matches!(build(&old, &old), Error::Placement { .. }));
    assert!(matches!(build(&same, &old), Error::Placement { .. }));
    assert!(matches!(build(&old, b"\x7fELF"), Error::NotGo { which: "new", .. }));
    let stripped = maker.build(PROGRAM, &go, &["-ldflags=-s -w -T=0x6e5a1000"]);
    assert!(matches!(build(&old, &stripped), Error::Unreadable { which: "new", .. } | Error::Lacks { .. }));
    let independent = maker.build(PROGRAM, &go, &["-buildmode=pie"]);
    assert!(matches!(build(&old, &independent), Error::OtherShape));
    if let Some(other) = support::toolchains().get(1) {
        let other = maker.build(PROGRAM, other, &[base]);
        assert!(matches!(build(&old, &other), Error::OtherRelease { .. }));
    }
}
