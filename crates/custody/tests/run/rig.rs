//! What the tests of `custody run` share: programs built on the spot, and the command with its output taken apart.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than any of these steps takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run/programs")
}

/// Compiles `source` with the C compiler that linked this test.
pub(crate) fn c_program(dir: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let out = dir.join(name);
    let status =
        Command::new("cc").arg("-o").arg(&out).args(flags).arg(programs().join(source)).status().unwrap();
    assert!(status.success(), "cc {source}");
    out
}

/// The witness in one of its variants; both have the same length.
pub(crate) fn witness(dir: &Path, name: &str, variant: &str) -> PathBuf {
    assert_eq!(variant.len(), 4);
    c_program(dir, name, "witness.c", &[&format!("-DVARIANT=\"{variant}\"")])
}

/// Runs a tool that writes a program. Not this process itself: a descriptor that it has open for writing would be in
/// whatever another test forks at that moment, and the program could not be started (ETXTBSY).
#[track_caller]
pub(crate) fn tool<S: AsRef<OsStr>>(words: &[S]) {
    assert!(Command::new(&words[0]).args(&words[1..]).status().unwrap().success());
}

pub(crate) fn copy(from: &Path, to: &Path) {
    tool(&["cp".as_ref(), from, to]);
}

/// Writes `bytes` over `to`, in place.
pub(crate) fn overwrite(to: &Path, bytes: &[u8]) {
    let aside = to.with_extension("aside");
    std::fs::write(&aside, bytes).unwrap();
    tool(&[
        "dd".as_ref(),
        format!("if={}", aside.display()).as_ref(),
        format!("of={}", to.display()).as_ref(),
        OsStr::new("status=none"),
    ]);
    std::fs::remove_file(aside).unwrap();
}

/// The Go command, or `None` after saying that `test` is skipped.
pub(crate) fn go(test: &str) -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let own = repository.join(".rig/go/bin/go");
    let named = std::env::var_os("CUSTODY_GO").map(PathBuf::from);
    let go = named.unwrap_or_else(|| if own.is_file() { own } else { "go".into() });
    if Command::new(&go).arg("version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        return Some(go);
    }
    eprintln!("SKIPPED {test}: no Go toolchain (put `go` on the PATH, or name it in CUSTODY_GO)");
    None
}

/// Builds `listener.go`.
pub(crate) fn listener(go: &Path, dir: &Path) -> PathBuf {
    let out = dir.join("listener");
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(&out).arg(programs().join("listener.go"));
    build.env("GOTOOLCHAIN", "local").env("GO111MODULE", "off").env("CGO_ENABLED", "0").env("GOFLAGS", "");
    assert!(build.status().unwrap().success(), "go build");
    out
}

pub(crate) fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// SHA-256 as `sha256sum` tells it.
pub(crate) fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// `custody run` in `dir`, with `options`, before `--`.
pub(crate) fn custody(dir: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custody"));
    command.arg("run").args(options).arg("--");
    command.current_dir(dir).env("CUSTODY_HOME", dir.join("home")).stdin(Stdio::null());
    command
}

/// What a finished run left.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn run<S: AsRef<OsStr>>(dir: &Path, options: &[&str], command: &[S]) -> Self {
        Self::of(custody(dir, options).args(command))
    }

    /// The facts, in order; needs `--json`.
    pub(crate) fn facts(&self) -> Vec<Value> {
        self.stderr.lines().filter_map(fact).collect()
    }

    pub(crate) fn acts(&self) -> Vec<String> {
        self.facts().iter().map(act).collect()
    }

    #[track_caller]
    pub(crate) fn ended(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

fn fact(line: &str) -> Option<Value> {
    serde_json::from_str::<Value>(line).ok().filter(|value| value.get("act").is_some())
}

pub(crate) fn act(fact: &Value) -> String {
    fact["act"].as_str().unwrap().to_owned()
}

/// A run under way, told by its facts.
pub(crate) struct Running {
    child: Child,
    facts: BufReader<ChildStderr>,
}

impl Running {
    /// `options` get `--json` added. What the tests inherited as ignored (SIGINT, when a shell started them with `&`)
    /// would stay ignored by the supervisor, as it should: here it is put back first.
    pub(crate) fn start<S: AsRef<OsStr>>(dir: &Path, options: &[&str], command: &[S]) -> Self {
        let options = [options, &["--json"]].concat();
        let inner = custody(dir, &options);
        let mut child = Command::new("env")
            .arg("--default-signal=HUP,INT,QUIT")
            .arg(inner.get_program())
            .args(inner.get_args())
            .args(command)
            .current_dir(dir)
            .env("CUSTODY_HOME", dir.join("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let facts = BufReader::new(child.stderr.take().unwrap());
        Self { child, facts }
    }

    /// Reads on to the next fact with this action.
    #[track_caller]
    pub(crate) fn await_fact(&mut self, wanted: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.facts.read_line(&mut line).unwrap() > 0, "ended before {wanted}");
            if let Some(fact) = fact(&line).filter(|fact| fact["act"] == wanted) {
                return fact;
            }
        }
    }

    /// The pid of the process that is started next.
    #[track_caller]
    pub(crate) fn await_start(&mut self) -> i32 {
        self.await_fact("RUN.STARTED")["ctx"]["pid"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id().cast_signed(), name);
    }

    /// Waits for its end; gives the code and the facts that were still unread.
    pub(crate) fn finish(mut self) -> (Option<i32>, Vec<Value>) {
        let mut rest = String::new();
        self.facts.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest.lines().filter_map(fact).collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a failed assertion; SIGTERM lets it take its service along.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal("TERM");
            let _ = self.child.wait();
        }
    }
}

pub(crate) fn signal(pid: i32, name: &str) {
    // The shell's own `kill`: the program of that name is not on every machine.
    let mut command = Command::new("sh");
    assert!(command.args(["-c", r#"kill -s "$0" "$1""#, name, &pid.to_string()]).status().unwrap().success());
}

/// Alive, and not only waiting to be reaped.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
