//! `custody probe memory`: memory that becomes executable, what stands behind it, and whether a seal has it.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use event::{Fact, Severity};
use probe::memory::{self, Answer, Call, Executable, Finding, Probe, Seen};
use seal::{EntryKind, Seal};
use serde::Serialize;

use super::until::Until;
use super::{Act, failure};
use crate::cmd::Context;
use crate::cmd::seal::{self as seals, Source};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

/// How often the ring is read. Somebody may be stopped until then, so more often than by other probes.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

/// Arguments of `custody probe memory`.
#[derive(Args)]
pub(super) struct MemoryArgs {
    /// The running process
    #[arg(long, value_name = "PID")]
    pid: NonZeroU32,
    /// A seal that every file mapped as code has to be in
    #[arg(long, value_name = "SEAL")]
    seal: Option<PathBuf>,
    /// With --seal: trust this public key too, for this once (PEM; repeatable)
    #[arg(long, value_name = "KEY", requires = "seal")]
    trust: Vec<PathBuf>,
    /// What is done to the process when new code should not be there
    #[arg(long, value_name = "HOW")]
    enforce: Option<Enforce>,
    /// End after so many seconds; otherwise at Ctrl-C, or when the process ends
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_153_600_000))]
    duration: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Enforce {
    /// Stop it (SIGSTOP): it does no more, and can be looked at
    Stop,
    /// End it (SIGKILL)
    Kill,
}

/// What the seal says of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// An entry has this content.
    Sealed,
    /// An entry has this name, and another content.
    Changed,
    /// No entry has this content.
    Unknown,
    /// The file could not be read.
    Unread,
}

/// One piece of code, as `--json` prints it and as it is recorded.
#[derive(Serialize)]
struct Line {
    process: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<u32>,
    /// Absent for what was there when the probe came.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<Call>,
    finding: Finding,
    start: String,
    end: String,
    writable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sm3: Option<String>,
    /// Bytes that are no longer those of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<Verdict>,
    /// It should not be there.
    violation: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'static str>,
}

pub(super) fn run(args: &MemoryArgs, context: &Context) -> Outcome {
    let sealed = args.seal.as_deref().map(|file| {
        let source = Source { file, trust: &args.trust };
        seals::open(&seals::read(file)?, source, seals::keyring(context).as_ref()).map(|(seal, _)| seal)
    });
    let sealed = sealed.transpose()?;
    let answer = args.enforce.map(|enforce| match enforce {
        Enforce::Stop => Answer::Stop,
        Enforce::Kill => Answer::Kill,
    });
    let until = Until::watch(args.duration, Some(args.pid))?;
    let probe = Probe::attach(args.pid, answer).map_err(failure)?;
    let mut act = Act {
        action: "PROBE.ATTACHED",
        probe: "memory",
        target: args.pid.to_string(),
        what: args.seal.as_deref().map(|seal| seal.display().to_string()).unwrap_or_default(),
        seen: 0,
        lost: 0,
    };
    context.note(&act)?;
    let mut watch = Watch { args, context, sealed, answer, probe, seen: 0, violations: 0, answered: false };
    let found = watch.everything(&until);
    act.action = "PROBE.ENDED";
    act.seen = watch.seen;
    let lost = watch.probe.lost().map_err(failure)?;
    act.lost = lost.no_room + lost.unreadable + lost.forgotten;
    context.note(&act)?;
    found?;
    if watch.violations > 0 {
        let error = anyhow::anyhow!("process {} has code that should not be there", args.pid);
        return Err(
            Failure::finding(error).hint("each piece was named above, and recorded where there is a home")
        );
    }
    Ok(())
}

struct Watch<'a> {
    args: &'a MemoryArgs,
    context: &'a Context,
    sealed: Option<Seal>,
    answer: Option<Answer>,
    probe: Probe,
    seen: u64,
    violations: u64,
    answered: bool,
}

