//! What is in a large Go executable, against `go tool nm`: processor seconds, and our peak memory beside the file's size.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::Plan;
use crate::measure::{self, Row, custody};

/// The Go compiler, with its debug data unpacked: about 45 MB that every machine with Go can make. `CUSTODY_BENCH_GO`
/// names another executable.
const PROGRAM: [&str; 5] = ["build", "-ldflags=-compressdwarf=false", "-o", "program", "cmd/compile"];
/// For a short pass: small, and already in the build cache of most.
const SMALL: [&str; 4] = ["build", "-o", "program", "cmd/gofmt"];

/// The Go that programs are built with.
pub(crate) fn go() -> Command {
    let mut command = Command::new(std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into()));
    command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("CGO_ENABLED", "0");
    command
}

/// The entry: skipped by name when there is no Go.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    if go().arg("version").output().is_err() {
        eprintln!("bench: inspect skipped: no Go (set CUSTODY_GO)");
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir()?;
    let program = match std::env::var_os("CUSTODY_BENCH_GO").filter(|_| !plan.sample) {
        Some(given) => PathBuf::from(given),
        None => {
            std::fs::write(folder.path().join("go.mod"), "module bench\n\ngo 1.21\n")?;
            let arguments = if plan.sample { &SMALL[..] } else { &PROGRAM[..] };
            if !go().args(arguments).current_dir(folder.path()).status()?.success() {
                bail!("go {arguments:?} failed");
            }
            folder.path().join("program")
        }
    };
    let megabytes = std::fs::metadata(&program)?.len() as f64 / 1e6;
    let mut rows = Vec::new();
    for (name, flags) in [
        ("facts", &[][..]),
        ("functions as JSON", &["--functions", "--json"][..]),
        ("symbols as JSON", &["--symbols", "--json"][..]),
        ("types as JSON", &["--types", "--json"][..]),
    ] {
        let custody = custody()?;
        rows.push(Row::alternate(
            (&format!("inspect: {name}, {megabytes:.0} MB"), "go tool nm", "CPU s"),
            plan.rounds,
            || {
                let cost = measure::run(Command::new(&custody).arg("inspect").arg(&program).args(flags))?;
                Ok((cost.cpu, Some(cost.peak_mib)))
            },
            || Ok(measure::run(go().args(["tool", "nm"]).arg(&program))?.cpu),
        )?);
    }
    Ok(rows)
}
