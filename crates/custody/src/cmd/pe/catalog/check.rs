//! `custody pe catalog verify` and `check`, and `custody pe verify --catalog`.

use std::path::{Path, PathBuf};

use authenticode::subject::Subject;
use clap::Args;
use event::{Fact, Severity};
use serde::Serialize;

use super::track::{Track, Vouched};
use crate::cmd::Context;
use crate::cmd::pe::text::Signed;
use crate::cmd::pe::trust::TrustArgs;
use crate::cmd::pe::walk::{self, Named};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  $ custody pe catalog verify dist.cat --ca root.pem";

pub(super) const CHECK_EXAMPLES: &str = "\
Exit code 0: the signature holds and vouches for every file; 1: it does not.

Examples:
  $ custody pe catalog check dist.cat dist --ca root.pem
  $ custody pe catalog check dist.cat dist/app.exe --ca root.pem --json
  $ custody pe verify dist/app.exe --catalog dist.cat --ca root.pem";

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The catalogue
    catalog: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The catalogue
    catalog: PathBuf,
    /// Files, and folders with all that is below them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Take members that know a file by SHA-1 alone
    #[arg(long)]
    sha1: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// One file. The names are part of the interface.
#[derive(Serialize)]
struct Checked {
    file: String,
    #[serde(flatten)]
    vouched: Vouched,
}

#[derive(Serialize)]
struct Report {
    act: &'static str,
    catalog: String,
    holds: bool,
    members: usize,
    made: String,
    signatures: Vec<Signed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    files: Vec<Checked>,
}

impl Report {
    fn of(path: &Path, track: Track, files: Vec<Checked>) -> Self {
        let refused = files.iter().find(|file| !file.vouched.holds);
        let fault = track.fault.or_else(|| {
            let file = refused?;
            Some(format!("`{}`: {}", file.file, file.vouched.why_not.as_deref().unwrap_or_default()))
        });
        Self {
            act: if fault.is_none() { "PE.CATALOG.VERIFIED" } else { "PE.CATALOG.REFUSED" },
            catalog: path.display().to_string(),
            holds: fault.is_none(),
            members: track.lookup.catalog().members.len(),
            made: track.lookup.catalog().made.to_string(),
            signatures: track.signatures,
            fault,
            files,
        }
    }

    fn lines(&self) -> String {
        let mut out = String::new();
        for file in &self.files {
            let said = match (&file.vouched.why_not, &file.vouched.digest) {
                (Some(why), _) => why.clone(),
                (None, digest) => digest.clone().unwrap_or_default(),
            };
            out += &format!(
                "{:8} {}  {said}\n",
                if file.vouched.holds { "holds" } else { "REFUSED" },
                file.file
            );
        }
        if self.holds {
            out += &format!("`{}` holds: {} members, made {}\n", self.catalog, self.members, self.made);
        }
        out
    }
}

impl Recorded for Report {
    fn fact(&self) -> Option<Fact> {
        let severity = if self.holds { Severity::Info } else { Severity::Critical };
        let fact = Fact::new(self.act).severity(severity).subject("svc", "custody");
        let fact = fact.object("path", self.catalog.clone()).context("files", self.files.len().to_string());
        Some(match &self.fault {
            Some(fault) => fact.context("found", fault.clone()),
            None => fact,
        })
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

pub(super) fn verify(args: &VerifyArgs, context: &Context) -> Outcome {
    let trust = args.trust.read()?;
    let report = Report::of(&args.catalog, Track::open(&args.catalog, &trust)?, Vec::new());
    conclude(&report, trust.anchors.is_empty(), context)
}

pub(super) fn check(args: &CheckArgs, context: &Context) -> Outcome {
    run(&args.catalog, &walk::files(&args.paths)?, args.sha1, &args.trust, context)
}

/// `custody pe verify FILE --catalog CAT`.
pub(in crate::cmd::pe) fn one(catalog: &Path, file: &Path, trust: &TrustArgs, context: &Context) -> Outcome {
    run(catalog, &walk::files(&[file.to_owned()])?, false, trust, context)
}

fn run(catalog: &Path, files: &[Named], sha1: bool, trust: &TrustArgs, context: &Context) -> Outcome {
    let trust = trust.read()?;
    let track = Track::open(catalog, &trust)?;
    // The catalogue itself may stand in the folder that it is of.
    let own = catalog.canonicalize().ok();
    let mut checked = Vec::new();
    for file in files.iter().filter(|file| file.path.canonicalize().ok() != own) {
        let mut source = walk::open(&file.path)?;
        let subject = Subject::read(&mut source).map_err(|e| super::super::failure(e, &file.path))?;
        checked.push(Checked { file: file.path.display().to_string(), vouched: track.judge(&subject, sha1) });
    }
    conclude(&Report::of(catalog, track, checked), trust.anchors.is_empty(), context)
}

fn conclude(report: &Report, nobody_trusted: bool, context: &Context) -> Outcome {
    context.conclude(report, Report::lines)?;
    let Some(fault) = &report.fault else { return Ok(()) };
    let failure = Failure::finding(anyhow::anyhow!("`{}` does not vouch for it: {fault}", report.catalog));
    Err(match nobody_trusted {
        true => failure.hint("nobody is trusted yet: name the authority with `--ca ROOT.pem`"),
        false => failure,
    })
}
