//! The report of a bad ending: one JSON file, for the owner only, since stderr may hold anything.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use supervise::{End, Ended};

/// Reports of one service that are kept; the oldest go first.
const KEPT: usize = 50;

/// Writes the report of `ended` into `dir`, which is made when it is missing.
pub(super) fn write(dir: &Path, name: &str, ended: &Ended) -> anyhow::Result<PathBuf> {
    make_private(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let at = jiff::Timestamp::try_from(ended.at)?;
    let file = dir.join(format!("{name}-{}-{}.json", at.strftime("%Y%m%dT%H%M%S%.3fZ"), ended.pid));
    let aside = file.with_extension("json.new");
    write_aside(&aside, &document(name, at, ended))
        .and_then(|()| fs::rename(&aside, &file))
        .with_context(|| format!("cannot write {}", file.display()))?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("cannot sync {}", dir.display()))?;
    forget_oldest(dir, name)?;
    Ok(file)
}

fn make_private(dir: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn write_aside(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn document(name: &str, at: jiff::Timestamp, ended: &Ended) -> String {
    let end = match ended.end {
        End::Code(code) => serde_json::json!({ "code": code }),
        End::Signal { number, core } => serde_json::json!({ "signal": number, "core": core }),
    };
    let usage = serde_json::json!({
        "user_ms": ended.usage.user.as_millis(), "system_ms": ended.usage.system.as_millis(),
        "max_resident_kib": ended.usage.max_resident_kib, "major_faults": ended.usage.major_faults,
    });
    let document = serde_json::json!({
        "service": name, "at": at.to_string(), "pid": ended.pid, "end": end,
        "uptime_ms": ended.uptime.as_millis(), "usage": usage,
        "stderr_tail": String::from_utf8_lossy(&ended.stderr_tail),
    });
    format!("{document:#}\n")
}

/// The names sort by time.
fn forget_oldest(dir: &Path, name: &str) -> anyhow::Result<()> {
    let prefix = format!("{name}-");
    let mut reports: Vec<_> = fs::read_dir(dir)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|file| file.starts_with(&prefix) && file.ends_with(".json"))
        .collect();
    reports.sort_unstable();
    for old in &reports[..reports.len().saturating_sub(KEPT)] {
        fs::remove_file(dir.join(old)).with_context(|| format!("cannot remove the old report {old}"))?;
    }
    Ok(())
}
