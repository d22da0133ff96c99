//! What is run, by how long it may take.

use std::process::Command;

use anyhow::Result;

use crate::rig;
use crate::step::{cargo, step};

/// Everything that a change must pass.
pub(crate) fn run() -> Result<()> {
    crate::lint::run()?;
    step("tests", &mut cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]))?;
    step("the program", &mut cargo(&["build", "--locked", "--package", "custody"]))?;
    go_modules()?;
    step("benchmarks, one short pass", &mut bench_command(&["--sample"]))?;
    step("demonstration", &mut cargo(&["run", "--quiet", "--locked", "--package", "custody", "--", "demo"]))
}

/// The Go modules of this repository: the SDK, whose tests record through the program that was just built, and the
/// service that the demonstration uses.
fn go_modules() -> Result<()> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| rig::repository().join("target"), Into::into);
    for module in ["sdk/go", "examples/payments"] {
        for verb in ["vet", "test"] {
            let mut go = Command::new(rig::go());
            rig::apply(&mut go);
            go.current_dir(module)
                .args([verb, "./..."])
                .env("CUSTODY_BIN", target.join("debug/custody"))
                .env("GOFLAGS", "-mod=readonly")
                .env("GOPROXY", "off");
            step(&format!("go {verb}, {module}"), &mut go)?;
        }
    }
    Ok(())
}

/// Tests that judge by other people's programs; an absent one is an error here, not a skip.
pub(crate) fn peers() -> Result<()> {
    rig()?;
    crate::sigstore::build()?;
    let mut command = cargo(&["test", "--workspace", "--locked"]);
    rig::apply(&mut command);
    step("peers", command.env("CUSTODY_REQUIRE_PEERS", "1"))
}

/// Everything that the tests against peers need: programs, Go releases, Python packages.
pub(crate) fn rig() -> Result<()> {
    step("what peers need", Command::new("sh").args(["scripts/setup.sh", "peers"]))?;
    otlp_exporter()
}

/// OpenTelemetry's exporter for Python, in an environment of its own in the rig.
fn otlp_exporter() -> Result<()> {
    let environment = rig::folder().join("otlp");
    if environment.join("ready").is_file() {
        return Ok(());
    }
    step("a Python environment", Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
    let mut install = Command::new(environment.join("bin/python"));
    install.args(pip).args(["--require-hashes", "-r", "scripts/otlp-exporter.txt"]);
    step("OpenTelemetry's exporter", &mut install)?;
    Ok(std::fs::write(environment.join("ready"), "")?)
}

/// Side-by-side benchmarks.
pub(crate) fn bench(rest: &[String]) -> Result<()> {
    step("build", &mut cargo(&["build", "--release", "--locked", "--package", "custody"]))?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    step("benchmarks", &mut bench_command(&rest))
}

fn bench_command(rest: &[&str]) -> Command {
    let profile: &[&str] = if rest.contains(&"--sample") { &[] } else { &["--release"] };
    let mut command = cargo(&["run", "--quiet", "--locked", "--package", "bench"]);
    command.args(profile).arg("--").args(rest);
    command
}
