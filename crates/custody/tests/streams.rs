//! What a script sees: exit codes that do not depend on who reads the output, and JSON for every error.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::{Home, event, id, text};

/// A sealed folder in which a file was changed since.
fn broken_seal() -> Home {
    let home = Home::new();
    home.write("bin/tool", "one");
    home.run(&["seal", "create", "bin", "-o", "s.json"], 0);
    home.write("bin/tool", "two");
    home
}

/// The writing end of a pipe that nobody reads.
fn unread() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

#[test]
fn a_finding_that_nobody_reads_is_still_a_finding() {
    let home = broken_seal();
    for flags in [
        &["seal", "verify", "bin", "--seal", "s.json"][..],
        &["--json", "seal", "verify", "bin", "--seal", "s.json"],
    ] {
        let status = home.command(flags).stdout(unread()).stderr(unread()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{flags:?}");
    }
}

#[test]
fn receipts_that_nobody_reads_do_not_end_the_recording() {
    let home = Home::new();
    let lines: String = (0..20_000).map(|n| event(&id(n)) + "\n").collect();
    let input = std::fs::File::open(home.write("events", lines)).unwrap();
    let mut record = home.command(&["audit", "record"]);
    let status = record.stdin(input).stdout(unread()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let found = home.run(&["--json", "audit", "query", "--act", "AUTH."], 0);
    assert_eq!(text(&found.stdout).lines().count(), 20_000);
}

#[test]
fn a_wrong_usage_is_one_json_document_too() {
    let home = Home::absent();
    for arguments in
        [&["--json", "sael"][..], &["seal", "create", "--json"], &["audit", "tail", "--json", "--limit", "x"]]
    {
        let output = home.run(arguments, 2);
        let document: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(document["code"], 2, "{document}");
        assert!(!document["error"].as_str().unwrap().is_empty(), "{document}");
    }
    let output = home.run(&["run", "--unsealed", "--bogus", "--", "true", "--json"], 2);
    assert!(text(&output.stderr).starts_with("error: "), "an argument of the program is not ours");
}

#[test]
fn a_duration_beyond_the_clock_is_no_crash() {
    let home = Home::new();
    home.run(&["audit", "tail", "--duration", "18446744073709551615", "--lines", "1", "--limit", "1"], 0);
}

#[test]
fn a_ledger_that_is_gone_does_not_hold() {
    let home = Home::new();
    std::fs::remove_dir_all(home.path().join("log")).unwrap();
    let output = home.run(&["audit", "verify"], 1);
    assert!(text(&output.stdout).contains("log/checkpoint: missing"), "{}", text(&output.stdout));
}

#[test]
fn a_missing_tile_is_damage_wherever_it_is_met() {
    let home = Home::new();
    std::fs::remove_dir_all(home.path().join("log/tiles/sm3")).unwrap();
    for command in [&["audit", "verify"][..], &["audit", "query"]] {
        home.run(command, 1);
    }
    home.run_with(&["audit", "record"], event(&id(1)).as_bytes(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_not_replaced_by_a_seal() {
    let home = Home::new();
    home.write("bin/tool", "one");
    let socket = home.folder().join("special");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let output = home.run(&["seal", "create", "bin", "-o", "special"], 2);
    assert!(text(&output.stderr).contains("a device, a pipe or a socket"), "{}", text(&output.stderr));
    home.run(&["audit", "prove", "--index", "0", "-o", "special"], 2);
    assert!(!socket.symlink_metadata().unwrap().is_file());
}

/// Files may not grow beyond 50 KB: the ledger opens and the seal fits, but the write-ahead log does not.
#[cfg(unix)]
#[test]
fn a_seal_that_cannot_be_recorded_is_not_there() {
    let home = Home::new();
    home.write("bin/tool", "one");
    let full = "trap '' XFSZ; ulimit -f 100; exec \"$0\" seal create bin -o s.json";
    let custody = env!("CARGO_BIN_EXE_custody");
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", full]).arg(custody).current_dir(home.folder()).env("CUSTODY_HOME", home.path());
    let status = limited.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(!home.folder().join("s.json").exists());
}

#[cfg(unix)]
#[test]
fn an_owner_that_is_stopped_is_named_and_not_waited_for() {
    let home = Home::new();
    let mut owner = home.command(&["audit", "tail"]).stdout(Stdio::null()).spawn().unwrap();
    while !home.path().join("custody.sock").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut stop = std::process::Command::new("sh");
    let stopped = stop.args(["-c", r#"kill -s STOP "$0""#, &owner.id().to_string()]).status();
    assert!(stopped.unwrap().success());
    let output = home.run_with(&["audit", "record"], event(&id(1)).as_bytes(), 3);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(text(&output.stderr).contains("fuser"), "{}", text(&output.stderr));
}

/// Every option and argument that names a small file, with `special` in its place.
const SMALL_FILES: [&[&str]; 6] = [
    &["seal", "verify", "bin", "--seal", "special"],
    &["seal", "verify", "bin", "--seal", "s.json", "--trust", "special"],
    &["seal", "create", "bin", "-o", "t.json", "--key-file", "special"],
    &["key", "trust", "special", "--name", "theirs"],
    &["audit", "verify", "--checkpoint", "special"],
    &["inspect", "special"],
];

#[cfg(unix)]
#[test]
fn a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for() {
    let home = broken_seal();
    let made = std::process::Command::new("mkfifo").arg(home.folder().join("special")).status();
    assert!(made.unwrap().success());
    for arguments in SMALL_FILES {
        let mut child = home.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let start = std::time::Instant::now();
        while child.try_wait().unwrap().is_none() && start.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        child.kill().unwrap(); // it has ended, unless it waits
        let output = child.wait_with_output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains("a pipe") && error.contains("special"), "{error}");
    }
}

#[test]
fn a_directory_in_the_place_of_a_file_is_the_callers_mistake() {
    let home = broken_seal();
    std::fs::create_dir(home.folder().join("special")).unwrap();
    for arguments in SMALL_FILES {
        let error = text(&home.run(arguments, 2).stderr);
        assert!(error.contains("it is a directory"), "{arguments:?}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn what_the_shell_hands_over_open_is_read() {
    let home = broken_seal();
    home.write("bin/tool", "one");
    let seal = std::fs::read(home.folder().join("s.json")).unwrap();
    home.run_with(&["seal", "verify", "bin", "--seal", "/dev/stdin"], &seal, 0);
}
