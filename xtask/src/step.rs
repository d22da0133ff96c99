//! Running one command as a named step, with its time.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

/// Runs `command`, says how long it took, and fails with the step's name when it fails.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    eprintln!("xtask: {name}");
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("{name}: cannot start {command:?}"))?;
    if !status.success() {
        bail!("{name} failed ({status}): {command:?}");
    }
    eprintln!("xtask: {name} done in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// A `cargo` call with the tests' environment.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    crate::rig::apply(&mut command);
    command
}