impl Watch<'_> {
    fn everything(&mut self, until: &Until) -> Outcome {
        let gone = |source| {
            failure(probe::Error::Target { path: format!("/proc/{}/maps", self.args.pid).into(), source })
        };
        for memory in memory::executable(self.args.pid).map_err(gone)? {
            let line = self.line(&memory, None);
            self.tell(line)?;
        }
        loop {
            let goes_on = until.goes_on();
            let mut calls = Vec::new();
            self.probe.drain(|seen| calls.push(seen));
            for seen in calls {
                self.call(&seen)?;
            }
            if !goes_on {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn call(&mut self, seen: &Seen) -> Outcome {
        if seen.call == Call::MemfdCreate {
            let name = &seen.name;
            self.context
                .output
                .remark(&format!("remark: thread {} made a file without a name: `{name}`", seen.thread));
            return Ok(());
        }
        // By now it may be gone, or the process with it.
        let memory = memory::at(self.args.pid, seen.address).ok().flatten();
        let mut line = self.line(&memory.unwrap_or_else(|| seen.memory()), Some(seen));
        if line.violation {
            line.answer = self.answer.map(|answer| match answer {
                Answer::Stop => "stopped",
                Answer::Kill => "killed",
            });
        }
        let violation = line.violation;
        // What is done comes first: recording takes a sync of the disk.
        match self.answer.filter(|_| violation) {
            Some(answer) => {
                self.answered = true;
                self.sent(self.probe.answer(answer))?;
            }
            // What was stopped for good stays so.
            None if seen.signal != 0 && !self.answered => self.sent(self.probe.release())?,
            None => {}
        }
        self.tell(line)
    }

    /// A process that ended meanwhile needs no signal.
    fn sent(&self, result: probe::Result<()>) -> Outcome {
        match result {
            Err(probe::Error::Target { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }

    fn line(&self, memory: &Executable, seen: Option<&Seen>) -> Line {
        let finding = match Finding::of(memory) {
            // What the call asked for, though it may have been taken back since.
            _ if seen.is_some_and(|seen| seen.writable) => Finding::WriteExecute,
            Finding::Outside if memory.is_gone && !seen.is_some_and(|seen| seen.anonymous) => Finding::Gone,
            finding => finding,
        };
        let digest = memory.file.as_ref().and_then(|file| file.digest);
        let verdict = self.sealed.as_ref().zip(memory.file.as_ref()).map(|(seal, file)| match &digest {
            None => Verdict::Unread,
            Some(digest) => judge(seal, &file.path, digest),
        });
        Line {
            process: self.args.pid.get(),
            thread: seen.map(|seen| seen.thread),
            call: seen.map(|seen| seen.call),
            finding,
            start: format!("{:#x}", memory.range.start),
            end: format!("{:#x}", memory.range.end),
            writable: memory.writable || seen.is_some_and(|seen| seen.writable),
            file: memory.file.as_ref().map(|file| file.path.clone()),
            sha256: digest.map(|digest| hex::encode(digest.sha256)),
            sm3: digest.map(|digest| hex::encode(digest.sm3)),
            changed_bytes: memory.file.as_ref().map(|file| file.changed).filter(|&bytes| bytes > 0),
            violation: !matches!(finding, Finding::File | Finding::Gone)
                || verdict.as_ref().is_some_and(|v| *v != Verdict::Sealed),
            seal: verdict,
            answer: None,
        }
    }

    fn tell(&mut self, line: Line) -> Outcome {
        self.seen += 1;
        self.violations += u64::from(line.violation);
        self.context.note(&line)?;
        if self.context.output.json {
            self.context.output.json_line(&line)
        } else {
            self.context.output.stream(&text(&line))
        }
    }
}

/// What `seal` says of a file with that content. A seal of a folder does not say where the folder stands, so the content
/// decides, and the path's last part only tells a changed file from an unknown one.
fn judge(seal: &Seal, path: &std::path::Path, digest: &gm::DualDigest) -> Verdict {
    let files = || seal.tree().entries().iter().filter(|entry| entry.kind == EntryKind::File);
    if files().any(|entry| entry.digest == *digest) {
        return Verdict::Sealed;
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let same = |path: &str| path.rsplit('/').next() == name;
    if files().any(|entry| same(entry.path.as_str())) { Verdict::Changed } else { Verdict::Unknown }
}

fn text(line: &Line) -> String {
    let what = match line.finding {
        Finding::WriteExecute => "writable code",
        Finding::Outside => "code of no file",
        Finding::Nameless => "code of a file without a name",
        Finding::Changed => "code that differs from its file",
        Finding::File => "code of a file",
        Finding::Gone => "code that was gone before it could be looked at",
    };
    let verdict = match line.seal {
        None => "",
        Some(Verdict::Sealed) => ", sealed",
        Some(Verdict::Changed) => ", not as it was sealed",
        Some(Verdict::Unknown) => ", not in the seal",
        Some(Verdict::Unread) => ", unreadable",
    };
    let file = line.file.as_ref().map(|file| format!("  {}", file.display())).unwrap_or_default();
    let answer = line.answer.map(|answer| format!("; the process was {answer}")).unwrap_or_default();
    let mark = if line.violation { "!" } else { " " };
    let new = if line.call.is_some() { "new" } else { "   " };
    let file = file.escape_debug();
    format!("{mark} {new} {}-{}  {what}{verdict}{answer}{file}\n", line.start, line.end)
}

impl Recorded for Line {
    fn fact(&self) -> Option<Fact> {
        let action = if self.violation { "MEMORY.VIOLATION" } else { "MEMORY.MAPPED" };
        let severity = if self.violation { Severity::Critical } else { Severity::Info };
        let mut fact = Fact::new(action)
            .severity(severity)
            .subject("svc", "custody")
            .object("process", self.process.to_string())
            .object("memory", format!("{}-{}", self.start, self.end))
            .context("finding", name(&self.finding));
        let more = [
            ("file", self.file.as_ref().map(|file| file.display().to_string())),
            ("sha256", self.sha256.clone()),
            ("sm3", self.sm3.clone()),
            ("call", self.call.as_ref().map(name)),
            ("seal", self.seal.as_ref().map(name)),
            ("answer", self.answer.map(str::to_owned)),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                fact = fact.context(key, value);
            }
        }
        Some(fact)
    }
}

/// As `--json` spells it.
fn name(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.as_ref().and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use gm::Dual;
    use seal::{Entry, EntryPath, Subject, Tree};

    use super::*;

    #[test]
    fn content_decides_and_the_name_tells_what_changed() {
        let entry = |path, content: &str| {
            let digest = Dual::digest(content.as_bytes());
            Entry::file(EntryPath::new(path).unwrap(), 0o755, content.len() as u64, digest)
        };
        let tree = Tree::new(vec![entry("lib/a.so", "a"), entry("lib/b.so", "b")]).unwrap();
        let seal = Seal::new("x", Subject::Directory, tree).unwrap();
        let judged =
            |path: &str, content: &str| judge(&seal, path.as_ref(), &Dual::digest(content.as_bytes()));
        assert_eq!(judged("/srv/lib/a.so", "a"), Verdict::Sealed);
        assert_eq!(judged("/elsewhere/other.so", "b"), Verdict::Sealed);
        assert_eq!(judged("/srv/lib/a.so", "changed"), Verdict::Changed);
        assert_eq!(judged("/srv/lib/c.so", "c"), Verdict::Unknown);
    }
}
