//! `custody audit keys`: the vault of personal keys. What changes is an event, recorded by the owner of the home.

use audit::vault::{KeysChanged, Subject, VaultAnswer, VaultCall, VaultStatus};
use clap::{Args, Subcommand};

use super::super::Context;
use super::subject;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
Personal values are sealed under keys of their data subject and calendar month, which the vault keeps under random\n\
ids. The vault itself is closed by a key-encryption key, which `vault.toml` in the home places; without one it is a\n\
file beside the home. See docs/formats/vault.md.";

/// Arguments of `custody audit keys`.
#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Say how the vault stands
    #[command(after_help = "Examples:\n  $ custody audit keys status\n  $ custody audit keys status --json")]
    Status,
    /// Make the vault; otherwise the first value that is sealed makes it
    #[command(
        after_help = "Examples:\n  $ custody --home new-home init\n  $ custody --home new-home audit keys init"
    )]
    Init {
        /// Also when its key-encryption key is there and the vault is not: what was sealed in it stays closed
        #[arg(long)]
        replace_lost: bool,
    },
    /// Make the keys of a subject for this month
    #[command(after_help = "Examples:\n  $ custody audit keys generate --subject customer:4711")]
    Generate {
        /// Whose
        #[arg(long, value_name = "KIND:ID", value_parser = subject::parse)]
        subject: Subject,
    },
    /// Replace the key-encryption key, or the keys of one subject; what was sealed stays readable
    #[command(
        after_help = "Examples:\n  $ custody audit keys rotate\n  $ custody audit keys rotate --subject customer:4711"
    )]
    Rotate {
        /// Whose; the key-encryption key when absent
        #[arg(long, value_name = "KIND:ID", value_parser = subject::parse)]
        subject: Option<Subject>,
    },
    /// Let the keys of a subject open, and seal no more
    #[command(after_help = "Examples:\n  $ custody audit keys retire --subject customer:4711")]
    Retire {
        /// Whose
        #[arg(long, value_name = "KIND:ID", value_parser = subject::parse)]
        subject: Subject,
    },
}

/// Runs the verb.
pub(crate) fn run(args: KeysArgs, context: &Context) -> Outcome {
    let call = match args.verb {
        Verb::Status => VaultCall::Status {},
        Verb::Init { replace_lost } => VaultCall::Create { replace_lost },
        Verb::Generate { subject } => VaultCall::Generate { subject },
        Verb::Rotate { subject: Some(subject) } => VaultCall::Rotate { subject },
        Verb::Rotate { subject: None } => VaultCall::RotateKek {},
        Verb::Retire { subject } => VaultCall::Retire { subject },
    };
    match context.session()?.vault(&call).map_err(failure)? {
        VaultAnswer::Status(status) => context.output.show(&status, status_text),
        VaultAnswer::Changed(changed) => context.output.show(&changed, changed_text),
        other => Err(unexpected(&other)),
    }
}

/// An answer to another question: the owner is of another version.
pub(super) fn unexpected(_: &VaultAnswer) -> Failure {
    Failure::environment(anyhow::anyhow!("the owner of the home gave an answer to another question"))
        .hint("stop the owner and run the command again: it is of another version")
}

fn status_text(status: &VaultStatus) -> String {
    let policy = status.policy.as_deref().unwrap_or("none: personal fields are stored as they come");
    let kek = if status.token { "kept by a token" } else { "in a file: for demonstrations" };
    if !status.exists {
        return format!("no vault yet\n  key      {} ({kek})\n  policy   {policy}\n", status.kek);
    }
    format!(
        "vault of {} subjects, {} keys ({} retired)\n  key      {} ({kek}), epoch {}\n  policy   {policy}\n  \
         holds    {}\n  waiting  {} erasures\n",
        status.subjects, status.keys, status.retired, status.kek, status.epoch, status.holds, status.queued
    )
}

fn changed_text(changed: &KeysChanged) -> String {
    format!(
        "{}  {} keys made, {} retired, epoch {} (event {})\n",
        changed.act, changed.made, changed.retired, changed.epoch, changed.index
    )
}
