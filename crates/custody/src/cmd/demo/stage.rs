//! The stage: a folder, this binary as a child process, and what the audience sees.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Finished, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Lines of a command's output that are shown; the rest is counted.
const SHOWN: usize = 24;

/// What a command must come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// Exit code 0.
    Holds,
    /// Exit code 1: the check found what it is there to find.
    DoesNotHold,
}

impl Expect {
    fn code(self) -> i32 {
        match self {
            Self::Holds => 0,
            Self::DoesNotHold => 1,
        }
    }
}

/// One folder for everything, removed at the end unless it is to be kept.
pub(super) struct Stage {
    folder: PathBuf,
    binary: PathBuf,
    output: Output,
    begun: Instant,
}

impl Stage {
    /// Makes the folder, owner-only.
    pub(super) fn set(keep: Option<PathBuf>, output: Output) -> std::result::Result<Self, Failure> {
        let make = || -> Result<Self> {
            let folder = keep
                .unwrap_or_else(|| std::env::temp_dir().join(format!("custody-demo-{}", std::process::id())));
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            let folder = folder.canonicalize()?;
            let binary = std::env::current_exe().context("finding this program")?;
            Ok(Self { folder, binary, output, begun: Instant::now() })
        };
        make().map_err(Failure::environment)
    }

    /// A path under the folder.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// A path as the audience sees it.
    pub(super) fn shorten(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }

    /// The largest regular file below a folder.
    pub(super) fn largest_file(&self, relative: &str) -> Option<PathBuf> {
        let paths = fs::read_dir(self.path(relative)).ok()?.flatten().map(|entry| entry.path());
        let files = paths.filter_map(|path| match path.is_file() {
            true => Some(path),
            false => self.largest_file(&self.shorten(&path)),
        });
        files.max_by_key(|path| path.metadata().map_or(0, |meta| meta.len()))
    }

    /// A new part of the story.
    pub(super) fn act(&self, title: &str, text: &str) -> Result<()> {
        self.print(&format!("\n== {title}\n   {text}\n"))
    }

    /// A sentence of the story.
    pub(super) fn say(&self, text: &str) -> Result<()> {
        self.print(&format!("\n   {text}\n"))
    }

    /// A fact that was just seen.
    pub(super) fn show(&self, text: &str) -> Result<()> {
        self.print(&format!("   {text}\n"))
    }

    fn print(&self, text: &str) -> Result<()> {
        self.output.text(text).map_err(|_| anyhow::anyhow!("cannot write to stdout"))
    }

    /// This binary with the demonstration's home, in the demonstration's folder.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.folder).env("CUSTODY_HOME", self.path("home"));
        command
    }

    /// Runs this binary, shows what it printed, and insists on its exit code.
    pub(super) fn custody(&self, arguments: &[&str], expect: Expect) -> Result<()> {
        self.custody_with_input(arguments, "", expect)
    }

    /// Runs this binary, which must hold, and shows its output from the line that begins with `from`.
    pub(super) fn custody_from(&self, arguments: &[&str], from: &str) -> Result<()> {
        self.announce(arguments, "")?;
        let mut finished = self.finish(arguments, "")?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let skipped = text.lines().take_while(|line| !line.starts_with(from)).count();
        let rest: String = text.lines().skip(skipped).map(|line| format!("{line}\n")).collect();
        finished.stdout = format!("… {skipped} lines of facts\n{rest}").into_bytes();
        self.show_output(&finished)?;
        self.insist(arguments, &finished, Expect::Holds)
    }

    /// The same with something on standard input.
    pub(super) fn custody_with_input(&self, arguments: &[&str], input: &str, expect: Expect) -> Result<()> {
        self.announce(arguments, if input.is_empty() { "" } else { " < event.json" })?;
        let finished = self.finish(arguments, input)?;
        self.show_output(&finished)?;
        self.insist(arguments, &finished, expect)
    }

    fn announce(&self, arguments: &[&str], fed: &str) -> Result<()> {
        self.print(&format!("\n$ custody {}{fed}\n", arguments.join(" ")))
    }

    fn finish(&self, arguments: &[&str], input: &str) -> Result<Finished> {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        Ok(child.wait_with_output()?)
    }

    fn show_output(&self, finished: &Finished) -> Result<()> {
        let text = [finished.stdout.as_slice(), finished.stderr.as_slice()].concat();
        // The audience need not know where the stage stands.
        let text = String::from_utf8_lossy(&text).replace(&format!("{}/", self.folder.display()), "");
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let mut shown: String = lines.iter().take(SHOWN).map(|line| format!("  {line}\n")).collect();
        if lines.len() > SHOWN {
            shown.push_str(&format!("  … {} more lines\n", lines.len() - SHOWN));
        }
        self.print(&shown)
    }

    fn insist(&self, arguments: &[&str], finished: &Finished, expect: Expect) -> Result<()> {
        let code = finished.status.code();
        if code != Some(expect.code()) {
            bail!("`custody {}` ended with {code:?}, not {}", arguments.join(" "), expect.code());
        }
        if expect == Expect::DoesNotHold {
            self.print("  (exit code 1)\n")?;
        }
        Ok(())
    }

    /// The last words, and the folder's end.
    pub(super) fn close(self, keep: bool, held: bool) -> Outcome {
        if held {
            let seconds = self.begun.elapsed().as_secs_f64();
            let kept =
                if keep { format!(" Everything is in {}.", self.folder.display()) } else { String::new() };
            self.output
                .text(&format!("\nThe chain held, and each break was found ({seconds:.0} s).{kept}\n"))?;
        }
        if !keep {
            fs::remove_dir_all(&self.folder).map_err(Failure::environment)?;
        }
        Ok(())
    }
}

/// Flips the lowest bit of the byte in the middle of a file and says where that is.
pub(super) fn flip_middle_bit(path: &Path) -> Result<u64> {
    let mut bytes = fs::read(path)?;
    let offset = bytes.len() / 2;
    let byte = bytes.get_mut(offset).context("the file is empty")?;
    *byte ^= 1;
    fs::write(path, bytes)?;
    Ok(offset as u64)
}
