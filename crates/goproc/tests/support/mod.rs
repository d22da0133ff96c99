//! Builds the Go program beside this file and talks with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The Go command of the rig; a test without it says so and does nothing.
pub(crate) fn go() -> Option<PathBuf> {
    let go = std::env::var_os("CUSTODY_GO").map(PathBuf::from).filter(|go| go.exists());
    if go.is_none() {
        eprintln!("SKIPPED: no Go toolchain; run scripts/setup.sh and set CUSTODY_GO");
    }
    go
}

/// Builds it and starts it.
pub(crate) struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub(crate) fn start(go: &Path, folder: &Path) -> Self {
        let binary = folder.join("program");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/main.go");
        let built = Command::new(go)
            .args(["build", "-o"])
            .arg(&binary)
            .arg(&source)
            .env("GOTOOLCHAIN", "local")
            .env("CGO_ENABLED", "0")
            .current_dir(folder)
            .status()
            .expect("go runs");
        assert!(built.success());
        let mut child = Command::new(&binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut program = Self { child, input, output: BufReader::new(output) };
        assert_eq!(program.line(), "ready");
        program
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the program answers");
        line.trim_end().to_owned()
    }

    /// It works, and has never found one of its own results wrong.
    pub(crate) fn assert_well(&mut self) {
        self.input.write_all(b"well\n").expect("the program listens");
        assert_eq!(self.line(), "well 0");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
