//! Builds the two forms of a Go program, starts the old one, and talks with it.
#![allow(dead_code, reason = "every test program uses a part of it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use livepatch::Patch;

/// Where the new build is linked, so that it can stand beside the old one.
const NEW_BASE: &str = "-ldflags=-T=0x6e5a1000";

/// The Go commands of the rig: `CUSTODY_GO`, and others in `go-*/bin/go` of `CUSTODY_RIG_DIR`.
pub(crate) fn toolchains() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::env::var_os("CUSTODY_GO").map(PathBuf::from).into_iter().collect();
    if let Some(rig) = std::env::var_os("CUSTODY_RIG_DIR")
        && let Ok(entries) = std::fs::read_dir(rig)
    {
        let mut others: Vec<PathBuf> = entries
            .filter_map(|e| e.ok())
            .filter(|e| e.file_name().to_string_lossy().starts_with("go-"))
            .map(|e| e.path().join("bin/go"))
            .collect();
        others.sort();
        found.extend(others);
    }
    found.retain(|go| go.exists());
    if found.is_empty() {
        eprintln!("SKIPPED: no Go toolchain; run scripts/setup.sh and set CUSTODY_GO");
    }
    found
}

/// The two builds of one kind of change.
pub(crate) struct Builds {
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
    folder: tempfile::TempDir,
}

impl Builds {
    pub(crate) fn of(go: &Path, kind: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        build(go, folder.path(), kind, "old", &old, &[]);
        build(go, folder.path(), kind, "new", &new, &[NEW_BASE]);
        Self { old, new, folder }
    }

    /// The new form in the place of the old one.
    pub(crate) fn patch(&self) -> livepatch::Result<Patch> {
        livepatch::build(&std::fs::read(&self.old).expect("built"), &std::fs::read(&self.new).expect("built"))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Builds one form, with the sources laid out the same way for both.
pub(crate) fn build(go: &Path, folder: &Path, kind: &str, form: &str, to: &Path, flags: &[&str]) {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let source = folder.join("source");
    std::fs::create_dir_all(&source).expect("a folder");
    std::fs::copy(programs.join("main.go"), source.join("main.go")).expect("copied");
    std::fs::copy(programs.join(kind).join(format!("{form}.go")), source.join("change.go")).expect("copied");
    std::fs::write(source.join("go.mod"), "module example\n\ngo 1.21\n").expect("written");
    let built = Command::new(go)
        .arg("build")
        .args(flags)
        .arg("-o")
        .arg(to)
        .arg(".")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .current_dir(&source)
        .status()
        .expect("go runs");
    assert!(built.success(), "{} builds {kind}/{form}", go.display());
}

/// The running old form.
pub(crate) struct Service {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Service {
    pub(crate) fn start(binary: &Path) -> Self {
        let mut child = Command::new(binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut service = Self { child, input, output: BufReader::new(output) };
        assert_eq!(service.line(), "ready");
        service
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    pub(crate) fn ask(&mut self, question: &str) -> String {
        writeln!(self.input, "{question}").expect("the service listens");
        self.line()
    }

    /// From now on every answer of thousands is of this form, and none was ever wrong.
    pub(crate) fn expect(&mut self, form: &str) {
        assert_eq!(self.ask(&format!("expect {form}")).trim_end(), format!("{form} 0"));
        if form != "any" {
            assert_eq!(self.ask("answer 5"), format!("{form} 9"));
        }
        assert_eq!(self.ask("collect"), "collected");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the service answers");
        assert!(line.ends_with('\n'), "the service has died");
        line.trim_end_matches('\n').to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
