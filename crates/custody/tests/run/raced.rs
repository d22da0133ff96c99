//! Attempts to have something else run than what was measured. In each race both outcomes must be seen, so that the
//! race is known to have been one; what must never be seen is the other program's output.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::rig::{self, Finished, c_program, dir, sha256, witness};

const STARTS: usize = 200;

/// Starts `program` many times while `disturb` runs in a loop beside it; how many starts ran, and how many did not.
fn race(program: &Path, sum: &str, mut disturb: impl FnMut(usize) + Send) -> (usize, usize) {
    let over = AtomicBool::new(false);
    let dir = program.parent().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                disturb(round);
            }
        });
        let (mut ran, mut refused) = (0, 0);
        for _ in 0..STARTS {
            let run = Finished::run(dir, &["--expect-sha256", sum, "--no-restart", "-q"], &[program]);
            match run.code {
                Some(0) if run.stdout == "good\n" => ran += 1,
                // 1: measured and refused; 2: absent, or half a file; 3: somebody was writing (ETXTBSY).
                Some(1..=3) if run.stdout.is_empty() => refused += 1,
                code => {
                    over.store(true, Ordering::Relaxed);
                    assert_eq!(code, None, "neither ran nor refused: {} {}", run.stdout, run.stderr);
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        (ran, refused)
    })
}

#[track_caller]
fn both((ran, refused): (usize, usize)) {
    assert!(ran > 0 && refused > 0, "not a race: {ran} ran, {refused} refused");
}

#[test]
fn bytes_flipped_in_place() {
    let dir = dir();
    let program = witness(dir.path(), "payments", "good");
    let sum = sha256(&program);
    let bytes = fs::read(&program).unwrap();
    let text = bytes.windows(12).position(|window| window == b"variant:good").unwrap() as u64 + 8;
    let mut round = 0u32;
    both(race(&program, &sum, |_| {
        // The writer opens it anew each time: held open, it would only keep the program from starting.
        for variant in [b"evil", b"good"] {
            if let Ok(file) = OpenOptions::new().write(true).open(&program) {
                file.write_all_at(variant, text).unwrap();
            }
            round = round.wrapping_mul(1_103_515_245).wrapping_add(12345);
            std::thread::sleep(Duration::from_micros(u64::from(round >> 21))); // up to 2 ms, uneven
        }
    }));
}

#[test]
fn the_file_replaced_by_rename() {
    let dir = dir();
    let program = witness(dir.path(), "payments", "good");
    let (good, evil) = (dir.path().join("good"), witness(dir.path(), "evil", "evil"));
    rig::copy(&program, &good);
    let sum = sha256(&program);
    both(race(&program, &sum, |round| {
        // A hard link, renamed over the path: the inode is complete and executable at every moment.
        let aside = dir.path().join("aside");
        fs::hard_link(if round % 2 == 0 { &evil } else { &good }, &aside).unwrap();
        fs::rename(&aside, &program).unwrap();
        let _ = fs::remove_file(&aside); // rename(2) leaves it when both are the same file
        std::thread::sleep(Duration::from_micros(700));
    }));
}

#[test]
fn a_symbolic_link_turned() {
    let dir = dir();
    witness(dir.path(), "good", "good");
    witness(dir.path(), "evil", "evil");
    let sum = sha256(&dir.path().join("good"));
    let link = dir.path().join("payments");
    std::os::unix::fs::symlink("good", &link).unwrap();
    both(race(&link, &sum, |round| {
        let aside = dir.path().join("aside");
        std::os::unix::fs::symlink(if round % 2 == 0 { "evil" } else { "good" }, &aside).unwrap();
        fs::rename(&aside, &link).unwrap();
        std::thread::sleep(Duration::from_micros(700));
    }));
}

#[test]
fn a_folder_in_the_path_exchanged() {
    let dir = dir();
    for variant in ["good", "evil"] {
        fs::create_dir(dir.path().join(variant)).unwrap();
        witness(&dir.path().join(variant), "payments", variant);
    }
    let sum = sha256(&dir.path().join("good/payments"));
    let link = dir.path().join("bin");
    std::os::unix::fs::symlink("good", &link).unwrap();
    both(race(&link.join("payments"), &sum, |round| {
        let aside = dir.path().join("aside");
        std::os::unix::fs::symlink(if round % 2 == 0 { "evil" } else { "good" }, &aside).unwrap();
        fs::rename(&aside, &link).unwrap();
        std::thread::sleep(Duration::from_micros(700));
    }));
}

/// `program` does not start while `holder` lives, which says on stdout when it has it and ends with its stdin; and
/// starts afterwards.
fn held_by(holder: &mut Command, program: &Path) {
    let dir = program.parent().unwrap();
    let options = ["--expect-sha256", &sha256(program)];
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let run = Finished::run(dir, &options, &[program]);
    assert!(run.ended(3).stderr.contains("open for writing"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(Finished::run(dir, &options, &[program]).ended(0).stdout, "good\n");
}

#[test]
fn a_descriptor_open_for_writing_keeps_it_from_starting() {
    let dir = dir();
    let program = witness(dir.path(), "payments", "good");
    held_by(Command::new("sh").args(["-c", "exec 9>>\"$0\"; echo held; read x"]).arg(&program), &program);
}

#[test]
fn a_writable_shared_mapping_keeps_it_from_starting() {
    let dir = dir();
    let program = witness(dir.path(), "payments", "good");
    let hold = c_program(dir.path(), "hold", "hold.c", &[]);
    held_by(Command::new(hold).arg(&program), &program);
}
