//! `--seal`: the seal of a file, of a directory, of an archive's content; who signed it, and who no longer counts.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::rig::{self, Finished, Running, dir, sha256, witness};

/// A folder with a home, a key, and `build/payments` sealed as a file and as a directory.
fn sealed() -> TempDir {
    let dir = dir();
    fs::create_dir(dir.path().join("build")).unwrap();
    witness(&dir.path().join("build"), "payments", "good");
    custody(dir.path(), &["init"]);
    custody(dir.path(), &["seal", "create", "build", "-o", "dir.seal.json"]);
    custody(dir.path(), &["seal", "create", "build/payments", "-o", "file.seal.json"]);
    dir
}

fn custody(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custody"));
    let output = command.args(args).current_dir(dir).env("CUSTODY_HOME", dir.join("home")).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_runs_under_the_seal_of_itself_and_of_its_directory() {
    let dir = sealed();
    for seal in ["dir.seal.json", "file.seal.json"] {
        let run = Finished::run(dir.path(), &["--seal", seal, "--json"], &["build/payments"]);
        assert_eq!(run.ended(0).stdout, "good\n");
        let verified = &run.facts()[0];
        assert_eq!(verified["act"], "RUN.VERIFIED");
        let grounds = verified["ctx"]["grounds"].as_str().unwrap();
        assert!(grounds.contains(&format!("of {seal}, signed by default (")), "{grounds}");
    }
}

#[test]
fn one_changed_byte_keeps_it_from_running() {
    let dir = sealed();
    let sum = sha256(&dir.path().join("build/payments"));
    let mut bytes = fs::read(dir.path().join("build/payments")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    rig::overwrite(&dir.path().join("build/payments"), &bytes);
    for seal in ["dir.seal.json", "file.seal.json"] {
        let run = Finished::run(dir.path(), &["--seal", seal], &["build/payments"]);
        assert_eq!(run.ended(1).stdout, "");
        assert!(
            run.stderr.contains("error: binary `payments` is not the one that was sealed"),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains(&format!("  sealed  sha256:{}…  by default\n", &sum[..16])),
            "{}",
            run.stderr
        );
        // The hint is a command that can be run as it stands, and names the change.
        let hint = run.stderr.split_once("hint: see what changed with `custody ").unwrap().1;
        let words: Vec<_> = hint.split('`').next().unwrap().split(' ').collect();
        let mut look = Command::new(env!("CARGO_BIN_EXE_custody"));
        let look = Finished::of(look.args(words).current_dir(dir.path()).env("CUSTODY_HOME", "home"));
        assert!(look.ended(1).stdout.contains("payments"), "{}", look.stdout);
    }
}

#[test]
fn another_sealed_program_in_its_place_is_refused() {
    let dir = sealed();
    witness(&dir.path().join("build"), "admin", "evil");
    custody(dir.path(), &["seal", "create", "build", "-o", "both.seal.json"]);
    fs::rename(dir.path().join("build/admin"), dir.path().join("build/payments")).unwrap();
    let run = Finished::run(dir.path(), &["--seal", "both.seal.json"], &["build/payments"]);
    assert_eq!(run.ended(1).stdout, "");
    Finished::run(dir.path(), &["--seal", "both.seal.json"], &["/bin/true"]).ended(1);
}

#[test]
fn whose_seal_it_is_counts_at_every_start() {
    let dir = sealed();
    // Nobody here knows the signer.
    let elsewhere = dir.path().join("elsewhere");
    let mut command = rig::custody(dir.path(), &["--seal", "file.seal.json"]);
    let run = Finished::of(command.arg("build/payments").env("CUSTODY_HOME", &elsewhere));
    assert!(run.ended(1).stderr.contains("which is not trusted here"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    // Revoked while it runs: the restart is refused.
    let options = ["--seal", "file.seal.json", "--restart-delay", "500ms"];
    let mut run = Running::start(dir.path(), &options, &["build/payments", "1"]);
    run.await_fact("RUN.RESTARTING");
    custody(dir.path(), &["key", "revoke", "default", "--reason", "lost"]);
    let (code, facts) = run.finish();
    assert_eq!(code, Some(1));
    assert_eq!(rig::act(&facts[0]), "RUN.REFUSED");
    assert!(facts[0]["ctx"]["reason"].as_str().unwrap().contains("nobody who is trusted now signed"));
}

#[test]
fn a_seal_that_cannot_be_used_is_told_before_anything_starts() {
    let dir = sealed();
    Finished::run(dir.path(), &["--seal", "absent.seal.json"], &["build/payments"]).ended(2);
    fs::write(dir.path().join("broken.seal.json"), "{").unwrap();
    let run = Finished::run(dir.path(), &["--seal", "broken.seal.json"], &["build/payments"]);
    assert_eq!(run.ended(2).stdout, "");
    Finished::run(dir.path(), &["--seal", "file.seal.json", "--unsealed"], &["build/payments"]).ended(2);
}

#[test]
fn each_step_is_in_the_ledger_before_the_next() {
    let dir = sealed();
    // The service asks the ledger, through its supervisor, whether its own verification is recorded already.
    let ask = "custody audit query --json --act RUN.VERIFIED";
    let line = ask.replace("custody", env!("CARGO_BIN_EXE_custody"));
    rig::copy("/bin/sh".as_ref(), &dir.path().join("build/service"));
    custody(dir.path(), &["seal", "create", "build", "-o", "service.seal.json"]);
    let mut command = rig::custody(dir.path(), &["--seal", "service.seal.json", "--json", "--no-restart"]);
    let home = format!("CUSTODY_HOME={}", dir.path().join("home").display());
    let run = Finished::of(command.args(["build/service", "-c", &format!("{home} {line}; kill -SEGV $$")]));
    run.ended(3);
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    let told = run.acts();
    assert_eq!(told, ["RUN.VERIFIED", "RUN.STARTED", "RUN.CRASHED", "RUN.GAVE_UP"]);
    let query = custody(dir.path(), &["audit", "query", "--json"]);
    let recorded: Vec<String> = query
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|entry| rig::act(entry.get("event").unwrap_or(&entry)))
        .filter(|act| act.starts_with("RUN."))
        .collect();
    assert_eq!(recorded, told);
    custody(dir.path(), &["audit", "verify"]);
    // Without --crash-dir the report is in the home.
    assert_eq!(fs::read_dir(dir.path().join("home/crashes")).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_recorded_does_not_start() {
    let dir = sealed();
    fs::remove_dir_all(dir.path().join("home/keys")).unwrap();
    for options in [&["--unsealed"][..], &["--expect-sha256", &sha256("/usr/bin/touch".as_ref())]] {
        let run = Finished::run(dir.path(), options, &["/usr/bin/touch", "mark"]);
        assert!(run.code.is_some_and(|code| code >= 2), "{:?} {}", run.code, run.stderr);
        assert!(!dir.path().join("mark").exists());
    }
}

#[test]
fn a_key_to_trust_goes_with_a_seal_only() {
    let dir = sealed();
    let digest = "0".repeat(64);
    for source in [&[][..], &["--unsealed"], &["--expect-sha256", &digest], &["--expect-sm3", &digest]] {
        let options = [&["--trust", "k.pem"], source].concat();
        let run = Finished::run(dir.path(), &options, &["build/payments"]);
        assert!(
            run.ended(2).stderr.contains("--trust") || run.stderr.contains("--seal <FILE>"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("Usage:") && !run.stderr.contains("|--trust"), "{}", run.stderr);
    }
}
