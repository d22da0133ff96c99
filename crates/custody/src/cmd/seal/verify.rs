//! `custody seal verify`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use evidence::{Images, Options};
use seal::Comparison;

use super::report::Report;
use super::{Context, LimitArgs, Source, collect, concluded, keyring, open, programs};
use crate::failure::{Failure, Outcome};
use crate::given;

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Directory, archive or file
    path: PathBuf,
    /// The seal
    #[arg(long, value_name = "FILE", required_unless_present = "proof")]
    seal: Option<PathBuf>,
    /// The proof of one file (`custody seal prove`) instead of the seal
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seal", "entries_only"])]
    proof: Option<PathBuf>,
    /// Trust this public key too, for this once (PEM), or ask for what this policy says (`*.toml`); repeatable
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// Compare what an archive holds and not its own bytes, as if it were unpacked; several times as fast
    #[arg(long)]
    entries_only: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Outcome {
    let ring = keyring(context);
    let file = match (&args.seal, &args.proof) {
        (_, Some(proof)) => return super::prove::verify(&args.path, proof, &args.trust, context),
        (Some(seal), None) => seal,
        (None, None) => return Err(Failure::input(anyhow::anyhow!("neither a seal nor a proof was named"))),
    };
    let source = Source { file, trust: &args.trust };
    let (seal, signed_by) = open(&read(file)?, source, ring.as_ref())?;
    let mut options = match args.entries_only {
        true => Options::for_entries(&seal, args.limits.limits()),
        false => Options::for_comparison(&seal, args.limits.limits()),
    };
    if !seal.programs().is_empty() {
        options.images = Images::Digests;
    }
    let found = collect(&args.path, &options, context)?;
    let mut comparison = Comparison::of(&seal, &found.observation);
    comparison.set_signed_apart(&seal, &found.observation, &programs(found.images));
    let mut report = Report::new(&args.path, file, &seal, signed_by, &comparison);
    report.entries_only |= args.entries_only;
    if let Some(note) = report.note() {
        context.output.remark(&note);
    }
    concluded(context, &report, Report::lines)?;
    match report.holds() {
        true => Ok(()),
        false => Err(Failure::finding(anyhow::anyhow!(
            "`{}` is not what `{}` seals: {}",
            args.path.display(),
            file.display(),
            report.summary()
        ))
        .hint("put back what was sealed; if the change is meant, seal it anew with `custody seal create`")),
    }
}

/// The bytes of a seal.
pub(in crate::cmd) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| {
        let misnamed = given::is_misnamed(&e);
        let error = anyhow::Error::from(e).context(format!("cannot read seal `{}`", file.display()));
        match misnamed {
            true => Failure::input(error).hint("name the file that `custody seal create -o FILE` wrote"),
            false => Failure::environment(error),
        }
    };
    let limit = seal::MAX_ENVELOPE as u64 + 1;
    let mut bytes = Vec::new();
    given::open(file).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}
