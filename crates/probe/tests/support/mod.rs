//! Go programs to probe, built by the toolchains that this machine has, and started with their input held.
//!
//! One toolchain is enough: `CUSTODY_GO`, `<rig>/go/bin/go` or `go` on the PATH; more releases come from
//! `CUSTODY_GO_RELEASES` (colons between) or `<rig>/go-releases/*/bin/go`. What is absent is skipped by name.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Says that `test` goes without `missing`; where peers are required, that is a failure.
pub(crate) fn skip(test: &str, missing: &str) {
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs {missing}");
    eprintln!("SKIPPED {test}: no {missing}");
}

/// Whether probes can be had here; when not, says that `test` is skipped.
pub(crate) fn possible(test: &str) -> bool {
    if !probe::programs::BUILT {
        skip(test, "clang when this was built");
        return false;
    }
    if let Err(error) = probe::privilege::check() {
        skip(test, &format!("probes ({error})"));
        return false;
    }
    true
}

/// One Go toolchain.
#[derive(Clone, Debug)]
pub(crate) struct Go {
    binary: PathBuf,
    pub(crate) version: String,
}

impl Go {
    fn at(binary: PathBuf) -> Option<Self> {
        let output =
            Command::new(&binary).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !version.is_empty()).then_some(Self { binary, version })
    }

    /// Toolchains of the given releases (1.x), or all there are when none is given; the newest first.
    pub(crate) fn some(test: &str, minors: &[u32]) -> Vec<Self> {
        if !possible(test) {
            return Vec::new();
        }
        let rig = std::env::var_os("CUSTODY_RIG_DIR").map(PathBuf::from);
        let rig = rig.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.rig"));
        let given = std::env::var_os("CUSTODY_GO").map(PathBuf::from);
        let first = given.into_iter().chain([rig.join("go/bin/go"), "go".into()]).find_map(Self::at);
        let named = std::env::var("CUSTODY_GO_RELEASES").unwrap_or_default();
        let named: Vec<PathBuf> = named.split(':').filter(|p| !p.is_empty()).map(PathBuf::from).collect();
        let kept = std::fs::read_dir(rig.join("go-releases")).into_iter().flatten().flatten();
        let more = named.into_iter().chain(kept.map(|entry| entry.path().join("bin/go")));
        let mut all: Vec<Self> = first.into_iter().chain(more.filter_map(Self::at)).collect();
        all.retain(|go| go.minor() >= 17 && (minors.is_empty() || minors.contains(&go.minor())));
        all.sort_by_key(|go| std::cmp::Reverse(go.minor()));
        all.dedup_by_key(|go| go.minor());
        if all.is_empty() {
            skip(test, "Go toolchain (set CUSTODY_GO, or put `go` on the PATH)");
        }
        all
    }

    /// 26 of `go1.26.8`.
    pub(crate) fn minor(&self) -> u32 {
        let digits = self.version.trim_start_matches("go1.").split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// Builds a program of one file.
    pub(crate) fn build(&self, dir: &Path, source: &str, flags: &[&str]) -> PathBuf {
        std::fs::write(dir.join("go.mod"), "module example.com/probed\n\ngo 1.18\n").unwrap();
        std::fs::write(dir.join("main.go"), source).unwrap();
        let out = dir.join(format!("{}{}", self.version, flags.join("")).replace([' ', '='], "_"));
        let mut command = Command::new(&self.binary);
        command.current_dir(dir).args(["build", "-o"]).arg(&out).args(flags).arg(".");
        command.env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("GOFLAGS", "-mod=mod");
        command.env("GOPROXY", "off").env("CGO_ENABLED", "0");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        out
    }
}

pub(crate) const PLAIN: &[&str] = &[];
pub(crate) const STRIPPED: &[&str] = &["-ldflags=-s -w"];
pub(crate) const PIE: &[&str] = &["-buildmode=pie"];
pub(crate) const STRIPPED_PIE: &[&str] = &["-buildmode=pie", "-ldflags=-s -w"];

/// A program that does what a line on its input says and answers with a line.
pub(crate) struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(path: &Path) -> Self {
        let mut child = Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    pub(crate) fn pid(&self) -> NonZeroU32 {
        NonZeroU32::new(self.child.id()).unwrap()
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// What it has still to say when it is ended by somebody else, and the signal that ended it.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.output, &mut rest).unwrap();
        (std::os::unix::process::ExitStatusExt::signal(&self.child.wait().unwrap()), rest)
    }

    pub(crate) fn hear(&mut self) -> String {
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "the program ended: {:?}", self.child.wait());
        answer.trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
