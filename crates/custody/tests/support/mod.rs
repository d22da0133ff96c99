//! What the tests of the command line share: a home of their own, and this build's binary.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

pub(crate) mod go;
pub(crate) mod http;
pub(crate) mod judges;
pub(crate) mod patch;
pub(crate) mod pe;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A home in a folder of its own, gone with the value.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// A folder without a home.
    pub(crate) fn absent() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A home made by `custody init`.
    pub(crate) fn new() -> Self {
        let home = Self::absent();
        home.run(&["init"], 0);
        home
    }

    /// The folder that holds the home and whatever else the test needs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The home itself.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder().join("home")
    }

    /// A file in the test's folder.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `custody` with this home, in the test's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custody"));
        command.args(arguments).current_dir(self.folder()).env("CUSTODY_HOME", self.path());
        command
    }

    /// Runs to the end and insists on the exit code.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Output {
        self.run_with(arguments, b"", code)
    }

    /// The same with something on standard input.
    #[track_caller]
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8], code: i32) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A command that refuses its arguments closes the pipe: that is its right.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let got = output.status.code();
        assert_eq!(got, Some(code), "custody {}\nstdout: {out}\nstderr: {err}", arguments.join(" "));
        output
    }
}

/// Bytes as text, for looking at.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A valid event of the given id.
pub(crate) fn event(id: &str) -> String {
    format!(
        concat!(
            r#"{{"id":"{}","ts":"2026-11-20T08:30:45.123456789Z","severity":"INFO","#,
            r#""sub":{{"user":"10086"}},"act":"AUTH.LOGIN.FAIL","obj":{{"table":"users"}},"#,
            r#""ctx":{{"ip":"192.168.3.5"}}}}"#
        ),
        id
    )
}

/// A version-4 id made of a number.
pub(crate) fn id(number: u64) -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", number >> 32, number & 0xffff_ffff)
}
