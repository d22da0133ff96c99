//! What runs, what does not, and what is said about it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::rig::{self, Finished, Running, c_program, custody, dir, sha256, witness};

#[test]
fn the_expected_program_runs_and_the_facts_say_what_it_was() {
    let dir = dir();
    let program = witness(dir.path(), "payments", "good");
    let sum = sha256(&program);
    let run = Finished::run(dir.path(), &["--expect-sha256", &sum, "--json"], &[&program]);
    run.ended(0);
    assert_eq!(run.stdout, "good\n");
    assert_eq!(run.acts(), ["RUN.VERIFIED", "RUN.STARTED", "RUN.EXITED"]);
    let verified = &run.facts()[0];
    assert_eq!(verified["sub"]["svc"], "payments");
    assert_eq!(verified["obj"]["sha256"], *sum);
    let sm3 = hex::encode(gm::Sm3::digest(&fs::read(&program).unwrap()));
    assert_eq!(verified["obj"]["sm3"], *sm3);
    // A dynamic program's loader is measured as well.
    let loader = verified["obj"]["loader"].as_str().unwrap();
    assert_eq!(verified["obj"]["loader_sha256"], *sha256(loader.as_ref()));

    Finished::run(dir.path(), &["--expect-sha256", &sum, "--expect-sm3", &sm3], &[&program]).ended(0);
    Finished::run(dir.path(), &["--expect-sm3", &sm3], &[&program]).ended(0);
    Finished::run(dir.path(), &["--expect-sha256", &sum, "--expect-sm3", &sum], &[&program]).ended(1);
}

#[test]
fn another_program_is_killed_before_its_first_instruction() {
    let dir = dir();
    let sealed = witness(dir.path(), "sealed", "good");
    let program = witness(dir.path(), "payments", "evil");
    let mark = dir.path().join("mark");

    // The mark works: unverified, the constructor leaves it.
    Finished::of(custody(dir.path(), &["--unsealed"]).arg(&program).env("MARK", &mark)).ended(0);
    assert!(mark.exists());
    fs::remove_file(&mark).unwrap();

    for _ in 0..50 {
        let sum = sha256(&sealed);
        let mut command = custody(dir.path(), &["--expect-sha256", &sum]);
        let run = Finished::of(command.arg(&program).env("MARK", &mark));
        run.ended(1);
        assert_eq!(run.stdout, "");
        assert!(
            run.stderr.contains("error: binary `payments` is not the one that was sealed\n"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains(&format!("  sealed  sha256:{}…\n", &sum[..16])), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("  found   sha256:{}…  modified ", &sha256(&program)[..16])));
        assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
        assert!(!mark.exists(), "it ran");
    }
}

#[test]
fn nothing_runs_without_a_word_on_what_it_must_be() {
    let dir = dir();
    let run = Finished::run(dir.path(), &[], &["true"]);
    assert!(run.ended(2).stderr.contains("--unsealed"), "{}", run.stderr);
    let run = Finished::run(dir.path(), &["--unsealed", "--expect-sm3", &"0".repeat(64)], &["true"]);
    run.ended(2);
    Finished::run(dir.path(), &["--expect-sha256", "abc"], &["true"]).ended(2);
    Finished::run(dir.path(), &["--unsealed"], &["./absent"]).ended(2);
    Finished::run(dir.path(), &["--unsealed", "--listen", "nowhere"], &["true"]).ended(2);

    let run = Finished::run(dir.path(), &["--unsealed", "--json"], &["true"]);
    let started = run.ended(0).facts().remove(0);
    assert_eq!(started["act"], "RUN.STARTED");
    assert_eq!(started["ctx"]["verified"], "false");
    assert_eq!(started["obj"]["sha256"].as_str().unwrap().len(), 64); // recorded all the same
}

#[test]
fn a_script_is_refused_even_if_its_interpreter_is_the_expected_program() {
    let dir = dir();
    let script = dir.path().join("script");
    rig::overwrite(&script, b"#!/bin/sh\ntouch mark\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for expected in [sha256(&script), sha256("/bin/sh".as_ref())] {
        let run = Finished::run(dir.path(), &["--expect-sha256", &expected], &[&script]);
        assert!(run.ended(2).stderr.contains("script"), "{}", run.stderr);
        assert!(!dir.path().join("mark").exists());
    }
    Finished::run(dir.path(), &["--unsealed"], &[&script]).ended(0);
    assert!(dir.path().join("mark").exists());
}

#[test]
fn refused_ptrace_is_exit_3_and_never_an_unverified_start() {
    let dir = dir();
    let program = witness(dir.path(), "payments", "good");
    let without = c_program(dir.path(), "noptrace", "noptrace.c", &[]);
    let run = |options: &[&str]| {
        let inner = custody(dir.path(), options);
        let mut command = Command::new(&without);
        command.arg(inner.get_program()).args(inner.get_args()).arg(&program).current_dir(dir.path());
        Finished::of(command.env("MARK", dir.path().join("mark")))
    };
    let refused = run(&["--expect-sha256", &sha256(&program)]);
    assert!(refused.ended(3).stderr.contains("ptrace"), "{}", refused.stderr);
    assert!(refused.stderr.contains("\nhint: "), "{}", refused.stderr);
    assert!(!dir.path().join("mark").exists(), "it ran unverified");
    // Asked to run it unverified, it does.
    assert_eq!(run(&["--unsealed"]).ended(0).stdout, "good\n");
}

