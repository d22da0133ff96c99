//! Every example in the help does what it says.

use std::fs;
use std::process::Command;

use crate::rig::{Finished, dir, witness};

#[test]
fn the_examples_of_the_help_hold() {
    let dir = dir();
    let bin = dir.path().join("build");
    fs::create_dir(&bin).unwrap();
    witness(&bin, "payments", "good");
    let in_dir = |line: &str| {
        let folder = std::path::Path::new(env!("CARGO_BIN_EXE_custody")).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PATH", path).env("CUSTODY_HOME", dir.path().join("home"));
        Finished::of(command.current_dir(dir.path()))
    };
    let made = "mkdir home && touch home/custody.toml && custody key new && \
                custody key show default --pem > build.pub.pem && custody seal create build -o payments.seal.json";
    in_dir(made).ended(0);
    let help = in_dir("custody run --help").ended(0).stdout.clone();
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    let examples: Vec<_> = examples.lines().filter_map(|line| line.trim().strip_prefix("$ ")).collect();
    assert!(examples.len() >= 4);
    for example in examples {
        // The port of the example may be taken on this machine.
        let run = in_dir(&example.replace("127.0.0.1:8080", "127.0.0.1:0"));
        run.ended(0);
        assert_eq!(run.stdout, "good\n", "{example}");
    }
}
