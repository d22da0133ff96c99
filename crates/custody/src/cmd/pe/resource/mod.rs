//! `custody pe resource`: version information, icon and manifest, which Go leaves out, before a program is signed.

mod go;
mod set;
mod show;

use clap::{Args, Subcommand};

use crate::cmd::Context;
use crate::failure::Outcome;

#[derive(Args)]
pub(super) struct ResourceArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Add or change version information, icon, manifest and time of a program that is not signed yet
    #[command(after_help = set::EXAMPLES)]
    Set(Box<set::SetArgs>),
    /// List the resources of a program, and what its version information and manifest say
    #[command(
        after_help = "Examples:\n  $ custody pe resource show bare.exe\n  $ custody pe resource show bare.exe --json"
    )]
    Show(show::ShowArgs),
}

pub(super) fn run(args: ResourceArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Set(args) => set::run(&args, context),
        Verb::Show(args) => show::run(&args, context),
    }
}
