//! `custody audit query`: events, as they were stored.

use audit::{AuditError, Files, Filter, Found, LedgerError, Reader};
use clap::Args;

use super::super::Context;
use super::lines::{LineArgs, Page};
use crate::failure::Outcome;
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
With --json each line is an event exactly as it is stored (RFC 8785). The read is itself recorded (AUDIT.READ), with\n\
who read, the filter and the number of results, before anything is shown; a read that cannot be recorded is refused,\n\
except where the home cannot be written at all: then a remark says that it left no trace.\n\n\
Examples:\n  $ custody audit query --act AUTH. --since 2026-11-01T00:00:00Z\n  \
$ custody audit query --subject user=10086 --severity WARN --reverse --limit 10\n  \
$ custody audit query --obj table=users --text 192.168.3.5\n  \
$ custody audit query --act AUDIT.READ --obj filter.sub.user=10086\n  \
$ custody audit query --json | head -n 1\n  \
$ custody audit query --subject user=10086 --reveal --reason 'case 2026-77'";

/// Which events.
#[derive(Args)]
pub(crate) struct FilterArgs {
    /// The action begins with this
    #[arg(long, value_name = "PREFIX")]
    act: Option<String>,
    /// The subject has this value; may be given several times
    #[arg(long, visible_alias = "sub", value_name = "KIND=NAME", value_parser = pair)]
    subject: Vec<(String, String)>,
    /// The object has this value; may be given several times
    #[arg(long, visible_alias = "obj", value_name = "KEY=VALUE", value_parser = pair)]
    object: Vec<(String, String)>,
    /// At least this grave: DEBUG, INFO, WARN, ERROR or CRITICAL
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<String>,
    /// This trace
    #[arg(long, value_name = "ID")]
    trace_id: Option<String>,
    /// The action, a name or a value holds this text, letter for letter
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

/// Arguments of `custody audit query`.
#[derive(Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Not before this time (RFC 3339, UTC)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time (RFC 3339, UTC)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// This event
    #[arg(long, value_name = "UUID")]
    id: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The newest first
    #[arg(long)]
    reverse: bool,
    /// Open sealed values; the ledger says who did, and why
    #[arg(long, requires = "reason")]
    reveal: bool,
    /// With --reveal: why
    #[arg(long, requires = "reveal")]
    reason: Option<String>,
    #[command(flatten)]
    lines: LineArgs,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (kind, name) = text.split_once('=').ok_or("it is not KIND=NAME")?;
    Ok((kind.to_owned(), name.to_owned()))
}

impl FilterArgs {
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            act: self.act.clone(),
            subject: self.subject.clone(),
            object: self.object.clone(),
            severity: self.severity.clone(),
            trace_id: self.trace_id.clone(),
            text: self.text.clone(),
            ..Filter::default()
        }
    }
}

/// Prints what is recorded and meets the filter.
pub(crate) fn run(args: &QueryArgs, context: &Context) -> Outcome {
    let filter = Filter {
        since: args.since.clone().map(whole_day),
        until: args.until.clone().map(whole_day),
        id: args.id.clone(),
        limit: args.limit,
        reverse: args.reverse,
        ..args.filter.filter()
    };
    filter.check().map_err(failure)?;
    if let Some(reason) = &args.reason {
        return super::reveal::run(&filter, reason, &args.lines, context);
    }
    let mut page = Page::new(context, &args.lines);
    let mut sink = |found: Found| page.add(&found);
    match audit::open(context.home.existing()?.path()) {
        Ok(session) => session.read_as(&Reader::here(), &filter, &mut sink).map(drop),
        Err(error) if cannot_write(&error) => {
            context.output.remark(UNRECORDED);
            Files::open(context.home.path()).and_then(|files| files.query(&filter, &mut sink))
        }
        Err(error) => Err(error),
    }
    .map_err(failure)?;
    page.flush()
}

/// What is said where a home cannot be written.
pub(crate) const UNRECORDED: &str =
    "remark: the home cannot be written: showing what is under its checkpoint, and this read is not recorded";

/// A home on a medium that cannot be written, or that belongs to someone else, can still be read. A full disk is no
/// reason: it passes, and what was read meanwhile would leave no trace.
pub(crate) fn cannot_write(error: &AuditError) -> bool {
    match error {
        AuditError::Ledger(LedgerError::ReadOnly { .. }) => true,
        AuditError::Io { source, .. } => {
            use std::io::ErrorKind as E;
            matches!(source.kind(), E::PermissionDenied | E::ReadOnlyFilesystem)
        }
        _ => false,
    }
}

/// A date alone stands for its first moment.
pub(crate) fn whole_day(text: String) -> String {
    if text.len() == 10 { text + "T00:00:00Z" } else { text }
}
