//! Another user of the machine: reads no key, takes no part in the ledger, and where the operator lets them in, is who the
//! kernel says they are.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{Home, event, id, text};

/// `nobody`.
const OTHER: u32 = 65_534;

/// Runs a program as the other user, with something on standard input.
fn as_other(home: &Home, program: &Path, arguments: &[&str], input: &str) -> Output {
    let input = home.write("input", input);
    std::fs::set_permissions(&input, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).env("CUSTODY_HOME", home.path()).current_dir("/");
    command.stdin(std::fs::File::open(input).unwrap()).uid(OTHER).gid(OTHER).output().unwrap()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A copy of the binary where everybody may execute it; nothing where this process is not root.
fn stage() -> Option<(Home, std::path::PathBuf)> {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can be somebody else");
        return None;
    }
    let home = Home::new();
    mode(home.folder(), 0o755);
    let binary = home.folder().join("custody");
    std::fs::copy(env!("CARGO_BIN_EXE_custody"), &binary).unwrap();
    mode(&binary, 0o755);
    Some((home, binary))
}

#[test]
fn another_user_reads_no_key_and_records_nothing() {
    let Some((home, binary)) = stage() else { return };
    home.run_with(&["audit", "record"], event(&id(1)).as_bytes(), 0);
    // Also where the home itself stands open, and while an owner serves it.
    mode(&home.path(), 0o755);
    for folder in ["keys", "log", "log/entries"] {
        mode(&home.path().join(folder), 0o755);
    }
    for key in ["keys/log.pem", "keys/default.pem"] {
        let path = home.path().join(key);
        let read = as_other(&home, Path::new("cat"), &[path.to_str().unwrap()], "");
        assert!(!read.status.success() && read.stdout.is_empty(), "{key}");
        assert!(text(&read.stderr).contains("Permission denied"), "{}", text(&read.stderr));
    }
    let alone = as_other(&home, &binary, &["audit", "record"], &event(&id(2)));
    assert_ne!(alone.status.code(), Some(0));
    assert!(alone.stdout.is_empty());
    let mut owner =
        home.command(&["audit", "tail"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let socket = home.path().join("custody.sock");
    let there = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        socket.exists()
    });
    assert!(there, "the owner serves its socket");
    let beside = as_other(&home, &binary, &["audit", "record"], &event(&id(3)));
    assert_ne!(beside.status.code(), Some(0), "{}", text(&beside.stdout));
    assert!(beside.stdout.is_empty());
    owner.kill().unwrap();
    owner.wait().unwrap();
    let stored = text(&home.run(&["--json", "audit", "query", "--act", "AUTH."], 0).stdout);
    assert_eq!(stored.lines().count(), 1, "{stored}");
    home.run(&["audit", "verify"], 0);
}

#[test]
fn who_is_let_in_is_named_by_the_kernel_and_not_by_themselves() {
    let Some((home, binary)) = stage() else { return };
    home.run_with(&["audit", "record"], event(&id(1)).as_bytes(), 0);
    let mut owner =
        home.command(&["audit", "tail"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let socket = home.path().join("custody.sock");
    let there = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        socket.exists()
    });
    assert!(there, "the owner serves its socket");
    // The operator opens the socket to everybody, by hand.
    mode(&home.path(), 0o755);
    mode(&socket, 0o666);
    let forged = event(&id(2)).replace("\"ctx\":{", "\"ctx\":{\"peer.uid\":\"0\",");
    let refused = as_other(&home, &binary, &["audit", "record"], &forged);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    let own = as_other(&home, &binary, &["audit", "record"], &event(&id(3)));
    assert_eq!(own.status.code(), Some(0), "{}", text(&own.stderr));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let stored = text(&home.run(&["--json", "audit", "query", "--id", &id(3)], 0).stdout);
    let stored: Value = serde_json::from_str(stored.trim()).unwrap();
    assert_eq!((&stored["ctx"]["peer.uid"], &stored["ctx"]["peer.gid"]), (&"65534".into(), &"65534".into()));
    assert_eq!(text(&home.run(&["--json", "audit", "query", "--id", &id(2)], 0).stdout), "");
}
