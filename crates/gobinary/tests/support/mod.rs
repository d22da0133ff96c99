//! Real Go programs for the tests, built by the Go toolchains that this machine has.
//!
//! One toolchain is enough: `CUSTODY_GO`, `<rig>/go/bin/go` or `go` on the PATH. More releases come from
//! `CUSTODY_GO_RELEASES` (Go binaries separated by colons) or `<rig>/go-releases/*/bin/go`; the rig is
//! `CUSTODY_RIG_DIR` or `.rig` in the repository. What is absent is skipped by name on stderr.
//!
//! What was built once is kept, in the rig or in cargo's folder for tests, by the digest of its sources: most of the time
//! of these tests would be the Go linker's.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod nm;
pub(crate) mod sources;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use sources::SOURCES;

/// One Go toolchain.
#[derive(Clone, Debug)]
pub(crate) struct Go {
    pub(crate) binary: PathBuf,
    pub(crate) version: String,
}

/// Says that `test` goes without `missing`; where peers are required, that is a failure.
pub(crate) fn skip(test: &str, missing: &str) {
    assert!(!peers_are_required(), "{test} needs {missing}");
    eprintln!("SKIPPED {test}: no {missing}");
}

pub(crate) fn peers_are_required() -> bool {
    std::env::var_os("CUSTODY_REQUIRE_PEERS").is_some()
}

pub(crate) fn rig() -> PathBuf {
    let named = std::env::var_os("CUSTODY_RIG_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.rig"))
}

