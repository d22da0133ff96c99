//! Instrumented builds of `fuzz/src/every.rs`, and what they need of the machine.
//!
//! The flags are LLVM's SanitizerCoverage, as libFuzzer wants it: counters on edges, a table of their places, and
//! operands of comparisons. They are stable flags of `rustc`; only the address sanitizer is not, and
//! `RUSTC_BOOTSTRAP` opens it in the same compiler.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // Or branches that differ in one comparison would be one edge.
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// How a target is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Coverage, debug assertions and overflow checks: all that code without `unsafe` can break.
    Plain,
    /// The address sanitizer on top.
    Address,
}

impl Kind {
    /// A crate that does not forbid `unsafe` is watched by the address sanitizer.
    pub(crate) fn of(target: &str) -> Self {
        let root = fs::read_to_string(format!("crates/{}/src/lib.rs", crate_of(target))).unwrap_or_default();
        if root.contains("#![forbid(unsafe_code)]") { Self::Plain } else { Self::Address }
    }

    /// Above twice what the hungriest decoder may ask for (xz, 128 MiB), and as much again for the sanitizer. Memory
    /// beyond it is a finding.
    pub(crate) fn memory_mib(self) -> u32 {
        match self {
            Self::Plain => 512,
            Self::Address => 2048,
        }
    }
}

/// The crate of a target: its name begins with it.
fn crate_of(target: &str) -> &str {
    target.split_once('_').map_or(target, |(of, _)| of)
}

/// Builds the program with these targets, and whatever others their crates have, and says where it is.
pub(crate) fn every(kind: Kind, targets: &[&String]) -> Result<PathBuf> {
    let compiler = Compiler::ask()?;
    needed(kind, &compiler)?;
    let mut flags = COVERAGE.to_vec();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if kind == Kind::Address {
        flags.push("-Zsanitizer=address");
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    // With `--target` the flags do not reach build scripts and macros.
    cargo.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--bin", "every"]);
    let crates: BTreeSet<_> = targets.iter().map(|target| crate_of(target)).collect();
    let crates = crates.into_iter().collect::<Vec<_>>().join(",");
    cargo.args(["--no-default-features", "--features", &crates]);
    cargo.args(["--target", &compiler.host, "--message-format", "json-render-diagnostics"]);
    cargo.env("RUSTFLAGS", flags.join(" ")).stdout(Stdio::piped());
    eprintln!(
        "xtask: build of the fuzz targets{}",
        if kind == Kind::Address { ", address sanitizer" } else { "" }
    );
    let child = cargo.spawn().context("cannot start cargo")?;
    let built = child.wait_with_output()?;
    ensure!(built.status.success(), "the fuzz targets do not build");
    executable(&String::from_utf8_lossy(&built.stdout)).context("cargo names no program")
}

/// The program in cargo's messages, each a line of JSON.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next_back()
}

/// What `rustc` says of itself.
struct Compiler {
    host: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn ask() -> Result<Self> {
        let say = |arguments: &[&str]| -> Result<String> {
            let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
                .args(arguments)
                .output()
                .context("cannot start rustc")?;
            Ok(String::from_utf8(output.stdout)?)
        };
        let version = say(&["-vV"])?;
        let host =
            version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        Ok(Self { host: host.to_owned(), sysroot: say(&["--print", "sysroot"])?.trim().into() })
    }
}

/// Says what is missing, and the mend, before a long build says it worse.
fn needed(kind: Kind, compiler: &Compiler) -> Result<()> {
    let named = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if !Command::new(&named).arg("--version").output().is_ok_and(|output| output.status.success()) {
        bail!(
            "fuzzing needs a C++ compiler, as libFuzzer is C++: `apt-get install -y g++`, or name one in CXX"
        );
    }
    let runtimes = compiler.sysroot.join("lib/rustlib").join(&compiler.host).join("lib");
    let held = |folder: &Path| {
        let mut names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().ends_with("_rt.asan.a"))
    };
    if kind == Kind::Address && !held(&runtimes) {
        bail!(
            "crates with `unsafe` are fuzzed under the address sanitizer, and {} does not hold its runtime; \
             toolchains of rustup for x86_64 and aarch64 Linux do: `rustup toolchain install stable`",
            runtimes.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_last_that_cargo_names() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/every\"}\nnot JSON\n";
        assert_eq!(executable(messages), Some("/t/every".into()));
        assert_eq!(executable(""), None);
    }

    #[test]
    fn crates_with_unsafe_are_watched() {
        std::env::set_current_dir(crate::rig::repository()).unwrap();
        assert!(Kind::of("pkix_certificate") == Kind::Plain);
        assert!(Kind::of("shmring_memory") == Kind::Address);
    }
}
