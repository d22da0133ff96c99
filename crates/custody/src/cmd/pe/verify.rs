//! `custody pe verify` and `custody pe show`.

use std::path::{Path, PathBuf};

use authenticode::verify::{self, Report};
use clap::Args;
use event::{Fact, Severity};
use pkix::revocation::Evidence;
use serde::Serialize;

use super::text::{self, Facts};
use super::trust::TrustArgs;
use crate::cmd::Context;
use crate::failure::{Failure, Outcome};
use crate::given;
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
Exit code 0: the image is the one that was signed, and one signature at least breaks no rule; 1: it is not, or none
does; 2: the file is no image.

Examples:
  $ custody pe verify signed.exe --ca root.pem
  $ custody pe verify signed.exe --ca root.pem --explain";

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Program, library or driver
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// Ask for the rules of drivers as well (`/kp` of signtool)
    #[arg(long)]
    kernel: bool,
    /// Say every rule that was looked at, certificate by certificate
    #[arg(long)]
    explain: bool,
}

#[derive(Args)]
pub(super) struct ShowArgs {
    /// Program, library or driver
    file: PathBuf,
}

/// What was found, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Verified {
    act: &'static str,
    file: String,
    holds: bool,
    #[serde(flatten)]
    facts: Facts,
    #[serde(skip)]
    explain: bool,
}

impl Recorded for Verified {
    fn fact(&self) -> Option<Fact> {
        let severity = if self.holds { Severity::Info } else { Severity::Critical };
        let fact = Fact::new(self.act)
            .severity(severity)
            .subject("svc", "custody")
            .object("path", self.file.clone());
        let signers = self.facts.signers();
        let fact = if signers.is_empty() { fact } else { fact.context("signers", signers) };
        Some(if self.holds { fact } else { fact.context("found", self.facts.first_fault()) })
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Outcome {
    let trust = args.trust.read()?;
    let request = verify::Request {
        anchors: &trust.anchors,
        others: &trust.others,
        revocation: &trust.revocation,
        now: trust.now,
        kernel: args.kernel,
    };
    let report = examine(&args.file, &request)?;
    let holds = report.holds();
    let verified = Verified {
        act: if holds { "PE.VERIFIED" } else { "PE.REFUSED" },
        file: args.file.display().to_string(),
        holds,
        facts: Facts::of(&report),
        explain: args.explain,
    };
    context.conclude(&verified, |v| text::verified(&v.file, v.holds, &v.facts, v.explain))?;
    if holds {
        return Ok(());
    }
    let what = format!("`{}` does not hold: {}", args.file.display(), verified.facts.first_fault());
    let failure = Failure::finding(anyhow::anyhow!(what));
    Err(match (trust.anchors.is_empty(), args.explain) {
        (true, _) => failure.hint("nobody is trusted yet: name the authority with `--ca ROOT.pem`"),
        (_, false) => failure.hint("see every rule with `--explain`"),
        _ => failure,
    })
}

fn examine(file: &Path, request: &verify::Request<'_>) -> Result<Report, Failure> {
    let mut source = given::open(file).map_err(|e| {
        let misnamed = given::is_misnamed(&e);
        let error = anyhow::Error::from(e).context(format!("cannot read `{}`", file.display()));
        if misnamed { Failure::input(error) } else { Failure::environment(error) }
    })?;
    verify::verify(&mut source, request).map_err(|e| super::failure(e, file))
}

pub(super) fn show(args: &ShowArgs, context: &Context) -> Outcome {
    let request = verify::Request {
        anchors: &[],
        others: &[],
        revocation: &Evidence::default(),
        now: pkix::Time(jiff::Timestamp::now().as_second()),
        kernel: false,
    };
    let facts = Facts::of(&examine(&args.file, &request)?);
    context.output.show(&facts, |facts| text::shown(&args.file.display().to_string(), facts))
}
