//! `custody verify`: a tree with signed programs in it, checked in one go.
//!
//! Three things must agree: the seal, which a trusted key signed; the root of the tree as it is now, every program by its
//! Authenticode digests; and the root that a good signature of a program carries. Then each file is the one that was
//! sealed, whatever was signed since, and a program exchanged for another, well signed or not, is found.

use std::path::{Path, PathBuf};

use authenticode::{SealRoots, verify};
use clap::Args;
use event::{Fact, Severity};
use serde::Serialize;

use super::Context;
use super::pe::{Bound, Facts, Observed, TrustArgs, examine};
use super::seal::Signer;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(crate) const EXAMPLES: &str = "\
Of a folder, one program at least must carry a signature that holds and binds the tree; of a program, its own must.
Programs that were changed since the tree was sealed must be signed well; those that were not need no signature.

Exit code 0: everything holds; 1: something does not, and the first is named; 2: the seal or a file cannot be understood.

Examples:
  $ custody verify dist --seal dist.seal.json --ca root.pem
  $ custody verify dist/app.exe --seal dist.seal.json --ca root.pem --json
  $ custody verify dist --seal dist.seal.json --ca root.pem --all-signed";

/// Arguments of `custody verify`.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// A folder, or one program in it
    path: PathBuf,
    /// The seal of the folder
    #[arg(long, value_name = "FILE")]
    seal: PathBuf,
    /// The folder that a program stands in [default: found by the seal's entries]
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Every program of the tree must carry a signature that holds and binds the tree
    #[arg(long)]
    all_signed: bool,
    /// Trust this public key for the seal, for this once (PEM), or ask for what this policy says (`*.toml`); repeatable
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    trust: Vec<PathBuf>,
    #[command(flatten)]
    authorities: TrustArgs,
}

/// What was found, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Verified {
    act: &'static str,
    holds: bool,
    path: String,
    tree: String,
    seal: String,
    signed_by: Vec<Signer>,
    entries: usize,
    /// The roots of the tree as it is, where its files are those that were sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Roots>,
    /// Entries that are neither as they were sealed nor programs that were signed since.
    differ: Vec<String>,
    programs: Vec<Judged>,
    /// Why it does not hold.
    faults: Vec<String>,
}

#[derive(Serialize)]
struct Roots {
    sha256: String,
    sm3: String,
}

/// A program of the tree.
#[derive(Serialize)]
struct Judged {
    path: String,
    signed: bool,
    /// Its bytes are not those that were sealed: it was signed since, or its signature was taken away.
    changed: bool,
    /// A signature holds, and nothing is wrong with the others' bytes.
    holds: bool,
    /// A signature that holds carries the tree's roots.
    bound: bool,
    #[serde(flatten)]
    facts: Facts,
}

