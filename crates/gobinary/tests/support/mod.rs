//! Real Go programs for the tests, built by the Go toolchains that this machine has.
//!
//! One toolchain is enough: `CUSTODY_GO`, `<rig>/go/bin/go` or `go` on the PATH. More releases come from
//! `CUSTODY_GO_RELEASES` (Go binaries separated by colons) or `<rig>/go-releases/*/bin/go`; the rig is
//! `CUSTODY_RIG_DIR` or `.rig` in the repository. What is absent is skipped by name on stderr.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// One Go toolchain.
#[derive(Clone, Debug)]
pub(crate) struct Go {
    pub(crate) binary: PathBuf,
    pub(crate) version: String,
}

/// Says that `test` goes without `missing`; where peers are required, that is a failure.
pub(crate) fn skip(test: &str, missing: &str) {
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs {missing}");
    eprintln!("SKIPPED {test}: no {missing}");
}

fn rig() -> PathBuf {
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

    /// Every toolchain there is; says so when `test` runs with the one only.
    pub(crate) fn all(test: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Self::any(test).into_iter().collect();
        let named = std::env::var("CUSTODY_GO_RELEASES").unwrap_or_default();
        let named = named.split(':').filter(|p| !p.is_empty()).map(PathBuf::from);
        let kept = std::fs::read_dir(rig().join("go-releases")).into_iter().flatten().flatten();
        let kept = kept.map(|entry| entry.path().join("bin/go")).filter(|p| p.is_file());
        let more: Vec<Self> = named.chain(kept).filter_map(Self::at).collect();
        if more.is_empty() {
            eprintln!("SKIPPED {test} with other releases of Go: CUSTODY_GO_RELEASES names none");
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
        command.current_dir(dir).env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("GOFLAGS", "-mod=mod");
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
    dir: TempDir,
}

impl Program {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("go.mod", GO_MOD);
        write("main.go", MAIN);
        write("withc/main.go", WITH_C);
        write("sums/go.mod", "module example.com/sums\n\ngo 1.18\n");
        write("sums/sums.go", SUMS);
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Builds it; gives the path of the executable.
    pub(crate) fn build(&self, go: &Go, variant: Variant) -> PathBuf {
        self.build_package(go, variant, if variant.cgo { "./withc" } else { "." })
    }

    /// Builds a program of one file in a package of its own.
    pub(crate) fn build_source(&self, go: &Go, variant: Variant, name: &str, source: &str) -> PathBuf {
        let dir = self.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("main.go"), source).unwrap();
        self.build_package(go, variant, &format!("./{name}"))
    }

    fn build_package(&self, go: &Go, variant: Variant, package: &str) -> PathBuf {
        let name = package.trim_start_matches(['.', '/']);
        let out = self.path().join(format!("{}-{}{name}", go.version, variant.name));
        let mut command = go.command(self.path());
        command.args(["build", "-o"]).arg(&out).args(variant.flags).arg(package);
        let output = command.envs(variant.environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{variant:?}: {}", String::from_utf8_lossy(&output.stderr));
        out
    }
}

const GO_MOD: &str = "module example.com/teller

go 1.18

require example.com/sums v0.1.0

replace example.com/sums v0.1.0 => ./sums
";

const SUMS: &str = r#"package sums

type Number interface{ ~int | ~int64 | ~float64 }

//go:noinline
func Total[T Number](values []T) (sum T) {
	for _, v := range values {
		sum += v
	}
	return sum
}
"#;

const MAIN: &str = r#"package main

import (
	"fmt"
	"os"

	"example.com/sums"
)

type account struct{ balance int64 }

//go:noinline
func (a *account) deposit(amount int64) error {
	if amount <= 0 {
		return fmt.Errorf("deposit of %d", amount)
	}
	a.balance += amount
	return nil
}

func main() {
	a := &account{}
	each := func(n int64) {
		if err := a.deposit(n); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	for n := range os.Args {
		each(int64(n))
	}
	fmt.Println(a, sums.Total([]int64{1, 2}), sums.Total([]float64{1.5, 2}))
}
"#;

const WITH_C: &str = r#"package main

// #include <stdlib.h>
// static int twice(int n) { return n * 2; }
import "C"
import "fmt"

func main() { fmt.Println(C.twice(21), C.abs(-3)) }
"#;

/// A C-free program whose functions are inlined into each other and print the stack they run on.
pub(crate) const STACKS: &str = r#"package main

import (
	"fmt"
	"runtime"
)

type teller struct{ balance int64 }

func innermost(n int64) int64 {
	buffer := make([]byte, 1<<16)
	fmt.Printf("stack %s", buffer[:runtime.Stack(buffer, false)])
	return n
}

func (t *teller) middle(n int64) { t.balance += innermost(n) }

func outer(t *teller, n int64) {
	t.middle(n + 1)
}

//go:noinline
func physical(t *teller, pad [40]int64) int64 {
	outer(t, pad[3])
	outer(t, pad[5])
	func() { outer(t, pad[4]) }()
	return t.balance
}

func main() {
	defer func() { fmt.Println(recover()); outer(&teller{}, 5) }()
	fmt.Println(physical(&teller{}, [40]int64{}))
	var none *teller
	none.middle(3)
}
"#;

/// A program with types of every kind.
pub(crate) const TYPES: &str = r#"package main

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
)

type depositor interface{ Deposit(amount int64) error }

type account struct {
	balance int64
	name    string
	sums    map[string][]int
	next    *account
	Tagged  int `json:"t" db:"tagged"`
	sync.Mutex
	inform func(string, ...any) error
	last   [3]int32
}

func (a *account) Deposit(amount int64) error { a.balance += amount; return nil }

type ledger map[string]account

func (l ledger) Total() (sum int64) {
	for _, a := range l {
		sum += a.balance
	}
	return
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

type stream <-chan *account

//go:noinline
func open(name string) depositor { return &account{name: name} }

func main() {
	d := open(os.Args[0])
	fmt.Println(d.Deposit(3), d, ledger{"a": {}}, pair[int, string]{1, "x"}, stream(nil), netip.Addr{})
	fmt.Println(ledger{}.Total(), any(ledger{}).(interface{ Total() int64 }).Total())
}
"#;

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
