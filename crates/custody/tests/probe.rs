//! `custody probe`, from the outside: what it prints and records, how it ends, and what it leaves behind.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Home, text};

/// A server with a log of its own, and a client.
const SOURCE: &str = include_str!("../../probe/tests/support/http.go");

fn skip(test: &str, missing: &str) {
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs {missing}");
    eprintln!("SKIPPED {test}: no {missing}");
}

/// The program, built; nothing, said aloud, where there is no Go or no probe can be had.
fn program(test: &str, home: &Home) -> Option<PathBuf> {
    home.write("go.mod", "module example.com/probed\n\ngo 1.18\n");
    home.write("main.go", SOURCE);
    let path = home.folder().join("server");
    let rig = std::env::var_os("CUSTODY_RIG_DIR").map(|rig| PathBuf::from(rig).join("go/bin/go"));
    let given = std::env::var_os("CUSTODY_GO").map(PathBuf::from);
    let built = given.into_iter().chain(rig).chain([PathBuf::from("go")]).any(|go| {
        let mut command = Command::new(go);
        command.args(["build", "-o"]).arg(&path).arg(".").current_dir(home.folder());
        command
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod")
            .env("GOWORK", "off")
            .env("CGO_ENABLED", "0");
        command.output().is_ok_and(|output| output.status.success())
    });
    if !built {
        skip(test, "Go toolchain (set CUSTODY_GO, or put `go` on the PATH)");
        return None;
    }
    let binary = path.to_str().unwrap();
    let tried = home.command(&["probe", "http", "--binary", binary, "--duration", "1"]).output().unwrap();
    if tried.status.code() == Some(3) {
        skip(test, &format!("probes: {}", text(&tried.stderr)));
        return None;
    }
    assert!(tried.status.success(), "{}", text(&tried.stderr));
    Some(path)
}

struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(path: &Path) -> Self {
        let mut child = Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the ledger says that a probe is in place.
fn attached(home: &Home, times: usize) {
    let is_attached = || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let found = home.run(&["audit", "query", "--act", "PROBE.ATTACHED", "--json"], 0);
        text(&found.stdout).lines().count() >= times
    };
    assert!((0..400).any(|_| is_attached()), "no probe was attached");
}

#[test]
fn requests_are_printed_and_the_probe_is_recorded() {
    let home = Home::new();
    let Some(path) = program("requests_are_printed_and_the_probe_is_recorded", &home) else { return };
    let (mut server, mut client) = (Running::start(&path), Running::start(&path));
    let url = server.ask("start h1");
    let pid = server.child.id().to_string();
    let probe = home
        .command(&["probe", "http", "--pid", &pid, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    attached(&home, 2); // the first was the trial
    client.ask(&format!("load {url} 300"));
    kill(Pid::from_raw(i32::try_from(probe.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = probe.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, requests) = lines.split_last().unwrap();
    let logged: usize = server.ask(&format!("log {}", home.folder().join("log").display())).parse().unwrap();
    assert_eq!(requests.len(), logged);
    assert_eq!(
        (end["requests"].as_u64().unwrap(), end["lost"]["no_room"].as_u64()),
        (logged as u64, Some(0))
    );
    let one = requests.iter().find(|r| r["path"] == "/plain/201/700/1").unwrap();
    assert_eq!((&one["method"], &one["status"], &one["bytes"]), (&"POST".into(), &201.into(), &700.into()));
    assert!(one.get("query").is_none() && !text(&output.stdout).contains("secret="), "queries stay unseen");
    let ended = home.run(&["audit", "query", "--act", "PROBE.ENDED", "--json"], 0);
    let last: Value = serde_json::from_str(text(&ended.stdout).lines().last().unwrap()).unwrap();
    assert!(last.to_string().contains(&format!("\"seen\":\"{logged}\"")), "{last}");
}

#[test]
fn a_killed_probe_leaves_the_code_as_it_was() {
    let home = Home::new();
    let Some(path) = program("a_killed_probe_leaves_the_code_as_it_was", &home) else { return };
    let mut server = Running::start(&path);
    server.ask("start h1");
    let pid = server.child.id().to_string();
    let bytes = std::fs::read(&path).unwrap();
    let binary = gobinary::Binary::parse(&bytes).unwrap();
    let functions = binary.functions().unwrap();
    let function = functions.iter().find(|f| f.name == "main.handler").unwrap();
    let code = || {
        let mut now = vec![0; binary.code(function).len()];
        let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
        memory.read_exact_at(&mut now, function.entry).unwrap();
        now
    };
    assert_eq!(code(), binary.code(function));
    let mut probe = home.command(&["probe", "func", "--pid", &pid, "main.handler"]).spawn().unwrap();
    attached(&home, 2);
    assert_ne!(code(), binary.code(function), "the breakpoint is there");
    probe.kill().unwrap();
    probe.wait().unwrap();
    // The kernel takes it out when the last descriptor goes, which is a moment after the process.
    let gone = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        code() == binary.code(function)
    });
    assert!(gone, "the breakpoint is still there");
}

#[test]
fn without_privilege_it_says_what_is_missing() {
    let test = "without_privilege_it_says_what_is_missing";
    let home = Home::new();
    let Some(path) = program(test, &home) else { return };
    std::fs::set_permissions(home.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let custody = env!("CARGO_BIN_EXE_custody");
    let copy = home.folder().join("custody");
    std::fs::copy(custody, &copy).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
    command.args(["probe", "func", "main.main", "--json", "--binary"]).arg(&path);
    command.env("CUSTODY_HOME", "/nonexistent");
    let Ok(output) = command.output() else { return skip(test, "setpriv") };
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(said["error"].as_str().unwrap().contains("CAP_BPF"), "{said}");
}
