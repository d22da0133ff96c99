//! Restarts by the meaning of the exit code, signals, streams, crash reports. Times are shortened; the rule itself is
//! tested with a clock of its own in the crate.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{Finished, Running, custody, dir, eventually, lives};

const QUICK: [&str; 8] =
    ["--unsealed", "--json", "--restart-delay", "20ms", "--crash-pause", "30ms", "--stop-timeout", "300ms"];

fn quick(dir: &std::path::Path, more: &[&str], script: &str) -> Finished {
    Finished::run(dir, &[&QUICK, more].concat(), &["sh", "-c", script])
}

#[test]
fn exit_0_stays_down() {
    let run = quick(dir().path(), &[], "exit 0");
    assert_eq!(run.ended(0).acts(), ["RUN.STARTED", "RUN.EXITED"]);
}

#[test]
fn a_failure_is_restarted_up_to_the_limit() {
    let run = quick(dir().path(), &["--restart-limit", "2"], "exit 7");
    let one = ["RUN.STARTED", "RUN.EXITED"];
    let again = ["RUN.RESTARTING"];
    let end = ["RUN.GAVE_UP"];
    assert_eq!(run.ended(3).acts(), [&one[..], &again, &one, &again, &one, &end].concat());
    let gave_up = run.facts().into_iter().find(|fact| fact["act"] == "RUN.GAVE_UP").unwrap();
    assert_eq!(gave_up["ctx"], serde_json::json!({"restarts": "2", "code": "7"}));
    assert!(run.stderr.contains("gave up on `sh` after 2 restarts"), "{}", run.stderr);
}

#[test]
fn a_failure_that_mends_itself_ends_well() {
    let dir = dir();
    let run = quick(dir.path(), &[], "echo x >> runs; [ $(wc -l < runs) -ge 3 ] || exit 1");
    run.ended(0);
    assert_eq!(run.acts().iter().filter(|act| *act == "RUN.RESTARTING").count(), 2);
}

#[test]
fn the_window_slides() {
    // Four failures, each restart out of the window before the next: the limit of 1 is never reached.
    let dir = dir();
    let options = ["--restart-limit", "1", "--restart-window", "50ms"];
    quick(dir.path(), &options, "echo x >> runs; sleep 0.1; [ $(wc -l < runs) -ge 5 ] || exit 1").ended(0);
}

#[test]
fn a_crash_pauses_and_is_not_counted() {
    let dir = dir();
    let script = "echo x >> runs; [ $(wc -l < runs) -ge 6 ] || kill -SEGV $$";
    let run = quick(dir.path(), &["--restart-limit", "0"], script);
    run.ended(0);
    let crashes: Vec<Value> = run.facts().into_iter().filter(|fact| fact["act"] == "RUN.CRASHED").collect();
    assert_eq!(crashes.len(), 5);
    assert_eq!(crashes[0]["ctx"]["signal"], "SIGSEGV");
    assert_eq!(crashes[0]["severity"], "CRITICAL");
    let pauses: Vec<Value> = run.facts().into_iter().filter(|fact| fact["act"] == "RUN.RESTARTING").collect();
    assert!(pauses.iter().all(|pause| pause["ctx"]["after_ms"] == "30"), "{pauses:?}");
}

#[test]
fn exit_128_and_above_is_a_crash() {
    let run = quick(dir().path(), &["--no-restart"], "exit 139");
    assert_eq!(run.ended(3).acts(), ["RUN.STARTED", "RUN.CRASHED", "RUN.GAVE_UP"]);
}

#[test]
fn the_defaults_are_those_of_the_rule() {
    let dir = dir();
    let mut run = Running::start(dir.path(), &["--unsealed"], &["sh", "-c", "exit 1"]);
    let restarting = run.await_fact("RUN.RESTARTING");
    assert_eq!(restarting["ctx"], serde_json::json!({"after_ms": "5000", "count": "1", "limit": "3"}));
    run.signal("TERM"); // a stop during the pause takes effect at once
    assert_eq!(run.finish().0, Some(0));
    let mut run = Running::start(dir.path(), &["--unsealed"], &["sh", "-c", "kill -9 $$"]);
    assert_eq!(run.await_fact("RUN.RESTARTING")["ctx"], serde_json::json!({"after_ms": "300000"}));
    run.signal("INT");
    assert_eq!(run.finish().0, Some(0));
}

