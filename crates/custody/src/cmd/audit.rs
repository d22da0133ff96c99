//! `custody audit`: the ledger on the command line.

mod bench;
mod catalogue;
mod lines;
mod prove;
mod query;
mod record;
mod tail;
mod verify;

use clap::{Args, Subcommand};

use super::Context;
use crate::failure::Outcome;

/// Arguments of `custody audit`.
#[derive(Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Record events: JSON Lines on standard input, a receipt per event on standard output
    #[command(after_help = record::HELP)]
    Record(record::RecordArgs),
    /// Print events as they are recorded
    #[command(after_help = tail::HELP)]
    Tail(tail::TailArgs),
    /// Print recorded events
    #[command(after_help = query::HELP)]
    Query(query::QueryArgs),
    /// Say whether the ledger is what its key vouched for, and name the first damaged record or tile
    #[command(after_help = verify::HELP)]
    Verify(verify::VerifyArgs),
    /// Prove that an event is in the ledger, or that the ledger only grew; check such a proof offline
    #[command(after_help = prove::HELP)]
    Prove(prove::ProveArgs),
    /// Publish a checkpoint over everything recorded, and print it
    #[command(after_help = prove::CHECKPOINT_HELP)]
    Checkpoint(prove::CheckpointArgs),
    /// Print the actions and subject kinds that events may name
    #[command(after_help = catalogue::HELP)]
    Catalogue,
    /// Measure how fast events are acknowledged here
    #[command(after_help = bench::HELP)]
    Bench(bench::BenchArgs),
}

/// Runs the verb.
pub(crate) fn run(args: AuditArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Record(args) => record::run(&args, context),
        Verb::Tail(args) => tail::run(&args, context),
        Verb::Query(args) => query::run(&args, context),
        Verb::Verify(args) => verify::run(&args, context),
        Verb::Prove(args) => prove::run(&args, context),
        Verb::Checkpoint(args) => prove::checkpoint(&args, context),
        Verb::Catalogue => catalogue::run(context),
        Verb::Bench(args) => bench::run(&args, context),
    }
}
