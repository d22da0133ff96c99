//! `custody pe catalog`: signed lists of files, for what cannot carry a signature of its own.

mod check;
mod create;
mod list;
mod sign;
mod track;

use clap::{Args, Subcommand};

use crate::cmd::Context;
use crate::failure::Outcome;

pub(super) use check::one as check_one;
pub(super) use track::{Track, Vouched};

#[derive(Args)]
pub(super) struct CatalogArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a catalogue of files; nobody has signed it yet
    #[command(after_help = create::EXAMPLES)]
    Create(create::CreateArgs),
    /// Sign a catalogue, one of ours or another's
    #[command(after_help = sign::EXAMPLES)]
    Sign(Box<sign::SignArgs>),
    /// Say whether a catalogue's signature holds
    #[command(after_help = check::VERIFY_EXAMPLES)]
    Verify(check::VerifyArgs),
    /// List the members of a catalogue, judging nothing
    #[command(
        after_help = "Examples:\n  $ custody pe catalog list dist.cat\n  $ custody pe catalog list dist.cat --json"
    )]
    List(list::ListArgs),
    /// Say whether a catalogue vouches for files, or for every file of a folder
    #[command(after_help = check::CHECK_EXAMPLES)]
    Check(Box<check::CheckArgs>),
}

pub(super) fn run(args: CatalogArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Create(args) => create::run(&args, context),
        Verb::Sign(args) => sign::run(&args, context),
        Verb::Verify(args) => check::verify(&args, context),
        Verb::List(args) => list::run(&args, context),
        Verb::Check(args) => check::check(&args, context),
    }
}
