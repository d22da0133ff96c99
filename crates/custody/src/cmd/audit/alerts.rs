//! `custody audit alerts check`: what rules would have said about the events of the past.

use std::path::PathBuf;

use audit::Reader;
use audit::alert::{Alert, Engine, State};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::super::Context;
use crate::daemon::read_rules;
use crate::failure::Outcome;
use crate::recorder::failure;

const HELP: &str = "\
Reads the events as the daemon would have seen them, by their own times, and prints each alert. The reading is an\n\
event. Refused events left no content, so rules on refusals say nothing here. Exit code 0 whatever is found.\n\n\
Examples:\n  $ custody audit alerts check alerts.toml\n  \
$ custody audit alerts check alerts.toml --since 2026-11-01T00:00:00Z --json";

/// Arguments of `custody audit alerts`.
#[derive(Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Try rules on past events
    #[command(after_help = HELP)]
    Check(CheckArgs),
}

#[derive(Args)]
struct CheckArgs {
    /// The rules (docs/formats/alerts.md)
    file: PathBuf,
    /// Events not before this time (RFC 3339, UTC)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Events before this time (RFC 3339, UTC)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    at: String,
    rule: &'a str,
    level: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<f64>,
}

/// Runs the verb.
pub(crate) fn run(args: AlertsArgs, context: &Context) -> Outcome {
    let Verb::Check(args) = args.verb;
    let rules = read_rules(&args.file)?;
    let names = rules.clone();
    let filter = audit::Filter { since: args.since, until: args.until, ..audit::Filter::default() };
    let mut engine: Option<Engine> = None;
    let mut alerts = Vec::new();
    let mut seen = 0u64;
    context
        .session()?
        .read_as(&Reader::here(), &filter, &mut |found| {
            // What is no event is `audit verify`'s to report.
            let Ok(event) = event::validate(&found.stored) else { return Ok(()) };
            let now_ms = milliseconds(event.ts.as_str());
            let engine = engine.get_or_insert_with(|| Engine::new(rules.clone(), now_ms));
            seen += 1;
            alerts.extend(engine.advance(now_ms));
            for note in rules.look(&event) {
                engine.note(&note, now_ms);
            }
            alerts.extend(engine.advance(now_ms));
            Ok(())
        })
        .map_err(failure)?;
    alerts.extend(engine.as_mut().map(|engine| engine.advance(u64::MAX / 2)).unwrap_or_default());
    for alert in &alerts {
        let Some(rule) = names.rules.get(alert.rule) else { continue };
        context.output.show(&shown(alert, rule), text)?;
    }
    let raised = alerts.iter().filter(|alert| alert.state == State::Raised).count();
    context.output.remark(&format!("{} rules, {seen} events, {raised} alerts", names.rules.len()));
    Ok(())
}

fn shown<'a>(alert: &'a Alert, rule: &'a audit::alert::Rule) -> Shown<'a> {
    let state = match alert.state {
        State::Raised => "raised",
        State::Quiet => "quiet",
        State::Over => "over",
    };
    let at = jiff::Timestamp::from_millisecond(i64::try_from(alert.at_ms).unwrap_or(i64::MAX));
    Shown {
        at: at.map_or_else(|_| "-".to_owned(), |at| at.to_string()),
        rule: &rule.name,
        level: &rule.level,
        state,
        key: &alert.key,
        value: alert.value,
        delta: alert.delta,
    }
}

fn text(shown: &Shown<'_>) -> String {
    let key = if shown.key.is_empty() { String::new() } else { format!(" [{}]", shown.key.escape_debug()) };
    let delta = shown.delta.map(|delta| format!(", by {delta:+}")).unwrap_or_default();
    format!(
        "{}  {} {:<6}  {}{key}  at {}{delta}\n",
        shown.at, shown.level, shown.state, shown.rule, shown.value
    )
}

fn milliseconds(ts: &str) -> u64 {
    let parsed: Result<jiff::Timestamp, _> = ts.parse();
    parsed.ok().and_then(|ts| u64::try_from(ts.as_millisecond()).ok()).unwrap_or(0)
}
