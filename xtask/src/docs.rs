//! Documents that are generated from the program itself.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::step::cargo;

/// The command reference, kept in git so that it can be read without building.
const REFERENCE: &str = "docs/cli.md";

/// Writes the reference, man pages and completions; with `check`, only compares the reference with the program.
pub(crate) fn run(check: bool) -> Result<()> {
    let reference = custody(&["reference"])?;
    if check {
        let kept = fs::read(REFERENCE).unwrap_or_default();
        if kept != reference {
            bail!("{REFERENCE} is not what the program says; run `cargo xtask docs`");
        }
        return Ok(());
    }
    fs::write(REFERENCE, reference).context(REFERENCE)?;
    let out = Path::new("target/docs");
    fs::create_dir_all(out.join("completions"))?;
    custody(&["man", "target/docs/man1"])?;
    for shell in ["bash", "zsh", "fish", "powershell"] {
        fs::write(out.join("completions").join(shell), custody(&["completions", shell])?)?;
    }
    eprintln!("xtask: wrote {REFERENCE}; man pages and completions are in {}", out.display());
    Ok(())
}

fn custody(arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = cargo(&["run", "--quiet", "--locked", "--package", "custody", "--"]);
    let output = command.args(arguments).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("custody {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
