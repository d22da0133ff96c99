//! `custody pe verify` and `custody pe show`.

use std::path::{Path, PathBuf};

use authenticode::verify::{self, Report};
use clap::Args;
use event::{Fact, Severity};
use pkix::revocation::Evidence;
use serde::Serialize;

use super::bound::Bound;
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
  $ custody pe verify signed.exe --ca root.pem --explain
  $ custody pe verify dist/app.exe --ca root.pem --seal dist.seal.json dist";

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Program, library or driver
    file: PathBuf,
    /// The tree that `--seal` is of [default: found by the seal's entries]
    #[arg(requires = "seal")]
    tree: Option<PathBuf>,
    /// Check as well that the signature binds this seal's tree, and every file of it
    #[arg(long, value_name = "FILE")]
    seal: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Ask for the rules of drivers as well (`/kp` of signtool)
    #[arg(long)]
    kernel: bool,
    /// The signature stands in this catalogue, and not in the file
    #[arg(long, value_name = "CAT", conflicts_with_all = ["seal", "kernel", "explain"])]
    catalog: Option<PathBuf>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<TreeFound>,
    #[serde(flatten)]
    facts: Facts,
    #[serde(skip)]
    explain: bool,
}

/// How the tree stands to the seal and to the roots in the signature.
#[derive(Serialize)]
struct TreeFound {
    directory: String,
    seal: String,
    /// The signature's roots are those of the tree as it is.
    bound: bool,
    /// Entries that are neither as they were sealed nor programs, which the roots vouch for.
    differ: Vec<String>,
    signed_since: Vec<String>,
}

impl TreeFound {
    fn of(args: &VerifyArgs, report: &Report, context: &Context) -> Result<Option<Self>, Failure> {
        let Some(seal) = &args.seal else { return Ok(None) };
        let bound = Bound::open(seal, &[], context)?;
        let directory = match &args.tree {
            Some(tree) => tree.clone(),
            None => bound.directory_of(&args.file)?,
        };
        let observed = bound.observe(&directory, context)?;
        let differ = observed.others();
        let roots = if differ.is_empty() { Some(observed.roots(&bound)?) } else { None };
        let good = report.signatures.iter().filter(|signature| signature.holds());
        Ok(Some(Self {
            directory: directory.display().to_string(),
            seal: bound.name(),
            bound: roots.is_some() && good.into_iter().any(|signature| signature.seal == roots),
            differ,
            signed_since: observed.changed_programs(),
        }))
    }

    fn fault(&self) -> Option<String> {
        match (self.differ.first(), self.bound) {
            (Some(first), _) => {
                Some(format!("`{}` is not what `{}` seals: {first} differs", self.directory, self.seal))
            }
            (None, false) => Some(format!("no good signature binds the tree in `{}`", self.directory)),
            (None, true) => None,
        }
    }
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
    if let Some(catalog) = &args.catalog {
        return super::catalog::check_one(catalog, &args.file, &args.trust, context);
    }
    let trust = args.trust.read()?;
    let request = trust.request(args.kernel);
    let report = examine(&args.file, &request)?;
    let tree = TreeFound::of(args, &report, context)?;
    let tree_fault = tree.as_ref().and_then(TreeFound::fault);
    let holds = report.holds() && tree_fault.is_none();
    let verified = Verified {
        act: if holds { "PE.VERIFIED" } else { "PE.REFUSED" },
        file: args.file.display().to_string(),
        holds,
        tree,
        facts: Facts::of(&report),
        explain: args.explain,
    };
    context.conclude(&verified, |v| {
        let mut out = text::verified(&v.file, v.holds, &v.facts, v.explain);
        if let Some(tree) = v.tree.as_ref().filter(|tree| tree.bound) {
            out +=
                &format!("tree `{}` is what the signature binds and `{}` seals\n", tree.directory, tree.seal);
        }
        out
    })?;
    if holds {
        return Ok(());
    }
    let what = format!(
        "`{}` does not hold: {}",
        args.file.display(),
        tree_fault.filter(|_| report.holds()).unwrap_or_else(|| verified.facts.first_fault())
    );
    let failure = Failure::finding(anyhow::anyhow!(what));
    Err(match (trust.anchors.is_empty(), args.explain) {
        (true, _) => failure.hint("nobody is trusted yet: name the authority with `--ca ROOT.pem`"),
        (_, false) => failure.hint("see every rule with `--explain`"),
        _ => failure,
    })
}

pub(in crate::cmd) fn examine(file: &Path, request: &verify::Request<'_>) -> Result<Report, Failure> {
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
