//! `custody pe policy compile`.

use std::path::PathBuf;

use clap::Args;
use codeintegrity::{deployable, write_binary};
use pkix::Digest;
use serde::Serialize;

use super::file;
use crate::cmd::Context;
use crate::failure::Outcome;

pub(super) const EXAMPLES: &str = "\
Into a folder it is written under the name that Windows expects there, the policy's identifier and `.cip`.

Examples:
  $ custody pe policy compile payments.xml -o payments.cip";

#[derive(Args)]
pub(super) struct CompileArgs {
    /// The policy
    policy: PathBuf,
    /// The compiled policy, or a folder for it
    #[arg(long, short, value_name = "CIP")]
    output: PathBuf,
    /// Also when the machine that loads it would not start
    #[arg(long)]
    force: bool,
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Compiled {
    output: String,
    policy_id: String,
    version: String,
    sha256: String,
}

pub(super) fn run(args: &CompileArgs, context: &Context) -> Outcome {
    let loaded = file::read(&args.policy)?;
    let bytes = write_binary(&loaded.policy).map_err(super::unwritable)?;
    if !args.force {
        super::weigh(&deployable(&loaded.policy), "Windows would not take this policy", context)?;
    }
    let id = loaded.policy.policy_id.to_string();
    let output = match args.output.is_dir() {
        true => args.output.join(format!("{id}.cip")),
        false => args.output.clone(),
    };
    super::build::write(&output, &bytes)?;
    let compiled = Compiled {
        output: output.display().to_string(),
        policy_id: id,
        version: loaded.policy.version.to_string(),
        sha256: hex::encode(Digest::Sha256.of(&bytes)),
    };
    context.output.show(&compiled, |c| {
        format!(
            "compiled to `{}`\n  id        {}\n  version   {}\n  sha256    {}\n",
            c.output, c.policy_id, c.version, c.sha256
        )
    })
}
