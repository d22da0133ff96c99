//! `custody audit`: the ledger on the command line.

mod alerts;
mod bench;
mod catalogue;
mod certificate;
mod dated;
mod disclose;
mod erase;
mod export;
mod gaps;
mod hold;
mod keys;
mod lines;
mod prove;
mod query;
mod record;
mod redact;
mod retention;
mod reveal;
mod subject;
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
    /// Show when logging was not alive, or its clock was set
    #[command(after_help = gaps::HELP)]
    Gaps(gaps::GapsArgs),
    /// Rules of alerts
    Alerts(alerts::AlertsArgs),
    /// Print the actions and subject kinds that events may name
    #[command(after_help = catalogue::HELP)]
    Catalogue,
    /// Copy the ledger: a backup that can be put back, or rolled plain files
    #[command(after_help = export::HELP)]
    Export(export::ExportArgs),
    /// Put backups back into a new home, or check them
    #[command(after_help = export::RESTORE_HELP)]
    Restore(export::RestoreArgs),
    /// How long events are kept, what may go, and which requests are due
    #[command(after_help = retention::HELP)]
    Retention(retention::RetentionArgs),
    /// Say what the redaction policy does to an event
    #[command(after_help = redact::HELP)]
    Redact(redact::RedactArgs),
    /// Destroy the keys of a data subject, and certify it
    #[command(after_help = erase::HELP)]
    Erase(erase::EraseArgs),
    /// Say who must not be erased
    #[command(after_help = hold::HELP)]
    Hold(hold::HoldArgs),
    /// Open one sealed field to an auditor, with its proof
    #[command(after_help = disclose::HELP)]
    Disclose(disclose::DiscloseArgs),
    /// Keep the vault of personal keys
    #[command(after_help = keys::HELP)]
    Keys(keys::KeysArgs),
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
        Verb::Gaps(args) => gaps::run(&args, context),
        Verb::Alerts(args) => alerts::run(args, context),
        Verb::Catalogue => catalogue::run(context),
        Verb::Export(args) => export::run(&args, context),
        Verb::Restore(args) => export::restore(&args, context),
        Verb::Retention(args) => retention::run(&args, context),
        Verb::Redact(args) => redact::run(&args, context),
        Verb::Erase(args) => erase::run(&args, context),
        Verb::Hold(args) => hold::run(args, context),
        Verb::Disclose(args) => disclose::run(&args, context),
        Verb::Keys(args) => keys::run(args, context),
        Verb::Bench(args) => bench::run(&args, context),
    }
}
