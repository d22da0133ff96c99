//! `custody toolchain check`: whether a toolchain is whole, is for this machine, and works for this user.
//!
//! What a check learns it learns from the toolchain's own `go`, in one of two environments: an empty one, so that
//! nothing but the toolchain is judged; or the user's, where the user's settings are the question.

mod run;
mod standard;

use std::path::PathBuf;

use clap::Args;
use event::{Fact, Severity};
use serde::Serialize;

use super::layout::{Toolchain, this_platform};
use super::{Context, concluded};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The toolchain
    dir: PathBuf,
    /// Seconds that one step may take
    #[arg(long, value_name = "N", default_value_t = 120)]
    timeout: u64,
}

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Warn,
    Fail,
    Skipped,
}

/// One line of the table. The names are part of the interface.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    check: &'static str,
    status: Status,
    found: String,
    /// What to do about it.
    mend: Option<String>,
}

/// The table. The names are part of the interface.
#[derive(Serialize)]
struct Checked {
    /// The action code of the event.
    act: &'static str,
    holds: bool,
    dir: String,
    version: Option<String>,
    platform: Option<String>,
    checks: Vec<Check>,
}

impl Recorded for Checked {
    fn fact(&self) -> Option<Fact> {
        let failed = self.checks.iter().filter(|c| c.status == Status::Fail).map(|c| c.check);
        let failed = failed.collect::<Vec<_>>().join(",");
        let fact = Fact::new(self.act)
            .severity(if self.holds { Severity::Info } else { Severity::Warn })
            .subject("svc", "custody")
            .object("path", self.dir.clone())
            .context("holds", self.holds.to_string())
            .context("version", self.version.clone().unwrap_or_default())
            .context("platform", self.platform.clone().unwrap_or_default());
        Some(if self.holds { fact } else { fact.context("failed", failed) })
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), mend: None }
    }

    fn fail(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, status: Status::Fail, found: found.into(), mend: Some(mend.into()) }
    }

    fn warn(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, status: Status::Warn, found: found.into(), mend: Some(mend.into()) }
    }

    fn skipped(check: &'static str, why: &str) -> Self {
        Self { check, status: Status::Skipped, found: why.to_owned(), mend: None }
    }
}

pub(super) fn run(args: &CheckArgs, context: &Context) -> Outcome {
    let toolchain = Toolchain::at(&args.dir)?;
    let bar = context.output.count_bar(None, "checking");
    let checks = run::all(&toolchain, args.timeout, &|what| bar.set_message(what))?;
    bar.finish_and_clear();
    let failed = checks.iter().filter(|c| c.status == Status::Fail).count();
    let checked = Checked {
        act: "TOOLCHAIN.CHECKED",
        holds: failed == 0,
        dir: toolchain.root.display().to_string(),
        version: toolchain.version,
        platform: toolchain.platform,
        checks,
    };
    concluded(context, &checked, Checked::lines)?;
    if checked.holds {
        return Ok(());
    }
    Err(Failure::finding(anyhow::anyhow!(
        "{failed} of {} checks failed on {}",
        checked.checks.len(),
        checked.dir
    )))
}

impl Checked {
    fn lines(&self) -> String {
        let unknown = "unknown".to_owned();
        let version = self.version.as_ref().unwrap_or(&unknown);
        let platform = self.platform.as_ref().unwrap_or(&unknown);
        let mut text = format!("{}: {version}, {platform} (this machine: {})\n", self.dir, this_platform());
        for check in &self.checks {
            let status = match check.status {
                Status::Ok => "ok",
                Status::Warn => "warn",
                Status::Fail => "FAIL",
                Status::Skipped => "-",
            };
            text += &format!("  {status:4}  {:8}  {}\n", check.check, check.found);
            if let Some(mend) = &check.mend {
                text += &format!("                  mend: {mend}\n");
            }
        }
        text
    }
}
