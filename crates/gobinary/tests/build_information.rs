//! Build information against `go version -m`, line by line.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use gobinary::{Binary, GoInfo, Module};
use support::{Go, Program, has_gcc};

/// Writes `info` as `go version -m` does, without its first line's path.
fn as_go_prints(info: &GoInfo) -> Vec<String> {
    let mut lines = vec![info.version.clone()];
    lines.extend(info.package.iter().map(|p| format!("path {p}")));
    let mut module = |word: &str, m: &Module| {
        let mut line = |word: &str, m: &Module| {
            lines.push([word, &m.path, &m.version, &m.sum].join(" ").trim_end().to_owned());
        };
        line(word, m);
        if let Some(replace) = &m.replace {
            line("=>", replace);
        }
    };
    if let Some(main) = &info.main {
        module("mod", main);
    }
    for dependency in &info.modules {
        module("dep", dependency);
    }
    let settings = info.settings.iter().map(|(name, value)| format!("build {name}={value}"));
    lines.extend(settings);
    lines[1..].sort();
    lines
}

fn told_by_go(text: &str) -> Vec<String> {
    let (first, rest) = text.split_once('\n').unwrap();
    let version = first.rsplit(": ").next().unwrap().to_owned();
    let fields = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    // Values with blanks are quoted in the file and in this listing, and are printed unquoted by us.
    let mut lines: Vec<String> =
        rest.lines().filter(|l| !l.trim().is_empty()).map(|l| fields(l).replace('"', "")).collect();
    lines.sort();
    lines.insert(0, version);
    lines
}

#[test]
fn it_is_what_go_version_prints() {
    let test = "it_is_what_go_version_prints";
    let gcc = has_gcc(test);
    let program = Program::new();
    let variants = [
        support::PLAIN,
        support::STRIPPED_PIE,
        support::WINDOWS,
        support::STRIPPED_WINDOWS,
        support::HARDENED,
    ];
    for go in Go::all(test) {
        for variant in variants.into_iter().filter(|v| gcc || !v.cgo) {
            let path = program.build(&go, variant);
            let bytes = std::fs::read(&path).unwrap();
            let binary = Binary::parse(&bytes).unwrap();
            let told = go.prints(program.path(), &["version", "-m", path.to_str().unwrap()]);
            let mine = as_go_prints(binary.build_info().unwrap());
            assert_eq!(mine, told_by_go(&told), "{} {}", go.version, variant.name);
            let id = go.prints(program.path(), &["tool", "buildid", path.to_str().unwrap()]);
            assert_eq!(binary.inspect().build_ids.go.as_deref(), Some(id.trim()), "{}", variant.name);
        }
    }
}

#[test]
fn a_replaced_module_is_told_with_its_replacement() {
    let Some(go) = Go::any("a_replaced_module_is_told_with_its_replacement") else { return };
    let program = Program::new();
    let bytes = std::fs::read(program.build(&go, support::PLAIN)).unwrap();
    let info = Binary::parse(&bytes).unwrap().build_info().cloned().unwrap();
    let [dependency] = &info.modules[..] else { panic!("{:?}", info.modules) };
    assert_eq!((dependency.path.as_str(), dependency.version.as_str()), ("example.com/sums", "v0.1.0"));
    assert_eq!(dependency.replace.as_ref().unwrap().path, "./sums");
    assert_eq!(info.main.unwrap().path, "example.com/teller");
    assert_eq!(info.settings["CGO_ENABLED"], "0");
}
