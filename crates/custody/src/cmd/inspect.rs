//! `custody inspect`: what a Go executable says about itself, and how it is hardened.

mod compare;
mod lists;
mod text;

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use gobinary::hardening::{Assessment, Status, assess};
use gobinary::sparse::Need;
use gobinary::{Binary, Error, Inspection};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Larger files are refused.
const LARGEST: u64 = 2 << 30;

/// Arguments of `custody inspect`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The executable (ELF, PE or Mach-O)
    #[arg(value_name = "BIN")]
    binary: PathBuf,
    #[command(flatten)]
    list: lists::Args,
    /// Compare with another build of the same program: bytes, sections, settings, unwind data, gadgets
    #[arg(long, value_name = "BIN", conflicts_with_all = ["functions", "types", "symbols", "got", "module_data", "min_score"])]
    compare: Option<PathBuf>,
    /// Exit with 1 when the hardening score is below N: a gate for CI
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    min_score: Option<u32>,
}

/// Shown under `--help`; `tests/inspect.rs` runs them.
pub(crate) const EXAMPLES: &str = "Examples:
  $ custody inspect payments
  $ custody inspect payments --json
  $ custody inspect payments --functions
  $ custody inspect payments --functions --detail --json
  $ custody inspect payments --types
  $ custody inspect payments --symbols
  $ custody inspect payments --got
  $ custody inspect payments --module-data
  $ custody inspect payments --compare payments
  $ custody inspect payments --min-score 60

Exit codes: 0 it was read (and reaches --min-score), 1 the score is below --min-score,
2 not a Go executable, 3 it may not be read";

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    facts: &'a Inspection,
    hardening: &'a Assessment,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let need = if args.compare.is_some() { Need::Everything } else { args.list.need() };
    let failure = |error| failure(&args.binary, error);
    let (bytes, with_code);
    bytes = read(&args.binary, need)?;
    let mut binary = Binary::parse(&bytes).map_err(failure)?;
    if need != Need::Everything && binary.wants_code() {
        let need = if need == Need::Symbols { Need::Everything } else { Need::Code };
        with_code = read(&args.binary, need)?;
        binary = Binary::parse(&with_code).map_err(failure)?;
    }
    if let Some(other) = &args.compare {
        return compare::run((&args.binary, &binary), other, output);
    }
    let facts = binary.inspect();
    let assessment = assess(&facts);
    if args.list.any() {
        lists::show(&args.list, &binary, output, failure)?;
    } else {
        let document = Document { facts: &facts, hardening: &assessment };
        output.show(&document, |_| text::facts(&args.binary, &facts, &assessment))?;
    }
    gate(&args.binary, &assessment, args.min_score)
}

fn read(path: &Path, need: Need) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let error = anyhow::Error::from(error).context(format!("cannot read {}", path.display()));
        if denied {
            return Failure::environment(error).hint("read it as a user who may, or copy it");
        }
        Failure::input(error).hint("name an executable file")
    };
    let mut file = crate::given::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    let too_large = || Failure::input(anyhow!("{} is larger than 2 GiB", path.display()));
    if about.is_file() {
        let size =
            usize::try_from(about.len()).ok().filter(|_| about.len() <= LARGEST).ok_or_else(too_large)?;
        let fetch = |range: std::ops::Range<usize>, into: &mut [u8]| {
            file.seek(SeekFrom::Start(range.start as u64))?;
            file.read_exact(into)
        };
        return gobinary::sparse::read(size, need, fetch).map_err(unreadable);
    }
    // One byte more than is allowed tells a device without an end.
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large());
    }
    Ok(bytes)
}

fn failure(path: &Path, error: Error) -> Failure {
    let hint = match &error {
        Error::UnknownFormat { .. } => "name an ELF, PE or Mach-O executable that a Go toolchain built",
        Error::NotGo => {
            "is it packed (UPX), or built by another compiler? inspect the file that `go build` wrote"
        }
        Error::OldFunctionTable { .. } => {
            "rebuild it with Go 1.16 or later; without `--functions` the rest is shown"
        }
        Error::NoFunctionTable
        | Error::NoTextStart
        | Error::ModuleData { .. }
        | Error::TypeData { .. }
        | Error::FunctionTable { .. } => {
            "the file may be damaged or obfuscated; without `--functions` the rest is shown"
        }
        _ => "the file may be damaged; compare it with its seal",
    };
    let context = format!("cannot inspect {}", path.display());
    Failure::input(Err::<(), _>(error).context(context).expect_err("it was an error")).hint(hint)
}

fn gate(path: &Path, assessment: &Assessment, least: Option<u32>) -> Outcome {
    match least {
        Some(least) if assessment.score < least => {
            let failed = assessment.checks.iter().filter(|c| c.status == Status::Fails && c.weight > 0);
            let mends: Vec<&str> = failed.filter_map(|c| c.mend).take(3).collect();
            let error = anyhow!("{} scores {}, below {least}", path.display(), assessment.score);
            Err(Failure::finding(error).hint(format!("what weighs most: {}", mends.join("; "))))
        }
        _ => Ok(()),
    }
}
