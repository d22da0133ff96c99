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
