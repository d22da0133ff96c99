//! `custody seal diff`: what two seals say differently, without either artefact.

use std::path::PathBuf;

use clap::Args;
use seal::{Comparison, Observation, Seal};
use serde::Serialize;

use super::report::{self, Signer};
use super::{Context, Source, keyring, open, read};
use crate::failure::{Failure, Outcome};

pub(super) const HELP: &str = "\
Exit code 0: both list the same; 1: they do not, or nobody trusted signed one; 2: a seal cannot be understood.

Examples:
  $ custody seal diff bin.seal.json two.seal.json";

#[derive(Args)]
pub(super) struct DiffArgs {
    /// The first seal
    first: PathBuf,
    /// The second
    second: PathBuf,
    /// Trust this public key too, for this once (PEM), or ask for what this policy says (`*.toml`); repeatable
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
}

/// What differs. The names are part of the interface.
#[derive(Serialize)]
struct Difference<'a> {
    same: bool,
    first: Side,
    second: Side,
    #[serde(flatten)]
    entries: &'a Comparison,
    /// Both are of bytes, and of the same; absent where one is of a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_bytes: Option<bool>,
}

#[derive(Serialize)]
struct Side {
    seal: String,
    name: String,
    kind: &'static str,
    entries: usize,
    signed_by: Vec<Signer>,
}

pub(super) fn run(args: &DiffArgs, context: &Context) -> Outcome {
    let ring = keyring(context);
    let opened = |file: &PathBuf| -> Result<(Seal, Side), Failure> {
        let (seal, signed_by) = open(&read(file)?, Source { file, trust: &args.trust }, ring.as_ref())?;
        let side = Side {
            seal: file.display().to_string(),
            name: seal.name().to_owned(),
            kind: seal.subject().word(),
            entries: seal.tree().entries().len(),
            signed_by,
        };
        Ok((seal, side))
    };
    let ((a, first), (b, second)) = (opened(&args.first)?, opened(&args.second)?);
    let found = Comparison::of_entries(&a, &Observation::of(&b));
    let same_bytes = a.digest().zip(b.digest()).map(|(a, b)| a == b);
    let same = found.holds() && same_bytes != Some(false);
    let difference = Difference { same, first, second, entries: &found, same_bytes };
    context.output.show(&difference, Difference::lines)?;
    match same {
        true => Ok(()),
        false => Err(Failure::finding(anyhow::anyhow!(
            "`{}` and `{}` do not list the same",
            args.first.display(),
            args.second.display()
        ))),
    }
}

impl Difference<'_> {
    fn lines(&self) -> String {
        let (a, b) = (&self.first, &self.second);
        if self.same {
            return format!("`{}` and `{}` list the same {} entries\n", a.seal, b.seal, a.entries);
        }
        let mut text = report::entries(self.entries);
        if self.same_bytes == Some(false) && self.entries.holds() {
            text += "container  the entries are the same, and the bytes around them are not\n";
        }
        text
    }
}