#[test]
fn a_crash_report_holds_the_facts_and_the_end_of_stderr() {
    let dir = dir();
    let script = "for n in $(seq 1000); do echo line $n >&2; done; kill -ABRT $$";
    let run = quick(dir.path(), &["--no-restart", "--crash-dir", "crashes", "--stderr-tail", "100"], script);
    run.ended(3);
    let reports: Vec<_> =
        fs::read_dir(dir.path().join("crashes")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(reports.len(), 1);
    let report: Value = serde_json::from_slice(&fs::read(&reports[0]).unwrap()).unwrap();
    assert_eq!(report["end"]["signal"], 6);
    assert_eq!(report["service"], "sh");
    let tail = report["stderr_tail"].as_str().unwrap();
    assert_eq!(tail.len(), 100);
    assert!(tail.ends_with("line 999\nline 1000\n"), "{tail}");
    let crashed = run.facts().into_iter().find(|fact| fact["act"] == "RUN.CRASHED").unwrap();
    assert_eq!(crashed["ctx"]["pid"], report["pid"].to_string());
    assert!(crashed["ctx"]["report"].as_str().unwrap().starts_with("crashes/sh-"));
    // The tail may hold anything, so it is in the report and not in the event; and the report is the owner's.
    assert!(crashed["ctx"].get("stderr_tail").is_none());
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&reports[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(dir.path().join("crashes")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn streams_pass_through_byte_by_byte() {
    let dir = dir();
    let noise: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(dir.path().join("noise"), &noise).unwrap();
    for tail in ["0", "65536"] {
        let mut command = custody(dir.path(), &["--unsealed", "-q", "--stderr-tail", tail]);
        let output = command.args(["sh", "-c", "cat noise; cat noise >&2"]).output().unwrap();
        assert!(output.status.success());
        assert!(output.stdout == noise && output.stderr == noise, "with --stderr-tail {tail}");
    }
    // stdin is the service's, too.
    let mut command = custody(dir.path(), &["--unsealed", "-q"]);
    let output =
        command.arg("cat").stdin(fs::File::open(dir.path().join("noise")).unwrap()).output().unwrap();
    assert!(output.stdout == noise);
}

#[test]
fn signals_are_passed_on() {
    let dir = dir();
    let script = "trap 'echo hup >> got' HUP; trap 'echo usr1 >> got' USR1; trap 'echo usr2 >> got' USR2; \
                  trap 'echo term >> got; exit 0' TERM; echo ready >> got; for _ in $(seq 3000); do sleep 0.01; done";
    let mut run = Running::start(dir.path(), &["--unsealed"], &["sh", "-c", script]);
    run.await_start();
    let got = || fs::read_to_string(dir.path().join("got")).unwrap_or_default();
    eventually("ready", || got().contains("ready"));
    for (signal, word) in [("HUP", "hup"), ("USR1", "usr1"), ("USR2", "usr2")] {
        run.signal(signal);
        eventually(word, || got().contains(word));
    }
    run.signal("TERM");
    let (code, facts) = run.finish();
    assert_eq!(code, Some(0));
    assert!(got().ends_with("term\n"));
    let signals: Vec<_> =
        facts.iter().filter(|fact| fact["act"] == "RUN.SIGNAL").map(|f| &f["ctx"]).collect();
    assert_eq!(signals.len(), 4);
    assert_eq!(*signals[3], serde_json::json!({"signal": "SIGTERM", "delivered": "true"}));
}

/// As `timeout` does it, and whoever presses Ctrl-C twice.
#[test]
fn many_requests_to_stop_are_one() {
    let dir = dir();
    let mut run = Running::start(dir.path(), &["--unsealed"], &["sleep", "100"]);
    run.await_start();
    for _ in 0..40 {
        run.signal("TERM");
    }
    assert_eq!(run.finish().0, Some(0));
}

#[test]
fn a_service_that_does_not_stop_is_killed_after_the_timeout() {
    let dir = dir();
    let script = "trap '' TERM; echo ready > ready; for _ in $(seq 3000); do sleep 0.01; done";
    let options = ["--unsealed", "--stop-timeout", "300ms"];
    let mut run = Running::start(dir.path(), &options, &["sh", "-c", script]);
    let pid = run.await_start();
    eventually("ready", || dir.path().join("ready").exists());
    let asked = Instant::now();
    run.signal("TERM");
    let (code, facts) = run.finish();
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert_eq!(code, Some(0));
    assert!(!lives(pid));
    let stopped = facts.last().unwrap();
    assert_eq!(stopped["ctx"], serde_json::json!({"forced": "true"}));
}

#[test]
fn a_second_request_ends_the_patience() {
    let dir = dir();
    let script = "trap '' TERM INT; echo ready > ready; for _ in $(seq 3000); do sleep 0.01; done";
    let mut run = Running::start(dir.path(), &["--unsealed", "--stop-timeout", "10m"], &["sh", "-c", script]);
    run.await_start();
    eventually("ready", || dir.path().join("ready").exists());
    run.signal("TERM");
    run.await_fact("RUN.SIGNAL");
    run.signal("INT");
    assert_eq!(run.finish().0, Some(0)); // within the test's time, not in ten minutes
}

#[test]
fn when_the_supervisor_is_killed_the_service_is_asked_to_go() {
    let dir = dir();
    let script =
        "trap 'echo term > got; exit 0' TERM; echo ready > ready; for _ in $(seq 3000); do sleep 0.01; done";
    let mut run = custody(dir.path(), &["--unsealed", "-q"]);
    let mut run = run.args(["sh", "-c", script]).stderr(Stdio::null()).spawn().unwrap();
    eventually("ready", || dir.path().join("ready").exists());
    run.kill().unwrap();
    run.wait().unwrap();
    eventually("SIGTERM at the service", || dir.path().join("got").exists());
}
