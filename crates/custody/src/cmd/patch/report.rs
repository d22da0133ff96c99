//! What an apply or a rollback came to, as it is recorded and printed. The names are part of the interface.

use event::{Fact, Severity};
use livepatch::{Status, Stop};
use serde::Serialize;

use crate::recorder::Recorded;

/// That a process is about to be changed: if nothing follows it in the ledger, this command died in between, and
/// `custody patch status` says on which side.
#[derive(Serialize)]
pub(super) struct Begun<'a> {
    pub(super) act: &'static str,
    pub(super) pid: i32,
    pub(super) patch: &'a str,
    pub(super) dry_run: bool,
}

impl Recorded for Begun<'_> {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new("PATCH.BEGUN").subject("svc", "custody").object("patch", self.patch.to_owned());
        let fact = fact.object("pid", self.pid.to_string()).context("what", self.act);
        (!self.dry_run).then_some(fact)
    }
}

/// That nothing came of it.
#[derive(Serialize)]
pub(super) struct Failed<'a> {
    pub(super) begun: &'a Begun<'a>,
    pub(super) is_refused_rollback: bool,
    pub(super) why: String,
}

impl Recorded for Failed<'_> {
    fn fact(&self) -> Option<Fact> {
        let (act, severity) = match self.is_refused_rollback {
            true => ("PATCH.ROLLBACK_REFUSED", Severity::Critical),
            false => ("PATCH.FAILED", Severity::Error),
        };
        let fact = Fact::new(act).severity(severity).subject("svc", "custody");
        let fact =
            fact.object("patch", self.begun.patch.to_owned()).object("pid", self.begun.pid.to_string());
        let fact = fact.context("what", self.begun.act).context("why", self.why.clone());
        (!self.begun.dry_run).then_some(fact)
    }

    fn must_be_recorded(&self) -> bool {
        false
    }
}

/// What a stop came to.
#[derive(Serialize)]
pub(super) struct Done {
    act: &'static str,
    pid: i32,
    patch: String,
    pub(super) stop_us: u128,
    attempts: u32,
    threads: usize,
    goroutines: usize,
    /// Goroutines that were in new code.
    inside: usize,
    /// Functions whose entries were switched.
    functions: usize,
    /// Their names, as many as there is room for; known when a patch is applied.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) names: String,
    /// Ids of the keys that vouched.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) keys: String,
    /// SHA-256 of the code in memory.
    code_before: String,
    code_after: String,
    probes: usize,
    /// Words on the stacks of calls that are inside new code, and name it.
    references: usize,
    /// Where it is kept what stood there before, or where it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<String>,
    /// The old build's variables that the new code uses, and that are not as they were when it came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) changed_variables: Vec<String>,
    pub(super) dry_run: bool,
}

impl Recorded for Done {
    fn fact(&self) -> Option<Fact> {
        let mut fact = Fact::new(self.act)
            .subject("svc", "custody")
            .object("pid", self.pid.to_string())
            .object("patch", self.patch.clone())
            .context("code_before", self.code_before.clone())
            .context("code_after", self.code_after.clone())
            .context("stop_us", self.stop_us.to_string())
            .context("threads", self.threads.to_string())
            .context("goroutines", self.goroutines.to_string())
            .context("inside", self.inside.to_string())
            .context("functions", self.functions.to_string());
        if let Some(snapshot) = &self.snapshot {
            fact = fact.context("snapshot", snapshot.clone());
        }
        for (key, value) in [("names", &self.names), ("keys", &self.keys)] {
            if !value.is_empty() {
                fact = fact.context(key, value.clone());
            }
        }
        (!self.dry_run).then_some(fact)
    }
}

impl Done {
    pub(super) fn of(act: &'static str, pid: i32, patch: String, stop: &Stop, dry_run: bool) -> Self {
        Self {
            act,
            pid,
            patch,
            stop_us: stop.stopped_for.as_micros(),
            attempts: stop.attempts,
            threads: stop.threads,
            goroutines: stop.goroutines,
            inside: stop.inside,
            functions: stop.functions,
            names: String::new(),
            keys: String::new(),
            code_before: stop.code_before.clone(),
            code_after: stop.code_after.clone(),
            probes: stop.probes,
            references: stop.references,
            snapshot: None,
            changed_variables: Vec::new(),
            dry_run,
        }
    }

    pub(super) fn lines(&self, verb: &str) -> String {
        let mut text = format!("{verb} process {}\n  patch     sha256:{}\n", self.pid, self.patch);
        text += &format!(
            "  stopped   {} us at attempt {}; {} threads, {} goroutines\n",
            self.stop_us, self.attempts, self.threads, self.goroutines
        );
        text += &format!("  switched  {} functions {}\n", self.functions, self.names);
        text += &format!("  code      {} before, {} after\n", self.code_before, self.code_after);
        if self.inside > 0 {
            text += &format!(
                "  inside    {} goroutines are in new code and leave it by themselves\n",
                self.inside
            );
        }
        if let Some(file) = &self.snapshot {
            text += &format!("  snapshot  `{file}`\n");
        }
        if !self.changed_variables.is_empty() {
            text +=
                &format!("  variables {} changed since the patch came\n", self.changed_variables.join(", "));
        }
        if self.probes > 0 {
            text += &format!("  probes    {} breakpoints were let be\n", self.probes);
        }
        text
    }
}

/// What a process carries.
#[derive(Serialize)]
pub(super) struct Carried {
    pid: i32,
    patch: Option<String>,
    active: bool,
    functions: usize,
    placed: usize,
}

impl Carried {
    pub(super) fn of(pid: i32, status: Option<Status>) -> Self {
        Self {
            pid,
            active: status.as_ref().is_some_and(|s| s.active),
            functions: status.as_ref().map_or(0, |s| s.switches),
            placed: status.as_ref().map_or(0, |s| s.placed),
            patch: status.map(|s| s.digest),
        }
    }

    pub(super) fn lines(&self) -> String {
        let Some(patch) = &self.patch else { return format!("process {} carries no patch\n", self.pid) };
        let state = if self.active { "runs" } else { "carries, and does not run," };
        format!(
            "process {} {state} patch sha256:{patch}\n  {} of {} entries lead to it\n",
            self.pid, self.placed, self.functions
        )
    }
}
