//! Runs a program for a limited time, and keeps what it says within limits.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// More output than this is cut off: `go list std` prints 15 KB.
const MAX_OUTPUT: u64 = 4 << 20;

/// How a program ended.
pub(super) struct Ran {
    pub(super) success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs `command` to its end, or kills it after `timeout`. The error says why there is no answer.
pub(super) fn run(command: &mut Command, timeout: Duration) -> Result<Ran, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot be started: {e}"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let success = wait(&mut child, timeout)?;
    // A grandchild may hold the pipe open; what was said until now is enough.
    let text = |from: Receiver<Vec<u8>>| {
        let bytes = from.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Ran { success, stdout: text(stdout), stderr: text(stderr) })
}

impl Ran {
    /// What it printed, or the end of what it complained of.
    pub(super) fn answer(self) -> Result<String, String> {
        if self.success {
            return Ok(self.stdout);
        }
        let said = self.stderr.lines().rev().find(|line| !line.trim().is_empty());
        Err(said.map_or_else(
            || "it failed without a word".to_owned(),
            |line| line.trim().chars().take(300).collect(),
        ))
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // Read on beyond the limit, or the program would wait for us.
            let _ = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send(bytes); // the receiver may have given up
    });
    receiver
}

fn wait(child: &mut Child, timeout: Duration) -> Result<bool, String> {
    let deadline = Instant::now() + timeout;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill(); // it may have ended just now
                let _ = child.wait();
                return Err(format!("it did not answer within {} s", timeout.as_secs()));
            }
            Err(e) => return Err(format!("cannot be waited for: {e}")),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Duration) -> Result<Ran, String> {
        run(Command::new("/bin/sh").args(["-c", script]), timeout)
    }

    #[test]
    fn answers_complaints_and_silence() {
        let minute = Duration::from_secs(60);
        assert_eq!(sh("echo yes", minute).unwrap().answer().unwrap(), "yes\n");
        assert_eq!(sh("echo why >&2; exit 3", minute).unwrap().answer().unwrap_err(), "why");
        assert!(sh("exit 1", minute).unwrap().answer().unwrap_err().contains("without a word"));
        assert!(run(&mut Command::new("/nonexistent"), minute).is_err());
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let start = Instant::now();
        assert!(
            sh("sleep 60", Duration::from_millis(200)).map(|_| ()).unwrap_err().contains("did not answer")
        );
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_says_too_much_is_cut_off() {
        let ran = sh("yes | head -c 6000000", Duration::from_secs(60)).unwrap();
        assert_eq!(ran.stdout.len() as u64, MAX_OUTPUT);
    }
}
