//! `custody pe reputation`: what a program needs before reputation services see it for the first time, and after.
//!
//! Nobody is asked here but a partner portal that was named, and nothing is promised: what Microsoft makes of a
//! submission is its own affair. `docs/design/0019-reputation-is-prepared-not-promised.md` says what rests on
//! documents and has never met the live service.

mod anchors;
mod check;
mod examine;
mod listen;
mod manifest;
mod package;
mod portal;
mod record;
mod sbom;
mod state;
mod watch;

use clap::{Args, Subcommand};

use crate::cmd::Context;
use crate::failure::Outcome;

#[derive(Args)]
pub(super) struct ReputationArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Say what would hold a program up at reputation services, each with its mend
    #[command(after_help = check::EXAMPLES)]
    Check(Box<check::CheckArgs>),
    /// Write a folder that is ready to be submitted
    #[command(after_help = package::EXAMPLES)]
    Package(Box<package::PackageArgs>),
    /// Note the number that a submission was given, and what came of it
    #[command(after_help = record::EXAMPLES)]
    Record(record::RecordArgs),
    /// Look once at certificates, the release manifest and the partner portal, and do what is due
    #[command(after_help = watch::EXAMPLES)]
    Watch(Box<watch::WatchArgs>),
    /// Take the partner portal's messages over HTTP
    #[command(after_help = listen::EXAMPLES)]
    Listen(listen::ListenArgs),
}

pub(super) fn run(args: ReputationArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Check(args) => check::run(&args, context),
        Verb::Package(args) => package::run(&args, context),
        Verb::Record(args) => record::run(&args, context),
        Verb::Watch(args) => watch::run(&args, context),
        Verb::Listen(args) => listen::run(&args, context),
    }
}
