//! `custody pe timestamp`.

use std::path::{Path, PathBuf};

use authenticode::{sign, timestamp};
use clap::Args;
use event::Fact;
use pkix::Digest;
use serde::Serialize;

use super::batch;
use super::replace::{Replacement, Synced};
use super::tsa::AuthorityArgs;
use crate::cmd::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
The signature must still be good: a timestamp proves that it was there at that time, and nothing about before.

Examples:
  $ custody pe timestamp signed.exe --tsa http://timestamp.example.com/";

#[derive(Args)]
pub(super) struct TimestampArgs {
    /// Files that were signed
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    authorities: AuthorityArgs,
}

/// One file that was dated, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Dated {
    act: &'static str,
    file: String,
    dated_by: String,
    signature_sha256: String,
}

impl Recorded for Dated {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act).subject("svc", "custody").object("path", self.file.clone());
        Some(
            fact.object("signature", self.signature_sha256.clone())
                .context("authority", self.dated_by.clone()),
        )
    }
}

pub(super) fn run(args: &TimestampArgs, context: &Context) -> Outcome {
    if !args.authorities.any() {
        return Err(Failure::input(anyhow::anyhow!("no timestamp authority was named"))
            .hint("name one with `--tsa URL`"));
    }
    batch::each(
        &args.files,
        |file| file,
        |file| one(file, args),
        |dated| context.conclude(&dated, |d| format!("dated `{}`\n  by        {}\n", d.file, d.dated_by)),
    )
}

fn one(file: &Path, args: &TimestampArgs) -> Result<(Dated, Synced), Failure> {
    let failed = |e| super::failure(e, file);
    let mut replacement = Replacement::open(file, file)?;
    let pkcs7 = sign::existing(&mut replacement.source).map_err(failed)?;
    let value = timestamp::stamped_value(&pkcs7).map_err(failed)?;
    let (stamp, dated_by) = args
        .authorities
        .ask(&value, Digest::Sha256)?
        .ok_or_else(|| Failure::input(anyhow::anyhow!("no timestamp authority was named")))?;
    let pkcs7 = timestamp::attach(&pkcs7, &stamp).map_err(failed)?;
    sign::replace(&mut replacement.source, &mut replacement.copy, &pkcs7).map_err(failed)?;
    let dated = Dated {
        act: "PE.TIMESTAMPED",
        file: file.display().to_string(),
        dated_by,
        signature_sha256: hex::encode(Digest::Sha256.of(&value)),
    };
    Ok((dated, replacement.synced()?))
}
