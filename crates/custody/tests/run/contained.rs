//! Nothing of a service outlives its stop, whatever it does to get away.

use std::fs;
use std::path::Path;

use crate::rig::{Finished, Running, c_program, dir, eventually, lives};

/// Both modes, or one after saying that the other is skipped.
fn modes(test: &str, dir: &Path) -> Vec<&'static str> {
    let probe = Finished::run(dir, &["--unsealed", "-q", "--containment", "cgroup"], &["true"]);
    if probe.code == Some(0) {
        return vec!["cgroup", "reaper"];
    }
    eprintln!("SKIPPED the cgroup half of {test}: {}", probe.stderr.trim());
    assert_eq!(probe.code, Some(3));
    vec!["reaper"]
}

fn strays(file: &Path) -> Vec<i32> {
    fs::read_to_string(file).unwrap_or_default().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn daemons_of_their_own_session_end_with_the_stop() {
    let dir = dir();
    let program = c_program(dir.path(), "stray", "stray.c", &[]);
    for mode in modes("daemons_of_their_own_session_end_with_the_stop", dir.path()) {
        let file = dir.path().join(mode);
        let options = ["--unsealed", "--containment", mode, "--stop-timeout", "200ms"];
        let mut run = Running::start(dir.path(), &options, &[&program, &file]);
        let started = run.await_fact("RUN.STARTED");
        assert!(started["ctx"]["containment"].as_str().unwrap().starts_with(mode), "{started}");
        eventually("three strays", || strays(&file).len() == 3);
        assert!(strays(&file).into_iter().all(lives), "they do not stay by themselves");
        run.signal("TERM");
        let (code, facts) = run.finish();
        assert_eq!(code, Some(0));
        let swept = facts.iter().find(|fact| fact["act"] == "RUN.SWEPT").unwrap();
        assert_eq!(swept["ctx"]["processes"], "3");
        for pid in strays(&file) {
            assert!(!lives(pid), "{mode}: {pid} got away");
        }
    }
}

#[test]
fn they_end_as_well_when_the_main_process_leaves_them_behind() {
    let dir = dir();
    let program = c_program(dir.path(), "stray", "stray.c", &[]);
    for mode in modes("they_end_as_well_when_the_main_process_leaves_them_behind", dir.path()) {
        for (code, expected) in [("0", 0), ("5", 3)] {
            let file = dir.path().join(format!("{mode}{code}"));
            let options =
                ["--unsealed", "--json", "--no-restart", "--containment", mode, "--stop-timeout", "100ms"];
            let path = file.to_str().unwrap();
            Finished::run(dir.path(), &options, &[program.to_str().unwrap(), path, code]).ended(expected);
            assert_eq!(strays(&file).len(), 3);
            for pid in strays(&file) {
                assert!(!lives(pid), "{mode}: {pid} outlived the service");
            }
        }
    }
}

#[test]
fn the_control_group_is_removed() {
    let dir = dir();
    if !modes("the_control_group_is_removed", dir.path()).contains(&"cgroup") {
        return;
    }
    let run = Finished::run(dir.path(), &["--unsealed", "--json", "--containment", "cgroup"], &["true"]);
    let containment = run.ended(0).facts()[0]["ctx"]["containment"].as_str().unwrap().to_owned();
    let path = containment.strip_prefix("cgroup:").unwrap();
    assert!(path.contains("custody-run-"), "{path}");
    assert!(!Path::new(path).exists());
}
