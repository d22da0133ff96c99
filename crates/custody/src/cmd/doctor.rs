//! `custody doctor`: what works on this machine, what is missing, and the mend.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use audit::LogKeys;
use serde::Serialize;

use crate::cmd::Context;
use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// Shown at the end of the command's help.
pub(crate) const EXAMPLES: &str = "Examples:\n  $ custody doctor\n  $ custody doctor --json";

/// Arguments of `custody doctor`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Go command to look at
    #[arg(long, env = "CUSTODY_GO", value_name = "PROGRAM", default_value = "go", hide_env_values = true)]
    go: PathBuf,
}

/// Whether a thing works here.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It works.
    Ok,
    /// It works, with a limit that one should know.
    Warn,
    /// It does not work here.
    Missing,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), mend: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Warn, found: found.into(), mend: Some(mend.into()) }
    }

    fn missing(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Missing, found: found.into(), mend: Some(mend.into()) }
    }

    fn text(&self) -> String {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Missing => "missing",
        };
        let mend = self.mend.as_ref().map_or_else(String::new, |mend| format!("\n{:25}mend: {mend}", ""));
        format!("{state:<8} {:<16}{}{mend}\n", self.name, self.found)
    }
}

/// Looks at everything; exit code 3 when something is missing.
pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let mut checks = vec![platform(), home(context)];
    if context.home.existing().is_ok() {
        checks.extend([configuration(context), log_key(context), checkpoint(context)]);
        checks.extend([redaction(context), vault(context)]);
    }
    checks.extend([disk(context), start(), descendants(), probes(), go(&args.go), clock()]);
    if context.output.json {
        context.output.json_line(&serde_json::json!({ "checks": checks }))?;
    } else {
        context.output.text(&checks.iter().map(Check::text).collect::<String>())?;
    }
    let missing: Vec<&str> = checks.iter().filter(|c| c.state == State::Missing).map(|c| c.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::environment(anyhow::anyhow!("missing here: {}", missing.join(", ")))
        .hint("each line marked `missing` names its mend"))
}

fn platform() -> Check {
    let here = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    match here.as_str() {
        "linux/x86_64" => Check::ok("platform", format!("linux/amd64, kernel {}", kernel())),
        "linux/aarch64" => Check::ok("platform", format!("linux/arm64, kernel {}", kernel())),
        _ => Check::warn("platform", here, "`custody run` needs Linux; seals and the ledger work here"),
    }
}

fn kernel() -> String {
    proc("sys/kernel/osrelease").unwrap_or_else(|| "unknown".into())
}

/// A one-line file below /proc.
fn proc(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc").join(path)).ok().map(|text| text.trim().to_owned())
}

fn home(context: &Context) -> Check {
    let path = context.home.path();
    if context.home.existing().is_err() {
        return Check::missing("home", format!("none at {}", path.display()), "custody init");
    }
    match others_may_read(path) {
        Ok(false) => Check::ok("home", path.display().to_string()),
        Ok(true) => Check::warn(
            "home",
            format!("{} can be read by others", path.display()),
            format!("chmod 0700 {}", path.display()),
        ),
        Err(error) => Check::missing("home", error.to_string(), "make it readable for this user"),
    }
}

fn configuration(context: &Context) -> Check {
    match Config::of(&context.home) {
        Ok(_) => Check::ok("configuration", context.home.config_file().display().to_string()),
        Err(failure) => Check::missing("configuration", failure.to_string(), "mend the file"),
    }
}

fn log_key(context: &Context) -> Check {
    match LogKeys::of(context.home.path()).signer() {
        Ok(signer) => Check::ok("log key", signer.name().to_owned()),
        Err(error) => Check::missing(
            "log key",
            format!("{:#}", anyhow::Error::from(error)),
            "put it back from a copy: without it nothing can be recorded",
        ),
    }
}

/// The signature alone; whether the files are what it vouches for is `audit verify`'s to say.
fn checkpoint(context: &Context) -> Check {
    let path = context.home.path().join("log/checkpoint");
    let opened = LogKeys::of(context.home.path()).verifier().map_err(anyhow::Error::from).and_then(|key| {
        let note = std::fs::read_to_string(&path)?;
        Ok(key.open(&note)?)
    });
    match opened {
        Ok(note) => {
            // c2sp.org/tlog-checkpoint: origin, size, root.
            let size = note.text.lines().nth(1).unwrap_or_default();
            Check::ok("checkpoint", format!("{size} events, signed by the log key"))
        }
        Err(error) => Check::missing("checkpoint", format!("{error:#}"), "custody audit verify"),
    }
}

fn redaction(context: &Context) -> Check {
    match audit::redact::load(context.home.path()) {
        Ok(Some(policy)) => Check::ok("redaction", format!("policy {}", policy.version())),
        Ok(None) => Check::warn(
            "redaction",
            "no policy: personal fields are stored as they come, and cannot be erased",
            format!("custody audit redact --template > {}/redaction.toml", context.home.path().display()),
        ),
        Err(error) => Check::missing("redaction", error.to_string(), "mend the file"),
    }
}

