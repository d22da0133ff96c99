//! Everything that reads the code without running it.

use std::process::Command;

use anyhow::Result;

use crate::step::{cargo, step};
use crate::{docs, floors, rig};

/// Formatting, clippy, floors, licences, unused crates, generated documents.
pub(crate) fn run() -> Result<()> {
    step("formatting", &mut cargo(&["fmt", "--all", "--check"]))?;
    floors::check()?;
    step(
        "clippy",
        &mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    step(
        "licences, sources and bans",
        Command::new(rig::tool("cargo-deny")).args([
            "--log-level",
            "error",
            "--offline",
            "check",
            "licenses",
            "sources",
            "bans",
        ]),
    )?;
    step("unused crates", Command::new(rig::tool("cargo-machete")).arg("."))?;
    docs::run(true)
}
