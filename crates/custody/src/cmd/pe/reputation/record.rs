//! `custody pe reputation record`.

use std::path::PathBuf;

use clap::Args;
use event::{Fact, Severity};
use serde::Serialize;

use super::state::{Status, Submission};
use crate::cmd::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
Examples:
  $ custody pe reputation record submission --id 8f1c2d34-0000-4000-8000-1234567890ab
  $ custody pe reputation record submission --result clean";

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["id", "result"]))]
pub(super) struct RecordArgs {
    /// The folder that was submitted
    folder: PathBuf,
    /// The number that the submission was given
    #[arg(long, value_name = "ID", value_parser = identifier)]
    id: Option<String>,
    /// What came of it: clean, malware, unwanted or undetermined
    #[arg(long, value_name = "RESULT", value_parser = result)]
    result: Option<Status>,
}

fn identifier(text: &str) -> Result<String, String> {
    match (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("write it as the portal shows it, without spaces".to_owned()),
    }
}

fn result(text: &str) -> Result<Status, String> {
    match text {
        "clean" => Ok(Status::Clean),
        "malware" => Ok(Status::Malware),
        "unwanted" => Ok(Status::Unwanted),
        "undetermined" => Ok(Status::Undetermined),
        _ => Err("known are clean, malware, unwanted and undetermined".to_owned()),
    }
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Noted {
    act: &'static str,
    folder: String,
    #[serde(flatten)]
    submission: Submission,
}

impl Recorded for Noted {
    fn fact(&self) -> Option<Fact> {
        let bad = self.submission.status.is_final() && self.submission.status != Status::Clean;
        let fact = Fact::new(self.act)
            .severity(if bad { Severity::Warn } else { Severity::Info })
            .subject("svc", "custody")
            .object("sha256", self.submission.sha256.clone())
            .context("status", self.submission.status.word());
        Some(match &self.submission.id {
            Some(id) => fact.object("submission", id.clone()),
            None => fact,
        })
    }
}

pub(super) fn run(args: &RecordArgs, context: &Context) -> Outcome {
    let mut submission = Submission::read(&args.folder)?;
    let now = pkix::Time(jiff::Timestamp::now().as_second()).to_string();
    if context.home.existing().is_ok() {
        context.session()?;
    }
    if let Some(id) = &args.id {
        if submission.id.as_ref().is_some_and(|known| known != id) {
            let known = submission.id.unwrap_or_default();
            return Err(Failure::input(anyhow::anyhow!("this submission has the number {known} already"))
                .hint("each submission has a folder of its own: `custody pe reputation package`"));
        }
        submission.id = Some(id.clone());
        submission.submitted.get_or_insert_with(|| now.clone());
        if submission.status == Status::Prepared {
            submission.status = Status::Submitted;
        }
    }
    if let Some(result) = args.result {
        if submission.id.is_none() {
            return Err(Failure::input(anyhow::anyhow!("this submission has no number yet"))
                .hint("note it first with `--id`"));
        }
        submission.status = result;
        submission.decided = Some(now);
    }
    submission.write(&args.folder)?;
    let noted = Noted {
        act: if args.result.is_some() { "PE.SUBMISSION.DECIDED" } else { "PE.SUBMISSION.SENT" },
        folder: args.folder.display().to_string(),
        submission,
    };
    context.conclude(&noted, |n| {
        let id = n.submission.id.as_deref().unwrap_or("-");
        format!("submission {id} in `{}` is {}\n", n.folder, n.submission.status.word())
    })
}