/// Looks at files only: the owner may be at work.
fn vault(context: &Context) -> Check {
    match audit::vault::kek_place(context.home.path()) {
        Ok(place) if !place.exists => Check::ok("personal keys", "none yet: nothing was ever sealed here"),
        Ok(place) if place.token => Check::ok("personal keys", place.place),
        Ok(place) => Check::warn(
            "personal keys",
            format!(
                "the key-encryption key is a {}: whoever copies that and the vault opens it",
                place.place
            ),
            "for real use keep it in a PKCS #11 token, or at least on another disk (`vault.toml`)",
        ),
        Err(error) => Check::missing(
            "personal keys",
            format!("{:#}", anyhow::Error::from(error)),
            "put the key-encryption key back: without it nothing is sealed or opened",
        ),
    }
}

#[cfg(unix)]
fn others_may_read(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_may_read(path: &Path) -> std::io::Result<bool> {
    std::fs::metadata(path).map(|_| false) // the profile's access list, which mode bits do not show
}

/// What "acknowledged means durable" costs here: one small write and its sync, as the ledger does them.
fn disk(context: &Context) -> Check {
    let path = context.home.path();
    let folder = path.ancestors().find(|p| p.is_dir()).unwrap_or(Path::new("."));
    match sync_time(folder) {
        Ok(_) if in_memory(folder) => Check::warn(
            "durable writes",
            format!("{} lies in memory: nothing there survives a restart of the machine", folder.display()),
            "put the home on a disk",
        ),
        Ok(time) => {
            Check::ok("durable writes", format!("{:.1} ms each (median of 9)", time.as_secs_f64() * 1e3))
        }
        Err(error) => Check::missing(
            "durable writes",
            format!("{}: {error}", folder.display()),
            "free some space, or make the folder writable",
        ),
    }
}

fn sync_time(folder: &Path) -> std::io::Result<Duration> {
    use std::io::Write as _;
    let path = folder.join(format!(".custody-doctor-{}", std::process::id()));
    let mut file = std::fs::File::create_new(&path)?;
    let mut times = (0..9)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[0; 512])?;
            file.sync_data()?;
            Ok(begun.elapsed())
        })
        .collect::<std::io::Result<Vec<_>>>();
    std::fs::remove_file(&path)?;
    times
        .as_mut()
        .map(|times| {
            times.sort();
            times[times.len() / 2]
        })
        .map_err(|error| std::io::Error::new(error.kind(), error.to_string()))
}

/// Whether a folder lies on tmpfs, by the longest mount point that leads to it (proc_pid_mountinfo(5)).
fn in_memory(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let mounts = proc("self/mountinfo").unwrap_or_default();
    let mut best = (0, false);
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(point) = left.split(' ').nth(4) else { continue };
        if folder.starts_with(point) && point.len() >= best.0 {
            best = (point.len(), right.starts_with("tmpfs") || right.starts_with("ramfs"));
        }
    }
    best.1
}

/// The verified start traces its own child; Yama's scope 3 forbids even that (Documentation/admin-guide/LSM/Yama.rst).
fn start() -> Check {
    if !cfg!(target_os = "linux") {
        return Check::missing("verified start", "not on this platform", "run services on Linux");
    }
    match proc("sys/kernel/yama/ptrace_scope").as_deref() {
        Some("3") => Check::missing(
            "verified start",
            "ptrace is switched off for everyone (ptrace_scope 3)",
            "sysctl kernel.yama.ptrace_scope=1, after a restart of the machine",
        ),
        Some("2") => Check::warn(
            "verified start",
            "ptrace is for administrators only (ptrace_scope 2)",
            "run the supervisor with CAP_SYS_PTRACE",
        ),
        Some(scope) => Check::ok("verified start", format!("ptrace of own children (ptrace_scope {scope})")),
        None => Check::ok("verified start", "ptrace of own children"),
    }
}

fn probes() -> Check {
    match super::probe::available() {
        Ok(()) => Check::ok("probes", "built, and this user may load them"),
        Err(error) => Check::warn("probes", error.to_string(), super::probe::mend(&error)),
    }
}

fn descendants() -> Check {
    let unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let found = unified.iter().map(Path::new).find(|p| p.join("cgroup.controllers").is_file());
    match found {
        Some(root) if writable(root) => {
            Check::ok("descendants", format!("control groups at {}", root.display()))
        }
        _ => Check::warn(
            "descendants",
            "no control group can be made here; descendants are found by descent",
            "run as root, or under a systemd unit with Delegate=yes",
        ),
    }
}

fn writable(folder: &Path) -> bool {
    let probe = folder.join(format!("custody-doctor-{}", std::process::id()));
    std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).is_ok()
}

fn go(program: &Path) -> Check {
    match Command::new(program).arg("version").env("GOTOOLCHAIN", "local").output() {
        Ok(output) if output.status.success() => Check::ok(
            "go",
            String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("go version ").to_owned(),
        ),
        _ => Check::warn(
            "go",
            format!(
                "`{}` does not run; only `custody demo` and `toolchain check` need it",
                program.display()
            ),
            "custody toolchain install ARCHIVE --to DIR",
        ),
    }
}

/// Events carry the machine's time. A clock before this program's first release is certainly wrong.
fn clock() -> Check {
    let now = jiff::Timestamp::now();
    if now.to_string().as_str() < "2026" {
        return Check::missing("clock", format!("it says {now:.0}"), "set the clock");
    }
    Check::ok("clock", format!("{now:.0}"))
}
