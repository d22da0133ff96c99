//! `custody audit hold`: who must not be erased, and why.

use audit::vault::{Hold, Subject, VaultAnswer, VaultCall};
use clap::{Args, Subcommand};

use super::super::Context;
use super::keys::unexpected;
use super::subject;
use crate::failure::Outcome;
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
An erasure of somebody who is held is queued, with the reason, and carried out by `erase --due` after the release.";

/// Arguments of `custody audit hold`.
#[derive(Args)]
pub(crate) struct HoldArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Hold a data subject
    #[command(
        after_help = "Examples:\n  $ custody audit hold add --subject customer:4711 --reason 'court order 7 O 12/26'"
    )]
    Add {
        /// Whom
        #[arg(long, value_name = "KIND:ID", value_parser = subject::parse)]
        subject: Subject,
        /// Why; it stands in the ledger, so it should not name the person
        #[arg(long)]
        reason: String,
    },
    /// End a hold
    #[command(
        after_help = "Examples:\n  $ custody audit hold list --json | cut -d'\"' -f6 | xargs custody audit hold release --reason done"
    )]
    Release {
        /// The hold, as `list` shows it
        hold: String,
        /// Why; it stands in the ledger
        #[arg(long)]
        reason: String,
    },
    /// List holds, and the erasures that wait
    #[command(after_help = "Examples:\n  $ custody audit hold list\n  $ custody audit hold list --json")]
    List,
}

/// Runs the verb.
pub(crate) fn run(args: HoldArgs, context: &Context) -> Outcome {
    let call = match args.verb {
        Verb::Add { subject, reason } => VaultCall::Hold { subject, reason },
        Verb::Release { hold, reason } => VaultCall::Release { id: hold, reason },
        Verb::List => VaultCall::Waiting {},
    };
    let released = matches!(call, VaultCall::Release { .. });
    match context.session()?.vault(&call).map_err(failure)? {
        VaultAnswer::Hold(hold) => context.output.show(&hold, |hold| match released {
            true => format!("released  {}\n", line(hold)),
            false => format!("held  {}\n", line(hold)),
        }),
        VaultAnswer::Waiting { holds, queue } => {
            let document = serde_json::json!({ "holds": holds, "queue": queue });
            context.output.show(&document, |_| {
                let holds = holds.iter().map(|hold| format!("held     {}\n", line(hold)));
                let queue = queue.iter().map(|queued| {
                    let due = queued.due.as_deref().unwrap_or("no date");
                    format!(
                        "waiting  {}  {}  due {due}  for {}\n",
                        queued.id, queued.subject, queued.waits_for
                    )
                });
                holds.chain(queue).collect()
            })
        }
        other => Err(unexpected(&other)),
    }
}

fn line(hold: &Hold) -> String {
    format!("{}  {}  since {}  {}", hold.id, hold.subject, hold.since, hold.reason)
}