#[test]
fn a_replaced_program_is_not_restarted() {
    let dir = dir();
    let program = witness(dir.path(), "payments", "good");
    let other = witness(dir.path(), "other", "evil");
    let options = ["--expect-sha256", &sha256(&program), "--restart-delay", "500ms"];
    let mut run = Running::start(dir.path(), &options, &["./payments", "1"]);
    run.await_fact("RUN.RESTARTING");
    fs::rename(&other, &program).unwrap();
    let (code, facts) = run.finish();
    assert_eq!(code, Some(1));
    assert_eq!(facts.iter().map(rig::act).collect::<Vec<_>>(), ["RUN.REFUSED"]);
    assert_eq!(facts[0]["obj"]["sha256"], *sha256(&program));
}

/// A program that takes long to measure: a hole of 512 MiB behind it, which the loader never looks at.
fn slow(dir: &std::path::Path) -> std::path::PathBuf {
    let program = witness(dir, "slow", "good");
    rig::tool(&["truncate".as_ref(), OsStr::new("--size=512M"), program.as_os_str()]);
    program
}

/// The child of `supervisor` once it stands in its exec-stop.
fn in_exec_stop(supervisor: u32, program: &std::path::Path) -> i32 {
    let mut found = 0;
    rig::eventually("the exec-stop", || {
        let children =
            fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap_or_default();
        let Some(pid) = children.split_whitespace().next() else { return false };
        found = pid.parse().unwrap();
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)
    });
    found
}

#[test]
fn a_supervisor_that_dies_while_it_measures_takes_the_program_along() {
    let dir = dir();
    let (program, mark) = (slow(dir.path()), dir.path().join("mark"));
    let mut run = custody(dir.path(), &["--expect-sha256", &"0".repeat(64)]);
    let mut run = run.arg(&program).env("MARK", &mark).stderr(Stdio::null()).spawn().unwrap();
    let child = in_exec_stop(run.id(), &program);
    run.kill().unwrap();
    run.wait().unwrap();
    rig::eventually("the end of the measured process", || !rig::lives(child));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!mark.exists(), "it ran unverified");
}

#[test]
fn while_it_is_measured_and_while_it_runs_nobody_writes_it() {
    let dir = dir();
    let program = slow(dir.path());
    let mut run = custody(dir.path(), &["--expect-sha256", &"0".repeat(64)]);
    let mut run = run.arg(&program).stderr(Stdio::null()).spawn().unwrap();
    in_exec_stop(run.id(), &program);
    let busy = |result: std::io::Result<fs::File>| {
        result.unwrap_err().kind() == std::io::ErrorKind::ExecutableFileBusy
    };
    assert!(busy(fs::OpenOptions::new().write(true).open(&program)));
    assert!(busy(fs::File::create(&program)));
    assert!(run.try_wait().unwrap().is_none(), "it was over before it was tried");
    run.kill().unwrap();
    run.wait().unwrap();

    let sleep = dir.path().join("sleep");
    rig::copy("/bin/sleep".as_ref(), &sleep);
    let options = ["--expect-sha256", &sha256(&sleep)];
    let mut run = Running::start(dir.path(), &options, &["./sleep", "600"]);
    run.await_start();
    assert!(busy(fs::OpenOptions::new().write(true).open(&sleep)));
}

#[test]
fn what_is_not_for_the_service_does_not_reach_it() {
    let dir = dir();
    let sum = sha256("/usr/bin/env".as_ref());
    let options = ["--expect-sha256", &sum];
    let mut command = custody(dir.path(), &options);
    command
        .arg("/usr/bin/env")
        .env("CUSTODY_TOKEN", "secret")
        .env("LD_PRELOAD", "/no/such.so")
        .env("KEPT", "1");
    command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let run = Finished::of(&mut command);
    assert!(run.ended(0).stdout.contains("KEPT=1"));
    for gone in ["CUSTODY_", "LD_PRELOAD", "LISTEN_"] {
        assert!(!run.stdout.contains(gone), "{}", run.stdout);
    }
    assert!(run.stderr.contains("LD_PRELOAD is not passed on"), "{}", run.stderr);

    // A descriptor that is inherited by custody is not passed on: through a shell that leaves 9 open.
    let inner = custody(dir.path(), &["--unsealed", "--quiet"]);
    let line = format!(
        "exec 9</etc/passwd; {} run --unsealed --quiet -- ls /proc/self/fd",
        inner.get_program().display()
    );
    let run = Finished::of(Command::new("sh").args(["-c", &line]).env("CUSTODY_HOME", dir.path()));
    assert_eq!(run.ended(0).stdout, "0\n1\n2\n3\n"); // 3 is the folder that ls reads
}

#[test]
fn an_ordinary_user_gets_the_same_promise() {
    // Who may not write the program cannot ask its file for the write denial, may not look into map_files, and has no
    // control group of their own: other ways through the same start.
    let setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    if !Command::new(setpriv[0]).args(&setpriv[1..]).arg("true").status().is_ok_and(|status| status.success())
    {
        eprintln!("SKIPPED an_ordinary_user_gets_the_same_promise: not root, or no setpriv");
        return;
    }
    let dir = dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let own = dir.path().join("custody");
    rig::copy(env!("CARGO_BIN_EXE_custody").as_ref(), &own);
    let program = witness(dir.path(), "payments", "good");
    let run = |sum: &str| {
        let mut command = Command::new(setpriv[0]);
        command
            .args(&setpriv[1..])
            .arg(&own)
            .args(["run", "--json", "--expect-sha256", sum, "--"])
            .arg(&program);
        Finished::of(command.current_dir(dir.path()).env("CUSTODY_HOME", dir.path().join("home")))
    };
    let good = run(&sha256(&program));
    assert_eq!(good.ended(0).stdout, "good\n");
    assert_eq!(good.facts()[0]["obj"]["loader_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(run(&"0".repeat(64)).ended(1).stdout, "");
}
