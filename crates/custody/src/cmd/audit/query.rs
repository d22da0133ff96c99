//! `custody audit query` and `custody audit tail`: events, as they were stored.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use audit::{AuditError, Files, Filter, Found, LedgerError};
use clap::Args;
use event::Event;

use super::super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
With --json each line is an event exactly as it is stored (RFC 8785).\n\n\
Examples:\n  $ custody audit query --act AUTH. --since 2026-11-01T00:00:00Z\n  \
$ custody audit query --subject user=10086 --severity WARN --reverse --limit 10\n  \
$ custody audit query --json | head -n 1";

pub(crate) const TAIL_HELP: &str = "\
Examples:\n  $ custody audit tail --act RUN.\n  $ custody audit tail --lines 20 --duration 60";

/// Which events.
#[derive(Args)]
pub(crate) struct FilterArgs {
    /// The action begins with this
    #[arg(long, value_name = "PREFIX")]
    act: Option<String>,
    /// The subject has this value; may be given several times
    #[arg(long, value_name = "KIND=NAME", value_parser = pair)]
    subject: Vec<(String, String)>,
    /// At least this grave: DEBUG, INFO, WARN, ERROR or CRITICAL
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<String>,
    /// This trace
    #[arg(long, value_name = "ID")]
    trace_id: Option<String>,
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
}

/// Arguments of `custody audit tail`.
#[derive(Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Begin with so many entries that are there already
    #[arg(long, short = 'n', value_name = "N", default_value_t = 0)]
    lines: u64,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (kind, name) = text.split_once('=').ok_or("it is not KIND=NAME")?;
    Ok((kind.to_owned(), name.to_owned()))
}

impl FilterArgs {
    fn filter(&self) -> Filter {
        Filter {
            act: self.act.clone(),
            subject: self.subject.clone(),
            severity: self.severity.clone(),
            trace_id: self.trace_id.clone(),
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
        return super::reveal::run(&filter, reason, context);
    }
    let mut page = Page::new(context);
    let mut sink = |found: Found| page.add(&found);
    match audit::open(context.home.existing()?.path()) {
        Ok(session) => session.query(&filter, &mut sink),
        Err(error) if cannot_write(&error) => {
            context.output.remark("the home cannot be written: showing what is under its checkpoint");
            Files::open(context.home.path()).and_then(|files| files.query(&filter, &mut sink))
        }
        Err(error) => Err(error),
    }
    .map_err(failure)?;
    page.flush()
}

/// A home on a medium that cannot be written, or that belongs to someone else, can still be read.
fn cannot_write(error: &AuditError) -> bool {
    match error {
        AuditError::Ledger(LedgerError::ReadOnly { .. } | LedgerError::Full { .. }) => true,
        AuditError::Io { source, .. } => source.kind() == std::io::ErrorKind::PermissionDenied,
        _ => false,
    }
}

/// A date alone stands for its first moment.
fn whole_day(text: String) -> String {
    if text.len() == 10 { text + "T00:00:00Z" } else { text }
}

/// A hundred years, in seconds: longer is for ever, and clocks overflow.
const LONGEST: u64 = 100 * 366 * 24 * 60 * 60;

/// Prints what is recorded from now on.
pub(crate) fn tail(args: &TailArgs, context: &Context) -> Outcome {
    args.filter.filter().check().map_err(failure)?;
    let session = context.session()?;
    let durable = session.status().map_err(failure)?.durable;
    let from = Some(durable.saturating_sub(args.lines));
    let filter = Filter { limit: args.limit, from, ..args.filter.filter() };
    let end = args.duration.map(|seconds| Instant::now() + Duration::from_secs(seconds.min(LONGEST)));
    let wanted = || end.is_none_or(|end| Instant::now() < end);
    let page = std::cell::RefCell::new(Page::new(context));
    let mut idle = || page.borrow_mut().flush().map_err(unprinted);
    session
        .follow(&filter, &wanted, &mut |found| page.borrow_mut().add(&found), &mut idle)
        .map_err(failure)?;
    page.into_inner().flush()
}

/// Ends the search when what it finds cannot be printed.
fn unprinted(failure: Failure) -> AuditError {
    AuditError::Io {
        what: "print to",
        path: "standard output".into(),
        source: std::io::Error::other(failure.to_string()),
    }
}

/// Lines that are printed together.
struct Page<'a> {
    context: &'a Context,
    text: String,
}

impl<'a> Page<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, text: String::new() }
    }

    fn add(&mut self, found: &Found) -> Result<(), AuditError> {
        if self.context.output.json {
            self.text.push_str(&String::from_utf8_lossy(&found.stored));
            self.text.push('\n');
        } else {
            self.text.push_str(&line(found)?);
        }
        if self.text.len() > 64 * 1024 { self.flush().map_err(unprinted) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() { Ok(()) } else { self.context.output.stream(&text) }
    }
}

/// A digest cut to what a person compares; `--json` has it whole.
fn readable(value: &str) -> Cow<'_, str> {
    match value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => format!("{}…", &value[..12]).into(),
        false => value.into(),
    }
}

/// `index  time  severity  action  subject  object  context`, on one line whatever the values hold.
pub(super) fn line(found: &Found) -> Result<String, AuditError> {
    let event: Event<'_> =
        event::validate(&found.stored).map_err(|source| AuditError::Entry { index: found.index, source })?;
    let mut line = format!(
        "{:>8}  {:.23}Z  {:<8}  {:<16}",
        found.index,
        event.ts.as_str(),
        event.severity.as_str(),
        event.act
    );
    for (name, fields) in [("sub", &event.sub), ("obj", &event.obj), ("ctx", &event.ctx)] {
        for (key, value) in fields.iter().filter(|(key, _)| !key.starts_with("peer.")) {
            let value: String = readable(value).chars().flat_map(char::escape_debug).collect();
            let _ = write!(line, " {name}.{key}={value}"); // a String takes everything
        }
    }
    line.push('\n');
    Ok(line)
}
