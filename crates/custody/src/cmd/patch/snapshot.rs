//! Where snapshots are kept: `patches/` of the home, one file for each process and patch.

use std::path::PathBuf;

use goproc::Process;
use livepatch::Snapshot;

use super::{Context, read};
use crate::aside;
use crate::failure::Failure;

/// Pages and digests of a patch of ten thousand functions stay below it.
const MAX_SNAPSHOT: u64 = 256 << 20;

/// Writes a snapshot, if there is a home, and says where.
pub(super) fn keep(
    snapshot: &Snapshot,
    process: &Process,
    context: &Context,
) -> Result<Option<String>, Failure> {
    let Some(file) = file(process, &snapshot.patch, context) else { return Ok(None) };
    let unwritable = |e: std::io::Error| {
        let what =
            format!("the process is patched, but its snapshot cannot be written: `{}`", file.display());
        Failure::environment(anyhow::Error::from(e).context(what))
    };
    let folder = file.parent().unwrap_or(&file);
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let json = serde_json::to_vec(snapshot).map_err(Failure::input)?;
    aside::write(&file, &json).map_err(unwritable)?;
    Ok(Some(file.display().to_string()))
}

/// The snapshot that was kept when the patch came, if it can be read: nothing depends on it.
pub(super) fn find(process: &Process, patch: &str, context: &Context) -> Option<(String, Snapshot)> {
    let file = file(process, patch, context)?;
    let snapshot = serde_json::from_slice(&read(&file, MAX_SNAPSHOT).ok()?).ok()?;
    Some((file.display().to_string(), snapshot))
}

/// A number may belong to another process later; together with the time of its start it does not.
fn file(process: &Process, patch: &str, context: &Context) -> Option<PathBuf> {
    let home = context.home.existing().ok()?;
    let name = format!("{}-{}-{patch}.json", process.pid(), process.started().ok()?);
    Some(home.path().join("patches").join(name))
}