impl Go {
    fn at(binary: impl Into<PathBuf>) -> Option<Self> {
        let binary = binary.into();
        let output =
            Command::new(&binary).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !version.is_empty()).then_some(Self { binary, version })
    }

    /// The toolchain that every test can count on, or `None` after saying that `test` is skipped.
    pub(crate) fn any(test: &str) -> Option<Self> {
        let given = std::env::var_os("CUSTODY_GO").map(PathBuf::from);
        let places = given.into_iter().chain([rig().join("go/bin/go"), "go".into()]);
        let found = places.filter_map(Self::at).next();
        if found.is_none() {
            skip(test, "Go toolchain (set CUSTODY_GO, or put `go` on the PATH)");
        }
        found
    }

    /// The toolchains to test with. Those that `CUSTODY_GO_RELEASES` names, and where peers are required those of the
    /// rig too; without both a sample: the one that every test has, and the oldest of the rig.
    pub(crate) fn all(test: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Self::any(test).into_iter().collect();
        let named = std::env::var("CUSTODY_GO_RELEASES").unwrap_or_default();
        let sample = named.is_empty() && !peers_are_required();
        let named = named.split(':').filter(|p| !p.is_empty()).map(PathBuf::from);
        let kept = std::fs::read_dir(rig().join("go-releases")).into_iter().flatten().flatten();
        let kept = kept.map(|entry| entry.path().join("bin/go")).filter(|p| p.is_file());
        let mut more: Vec<Self> = named.chain(kept).filter_map(Self::at).collect();
        if more.is_empty() {
            skip(test, "other release of Go (CUSTODY_GO_RELEASES names none)");
        }
        more.sort_by_key(Self::minor);
        if sample {
            more.truncate(1);
        }
        for go in more {
            if all.iter().all(|known| known.version != go.version) {
                all.push(go);
            }
        }
        all
    }

    /// 26 of `go1.26.8`.
    pub(crate) fn minor(&self) -> u32 {
        let digits = self.version.trim_start_matches("go1.").split(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap().parse().unwrap()
    }

    pub(crate) fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(dir).env("GOTOOLCHAIN", "local").env("GOWORK", "off");
        // The rig may lie in a repository, whose state is no part of these programs.
        let flags = if self.minor() < 18 { "-mod=mod" } else { "-mod=mod -buildvcs=false" };
        command.env("GOFLAGS", flags);
        command.env("GOPROXY", "off").env("CGO_ENABLED", "0").env_remove("GOOS").env_remove("GOARCH");
        command
    }

    /// What `go ARGS` prints.
    pub(crate) fn prints(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.command(dir).args(args).output().unwrap();
        assert!(output.status.success(), "go {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A way to build the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) flags: &'static [&'static str],
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// Builds `./withc` instead, which calls C.
    pub(crate) cgo: bool,
}

const fn variant(name: &'static str, flags: &'static [&'static str]) -> Variant {
    Variant { name, flags, environment: &[], cgo: false }
}

pub(crate) const PLAIN: Variant = variant("plain", &[]);
pub(crate) const STRIPPED: Variant = variant("stripped", &["-ldflags=-s -w"]);
pub(crate) const PIE: Variant = variant("pie", &["-buildmode=pie"]);
pub(crate) const STRIPPED_PIE: Variant = variant("stripped-pie", &["-buildmode=pie", "-ldflags=-s -w"]);
pub(crate) const WINDOWS: Variant =
    Variant { environment: &[("GOOS", "windows")], ..variant("windows", &[]) };
pub(crate) const STRIPPED_WINDOWS: Variant =
    Variant { environment: &[("GOOS", "windows")], ..variant("stripped-windows", &["-ldflags=-s -w"]) };
pub(crate) const CGO: Variant =
    Variant { environment: &[("CGO_ENABLED", "1")], cgo: true, ..variant("cgo", &[]) };
pub(crate) const CGO_PIE: Variant =
    Variant { environment: &[("CGO_ENABLED", "1")], cgo: true, ..variant("cgo-pie", &["-buildmode=pie"]) };
pub(crate) const STRIPPED_CGO_PIE: Variant = Variant {
    environment: &[("CGO_ENABLED", "1")],
    cgo: true,
    ..variant("stripped-cgo-pie", &["-buildmode=pie", "-ldflags=-s -w"])
};
pub(crate) const DARWIN: Variant =
    Variant { environment: &[("GOOS", "darwin"), ("GOARCH", "arm64")], ..variant("darwin", &[]) };
pub(crate) const STRIPPED_DARWIN: Variant = Variant {
    environment: &[("GOOS", "darwin"), ("GOARCH", "arm64")],
    ..variant("stripped-darwin", &["-ldflags=-s -w"])
};
pub(crate) const STRIPPED_CGO: Variant = Variant { flags: &["-ldflags=-s -w"], name: "stripped-cgo", ..CGO };
/// A library for programs in C.
pub(crate) const SHARED: Variant =
    Variant { environment: &[("CGO_ENABLED", "1")], ..variant("c-shared", &["-buildmode=c-shared"]) };
pub(crate) const STRIPPED_SHARED: Variant =
    Variant { flags: &["-buildmode=c-shared", "-ldflags=-s -w"], name: "stripped-c-shared", ..SHARED };
/// Everything that can be had from a C linker.
pub(crate) const HARDENED: Variant = Variant {
    environment: &[("CGO_ENABLED", "1")],
    cgo: true,
    ..variant(
        "hardened",
        &["-trimpath", "-buildmode=pie", "-ldflags=-linkmode=external -extldflags=-Wl,-z,relro,-z,now"],
    )
};

/// Says whether programs with C can be built here, and when not, that `test` goes without them.
pub(crate) fn has_gcc(test: &str) -> bool {
    let found = Command::new("gcc").arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        skip(test, "gcc for programs with C");
    }
    found
}

/// A small module with a dependency that a local directory replaces, generics, closures and methods.
pub(crate) struct Program {
    dir: PathBuf,
    /// The folder is for one test alone and goes with it.
    own: Option<TempDir>,
}

/// Where programs are kept from one run to the next.
fn built() -> PathBuf {
    match std::env::var_os("CUSTODY_RIG_DIR") {
        Some(_) => rig().join("built"),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("built"),
    }
}

impl Program {
    /// Built once for all tests. Its sources must not be changed.
    pub(crate) fn new() -> Self {
        let mut hasher = DefaultHasher::new();
        SOURCES.hash(&mut hasher);
        let dir = built().join(format!("{:016x}", hasher.finish()));
        write(&dir);
        Self { dir, own: None }
    }

    /// With sources that the test may change; built anew.
    pub(crate) fn apart() -> Self {
        let own = tempfile::tempdir().unwrap();
        write(own.path());
        Self { dir: own.path().to_owned(), own: Some(own) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// Builds it; gives the path of the executable.
    pub(crate) fn build(&self, go: &Go, variant: Variant) -> PathBuf {
        self.build_package(go, variant, if variant.cgo { "withc" } else { "" })
    }

    /// Builds one of the other programs of [`SOURCES`]: the folder `name`.
    pub(crate) fn build_package(&self, go: &Go, variant: Variant, name: &str) -> PathBuf {
        let out = self.dir.join(format!("{}-{}{name}", go.version, variant.name));
        if self.own.is_none() && out.is_file() {
            return out;
        }
        // Another test may build the same: whoever is last renames an equal file over it.
        let part = tempfile::Builder::new().prefix(".part-").tempdir_in(&self.dir).unwrap();
        let fresh = part.path().join("program");
        let mut command = go.command(&self.dir);
        command.args(["build", "-o"]).arg(&fresh).args(variant.flags).arg(format!("./{name}"));
        let output = command.envs(variant.environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{variant:?}: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(fresh, &out).unwrap();
        out
    }
}

/// Equal files are left alone: the go command looks at their times.
fn write(dir: &Path) {
    for (name, text) in SOURCES {
        let path = dir.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == *text) {
            continue;
        }
        let folder = path.parent().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let mut part = tempfile::NamedTempFile::new_in(folder).unwrap();
        std::io::Write::write_all(&mut part, text.as_bytes()).unwrap();
        part.persist(&path).unwrap();
    }
}

/// Go's own reader of debug data, built once for a test.
pub(crate) struct Judge {
    dir: TempDir,
}

impl Judge {
    pub(crate) fn new(test: &str) -> Option<Self> {
        let go = Go::any(test)?;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("go.mod"), "module example.com/judge\n\ngo 1.21\n").unwrap();
        std::fs::write(dir.path().join("main.go"), include_str!("../judges/dwarf.go")).unwrap();
        go.prints(dir.path(), &["build", "-o", "judge", "."]);
        Some(Self { dir })
    }

    pub(crate) fn says(&self, binary: &Path) -> String {
        let output = Command::new(self.dir.path().join("judge")).arg(binary).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
