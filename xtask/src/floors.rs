//! The floors of the house: a crate imports only from floors below it, and wings never import each other.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// Crate and floor. A crate that is not here fails the check: whoever adds one says where it stands.
const FLOORS: &[(&str, u8)] = &[
    ("gm", 0),
    ("event", 0),
    ("tlog", 1),
    ("signing", 1),
    ("gobinary", 1),
    ("pkix", 1),
    ("codeintegrity", 1),
    ("ledger", 2),
    ("gmdevice", 2),
    ("keystore", 2),
    ("seal", 2),
    ("authenticode", 2),
    ("shmring", 2),
    ("goproc", 2),
    ("anchor", 3),
    ("audit", 3),
    ("evidence", 3),
    ("supervise", 3),
    ("livepatch", 3),
    ("probe", 3),
    ("audit-tracing", 4),
    ("custody", 5),
];
/// Beside the house: they may use every floor, and no floor may use them.
const BESIDE: &[&str] = &["xtask", "bench", "fuzz-replay"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    kind: Option<String>,
    path: Option<String>,
}

/// Fails with every arrow that points the wrong way.
pub(crate) fn check() -> Result<()> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .context("floors: cannot start cargo")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("floors: cargo metadata")?;
    let wrong: Vec<String> = metadata.packages.iter().flat_map(faults).collect();
    if !wrong.is_empty() {
        bail!("floors:\n  {}", wrong.join("\n  "));
    }
    eprintln!("xtask: floors hold ({} crates)", metadata.packages.len());
    Ok(())
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

fn faults(package: &Package) -> Vec<String> {
    if BESIDE.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let Some(own) = floor(&package.name) else {
        return vec![format!("{} stands on no floor; give it one in xtask/src/floors.rs", package.name)];
    };
    let inner = package.dependencies.iter().filter(|d| d.path.is_some() && d.kind.as_deref() != Some("dev"));
    inner
        .filter(|dependency| floor(&dependency.name).is_none_or(|below| below >= own))
        .map(|dependency| format!("{} (floor {own}) imports {}", package.name, dependency.name))
        .collect()
}
