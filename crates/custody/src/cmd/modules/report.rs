//! What `custody modules verify` found, as it is recorded and printed.

use std::path::Path;

use event::Fact;
use evidence::modules::{Content, Listed, Proven, Sum, SumOf};
use gm::{Dual, DualDigest};
use serde::Serialize;

use crate::recorder::Recorded;

/// A line of go.sum and what the other witnesses say of it.
pub(super) struct Checked {
    pub(super) sum: Sum,
    pub(super) content: Content,
    /// Absent when no database was asked.
    pub(super) listed: Option<Listed>,
}

/// The names are part of the interface.
#[derive(Serialize)]
pub(super) struct Report {
    act: &'static str,
    path: String,
    modcache: String,
    pub(super) holds: bool,
    /// Lines of go.sum.
    sums: usize,
    /// Of those, how many the cache bears out, does not have, and the database proves.
    content: usize,
    absent: usize,
    proven: usize,
    findings: Vec<Finding>,
    #[serde(skip)]
    pub(super) checked: Vec<Checked>,
    #[serde(skip)]
    pub(super) go_sum: DualDigest,
}

/// One contradiction, and who is contradicted.
#[derive(Serialize)]
struct Finding {
    module: String,
    version: String,
    /// `module` or `go.mod`.
    of: &'static str,
    /// Who lies: `zip`, `folder`, `mod`, `go.sum`; or `database`, which says nothing that counts, and `cache`, which
    /// has nothing.
    witness: &'static str,
    expected: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Report {
    pub(super) fn new(
        path: &Path,
        cache: &Path,
        text: &str,
        checked: Vec<Checked>,
        require_all: bool,
    ) -> Self {
        let mut findings: Vec<Finding> = checked.iter().flat_map(findings).collect();
        if require_all {
            let absent = checked.iter().filter(|c| c.content == Content::Absent);
            findings.extend(absent.map(|c| c.finding("cache", None, Some("it is not there".into()))));
        }
        let holds = findings.is_empty();
        Self {
            act: if holds { "MODULES.VERIFIED" } else { "MODULES.MISMATCH" },
            path: path.display().to_string(),
            modcache: cache.display().to_string(),
            holds,
            sums: checked.len(),
            content: checked.iter().filter(|c| c.content == Content::Holds).count(),
            absent: checked.iter().filter(|c| c.content == Content::Absent).count(),
            proven: checked.iter().filter(|c| c.proven().is_some()).count(),
            findings,
            checked,
            go_sum: Dual::digest(text.as_bytes()),
        }
    }

    pub(super) fn summary(&self) -> String {
        let mut names: Vec<_> = self.findings.iter().map(|f| format!("{}@{}", f.module, f.version)).collect();
        names.dedup();
        let more = names.len().saturating_sub(3);
        names.truncate(3);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more} cannot be trusted", names.join(", "))
    }

    pub(super) fn lines(&self) -> String {
        let mut text = format!(
            "{}: {} lines; {} as in the cache, {} not in it, {} proved by the database\n",
            self.path, self.sums, self.content, self.absent, self.proven
        );
        for finding in &self.findings {
            text += &finding.lines();
        }
        text
    }
}

impl Checked {
    pub(super) fn proven(&self) -> Option<&Proven> {
        match &self.listed {
            Some(Listed::Holds(proven)) => Some(proven),
            _ => None,
        }
    }

    pub(super) fn of(&self) -> &'static str {
        match self.sum.of {
            SumOf::Module => "module",
            SumOf::GoMod => "go.mod",
        }
    }

    fn finding(&self, witness: &'static str, found: Option<String>, reason: Option<String>) -> Finding {
        let Sum { module, version, hash, .. } = self.sum.clone();
        Finding { module, version, of: self.of(), witness, expected: hash, found, reason }
    }
}

/// Where the database proves another hash than go.sum's, it is go.sum that lies, and a copy in the cache is held to the
/// database.
fn findings(checked: &Checked) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut honest = None;
    match &checked.listed {
        Some(Listed::Differs { found }) => {
            honest = Some(found);
            let finding = checked.finding("go.sum", Some(checked.sum.hash.clone()), None);
            out.push(Finding { expected: found.clone(), ..finding });
        }
        Some(Listed::Absent) => {
            out.push(checked.finding("database", None, Some("it has no record of it".into())));
        }
        Some(Listed::Unproven { reason }) => {
            out.push(checked.finding("database", None, Some(reason.clone())))
        }
        Some(Listed::Holds(_)) | None => {}
    }
    match &checked.content {
        Content::Differs { found, .. } if Some(found) == honest => {}
        Content::Differs { copy, found } => {
            let finding = checked.finding(copy, Some(found.clone()), None);
            out.push(Finding { expected: honest.unwrap_or(&checked.sum.hash).clone(), ..finding });
        }
        Content::Unreadable { copy, reason } => out.push(checked.finding(copy, None, Some(reason.clone()))),
        Content::Holds | Content::Absent => {}
    }
    out
}

impl Finding {
    fn lines(&self) -> String {
        let what = if self.of == "go.mod" { "/go.mod" } else { "" };
        let mut text = format!("  {}@{}{what}: the {} lies\n", self.module, self.version, self.witness);
        if matches!(self.witness, "database" | "cache") {
            text = format!("  {}@{}{what}: not proved by the {}\n", self.module, self.version, self.witness);
        }
        text += &format!("    expected  {}\n", self.expected);
        for (name, value) in [("found", &self.found), ("reason", &self.reason)] {
            if let Some(value) = value {
                text += &format!("    {name:8}  {}\n", seal::escape(value.as_bytes()));
            }
        }
        text
    }
}

impl Recorded for Report {
    fn fact(&self) -> Option<Fact> {
        let first = self.findings.first().map(|f| format!("{}@{} ({})", f.module, f.version, f.witness));
        Some(
            Fact::new(self.act)
                .subject("svc", "custody")
                .object("path", self.path.clone())
                .object("go_sum_sha256", hex::encode(self.go_sum.sha256))
                .object("go_sum_sm3", hex::encode(self.go_sum.sm3))
                .context("sums", self.sums.to_string())
                .context("proven", self.proven.to_string())
                .context("findings", self.findings.len().to_string())
                .context("first", first.unwrap_or_default()),
        )
    }

    fn must_be_recorded(&self) -> bool {
        false
    }
}