impl Recorded for Verified {
    fn fact(&self) -> Option<Fact> {
        let severity = if self.holds { Severity::Info } else { Severity::Critical };
        let keys: Vec<_> = self.signed_by.iter().map(|signer| signer.key_id.as_str()).collect();
        let mut fact = Fact::new(self.act)
            .severity(severity)
            .subject("svc", "custody")
            .object("path", self.path.clone())
            .object("seal", self.seal.clone())
            .context("keys", keys.join(","))
            .context("programs", self.programs.len().to_string());
        if let Some(root) = &self.root {
            fact = fact.object("tree", root.sha256.clone());
        }
        Some(match self.faults.first() {
            Some(fault) => fact.context("found", fault.clone()),
            None => fact,
        })
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

/// Runs `custody verify`.
pub(crate) fn run(args: &VerifyArgs, context: &Context) -> Outcome {
    let trust = args.authorities.read()?;
    let request = trust.request(false);
    let bound = Bound::open(&args.seal, &args.trust, context)?;
    let tree = match &args.tree {
        Some(tree) => tree.clone(),
        None if args.path.is_dir() => args.path.clone(),
        None => bound.directory_of(&args.path)?,
    };
    let observed = bound.observe(&tree, context)?;
    let differ = observed.others();
    let roots = if differ.is_empty() { Some(observed.roots(&bound)?) } else { None };
    let programs = judged(&observed, &tree, roots, &request)?;
    let faults = faults(args, &tree, &differ, &programs)?;
    let verified = Verified {
        act: if faults.is_empty() { "SEAL.VERIFIED" } else { "SEAL.MISMATCH" },
        holds: faults.is_empty(),
        path: args.path.display().to_string(),
        tree: tree.display().to_string(),
        seal: bound.name(),
        entries: bound.seal.tree().entries().len(),
        signed_by: bound.signed_by,
        root: roots.map(|r| Roots { sha256: hex::encode(r.sha256), sm3: hex::encode(r.sm3) }),
        differ,
        programs,
        faults,
    };
    context.conclude(&verified, Verified::lines)?;
    match verified.faults.first() {
        None => Ok(()),
        Some(fault) => {
            let failure = Failure::finding(anyhow::anyhow!("`{}` does not hold: {fault}", verified.path));
            Err(match trust.anchors.is_empty() {
                true => failure.hint("nobody is trusted yet: name the authority with `--ca ROOT.pem`"),
                false => failure.hint("see everything that was looked at with `--json`"),
            })
        }
    }
}

/// Every program of the tree with its signatures.
fn judged(
    observed: &Observed,
    tree: &Path,
    roots: Option<SealRoots>,
    request: &verify::Request<'_>,
) -> Result<Vec<Judged>, Failure> {
    let changed = observed.changed_programs();
    let one = |program: &seal::Program| {
        let path = program.path.to_string();
        let report = examine(&tree.join(&path), request)?;
        let mut good = report.signatures.iter().filter(|signature| signature.holds());
        Ok(Judged {
            signed: !report.signatures.is_empty(),
            changed: changed.contains(&path),
            holds: report.holds(),
            bound: report.holds() && roots.is_some() && good.any(|signature| signature.seal == roots),
            facts: Facts::of(&report),
            path,
        })
    };
    observed.programs.iter().map(one).collect()
}

/// Everything that keeps it from holding, the gravest first.
fn faults(
    args: &VerifyArgs,
    tree: &Path,
    differ: &[String],
    programs: &[Judged],
) -> Result<Vec<String>, Failure> {
    let mut out: Vec<String> =
        differ.iter().map(|path| format!("{path} is not what `{}` seals", args.seal.display())).collect();
    let named = match args.path.is_dir() {
        true => None,
        false => Some(find(programs, tree, &args.path)?),
    };
    for program in programs {
        let must_hold = (program.changed && program.signed) || named == Some(program.path.as_str());
        if must_hold && !program.holds {
            out.push(format!("{}: {}", program.path, program.facts.first_fault()));
        }
    }
    // What differs names itself; roots over it would say nothing more.
    if differ.is_empty() {
        let unbound =
            |program: &&Judged| !program.bound && (args.all_signed || named == Some(program.path.as_str()));
        out.extend(
            programs
                .iter()
                .filter(unbound)
                .map(|p| format!("no good signature of {} binds the tree", p.path)),
        );
        if !programs.iter().any(|program| program.bound) && out.is_empty() {
            out.push("no program in it carries a good signature that binds the tree".to_owned());
        }
    }
    Ok(out)
}

/// The path within the tree of the program that was named.
fn find<'a>(programs: &'a [Judged], tree: &Path, path: &Path) -> Result<&'a str, Failure> {
    let full = |path: &Path| path.canonicalize().ok();
    let found = programs.iter().find(|program| {
        let own = full(&tree.join(&program.path));
        own.is_some() && own == full(path)
    });
    found.map(|program| program.path.as_str()).ok_or_else(|| {
        let what =
            format!("`{}` is no Windows program among the files of `{}`", path.display(), tree.display());
        Failure::input(anyhow::anyhow!(what))
            .hint("of other files, `custody seal verify` says whether they are what was sealed")
    })
}

impl Verified {
    fn lines(&self) -> String {
        if !self.holds {
            return self.faults.iter().map(|fault| format!("fault      {fault}\n")).collect();
        }
        let by: Vec<_> = self.signed_by.iter().map(|signer| signer.name.as_str()).collect();
        let mut out =
            format!("`{}` holds: {} entries, sealed by {}\n", self.path, self.entries, by.join(", "));
        for program in &self.programs {
            let state = match (program.bound, program.holds, program.signed) {
                (true, ..) => "binds the tree",
                (_, true, _) => "signed",
                (.., true) => "signed, not trusted here",
                _ => "not signed",
            };
            out += &format!("  {:24}  {}\n", state, seal::escape(program.path.as_bytes()));
        }
        out
    }
}
