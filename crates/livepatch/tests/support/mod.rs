//! Builds the two forms of a Go program, starts the old one, and talks with it.
#![allow(dead_code, reason = "every test program uses a part of it")]

pub(crate) mod pairs;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use livepatch::Patch;

/// Where the new build is linked, so that it can stand beside the old one.
const NEW_BASE: &str = "-ldflags=-T=0x6e5a1000";

/// The Go commands of the rig, the newest first: `CUSTODY_GO`, those that `CUSTODY_GO_RELEASES` names, or else those in
/// `go-releases/*/bin/go` of `CUSTODY_RIG_DIR`. Live patches are made for Go 1.21 and later.
pub(crate) fn toolchains() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::env::var("CUSTODY_GO_RELEASES")
        .map(|named| std::env::split_paths(&named).collect())
        .unwrap_or_default();
    if found.is_empty()
        && let Some(rig) = std::env::var_os("CUSTODY_RIG_DIR")
        && let Ok(entries) = std::fs::read_dir(PathBuf::from(rig).join("go-releases"))
    {
        found = entries.filter_map(|e| e.ok()).map(|e| e.path().join("bin/go")).collect();
    }
    found.retain(|go| release(go).is_some_and(|minor| minor >= 21));
    found.sort_by_key(|go| std::cmp::Reverse(release(go)));
    if let Some(go) = std::env::var_os("CUSTODY_GO").map(PathBuf::from).filter(|go| go.exists()) {
        found.retain(|other| release(other) != release(&go));
        found.insert(0, go);
    }
    if found.is_empty() {
        eprintln!("SKIPPED: no Go toolchain; run scripts/setup.sh and set CUSTODY_GO");
    }
    found
}

/// `22` of a toolchain of Go 1.22.
fn release(go: &Path) -> Option<u32> {
    let version = Command::new(go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().ok()?;
    let text = String::from_utf8(version.stdout).ok()?;
    let rest = text.trim().strip_prefix("go1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
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
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut service = Self { child, input, output: BufReader::new(output) };
        assert!(service.line().starts_with("ready"));
        service
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    pub(crate) fn ask(&mut self, question: &str) -> String {
        writeln!(self.input, "{question}").expect("the service listens");
        self.line()
    }

    /// Says what ends it; what it wrote to standard error then.
    pub(crate) fn die(&mut self, question: &str) -> String {
        writeln!(self.input, "{question}").expect("the service listens");
        let mut said = String::new();
        let errors = self.child.stderr.as_mut().expect("piped");
        errors.read_to_string(&mut said).expect("the service says why it ends");
        assert!(!self.child.wait().expect("it ends").success());
        said
    }

    /// From now on every answer of thousands is of this form, and none was ever wrong.
    pub(crate) fn expect(&mut self, form: &str) {
        assert_eq!(self.ask(&format!("expect {form}")).trim_end(), format!("{form} 0"));
        if form != "any" {
            assert_eq!(self.ask("answer 5"), format!("{form} 9"));
        }
        assert_eq!(self.ask("collect"), "collected");
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the service answers");
        if !line.ends_with('\n') {
            let mut said = String::new();
            if let Some(errors) = &mut self.child.stderr {
                let _ = errors.read_to_string(&mut said);
            }
            panic!("the service has died: {said}");
        }
        line.trim_end_matches('\n').to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
