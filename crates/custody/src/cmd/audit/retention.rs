//! `custody audit retention`: how long events are kept, what may go, and which requests are due.

use std::fmt::Write as _;

use audit::retention::{Period, Regime, Report, Retention};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
The table is that of the known regimes (GB/T 22239 and the Cybersecurity Law: six calendar months; PCI DSS 10.5.1: twelve\n\
months, three at hand; GDPR Art. 12(3): one month to act on a request) and of `retention.toml` in the home; its format is\n\
docs/formats/retention.md. The longest minimum wins.\n\n\
Examples:\n  $ custody audit retention show\n  $ custody audit retention check --json";

const CHECK_HELP: &str = "\
A period counts from when the ledger recorded an event. Time is taken from the ledger's own stamps: a clock that was set\n\
back makes nothing older, one that was set forward is doubted until `--clock-checked` confirms it, which is recorded.\n\
Exit code 1 when an event is kept too long, a request is overdue, or the clock is in doubt.\n\n\
Examples:\n  $ custody audit retention check\n  $ custody audit retention check --clock-checked";

/// Arguments of `custody audit retention`.
#[derive(Args)]
pub(crate) struct RetentionArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Print the table of retention
    #[command(after_help = "Examples:\n  $ custody audit retention show")]
    Show,
    /// Say what may go, what is kept too long, and which requests are due
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
}

#[derive(Args)]
struct CheckArgs {
    /// Confirm that this machine's clock is right, where the ledger doubts it
    #[arg(long)]
    clock_checked: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &RetentionArgs, context: &Context) -> Outcome {
    match &args.verb {
        Verb::Show => show(context),
        Verb::Check(args) => check(args, context),
    }
}

/// A regime as it is printed.
#[derive(Serialize)]
struct ShownRegime {
    name: String,
    source: String,
    actions: Vec<String>,
    subjects: Vec<String>,
    minimum: Option<String>,
    at_hand: Option<String>,
    maximum: Option<String>,
    answer_within: Option<String>,
}

impl From<&Regime> for ShownRegime {
    fn from(regime: &Regime) -> Self {
        let text = |period: Option<Period>| period.map(|period| period.to_string());
        Self {
            name: regime.name.clone(),
            source: regime.source.clone(),
            actions: regime.actions.clone(),
            subjects: regime.subjects.clone(),
            minimum: text(regime.minimum),
            at_hand: text(regime.at_hand),
            maximum: text(regime.maximum),
            answer_within: text(regime.answer.map(|answer| answer.within)),
        }
    }
}

fn show(context: &Context) -> Outcome {
    let table = Retention::of(context.home.existing()?.path()).map_err(failure)?;
    let rolling = &table.rolling;
    let document = serde_json::json!({
        "regimes": table.regimes.iter().map(ShownRegime::from).collect::<Vec<_>>(),
        "clock_step": table.step.to_string(),
        "archives": table.archives,
        "rolling": {
            "every": format!("{:?}", rolling.every).to_lowercase(),
            "size": rolling.size,
            "compression": format!("{:?}", rolling.compression).to_lowercase(),
            "pattern": rolling.pattern.as_str(),
            "keep": rolling.keep,
        },
    });
    context.output.show(&document, |_| table_text(&table))
}

fn table_text(table: &Retention) -> String {
    let mut text = String::new();
    for regime in &table.regimes {
        let _ = writeln!(text, "{}  {}", regime.name, regime.source); // a String takes everything
        let all = |list: &[String]| if list.is_empty() { "all".to_owned() } else { list.join(", ") };
        let _ = writeln!(text, "  actions   {}", all(&regime.actions)); // as above
        let _ = writeln!(text, "  subjects  {}", all(&regime.subjects)); // as above
        let answer = regime.answer.map(|answer| answer.within);
        let asked = [
            ("at least ", regime.minimum),
            ("at hand  ", regime.at_hand),
            ("at most  ", regime.maximum),
            ("answer in", answer),
        ];
        for (what, period) in asked.into_iter().filter_map(|(what, period)| Some((what, period?))) {
            let _ = writeln!(text, "  {what} {period}"); // as above
        }
    }
    text
}

fn check(args: &CheckArgs, context: &Context) -> Outcome {
    let report = context.session()?.retention(args.clock_checked).map_err(failure)?;
    context.output.show(&report, report_text)?;
    conclude(&report)
}

/// What does not hold.
fn conclude(report: &Report) -> Outcome {
    if let Some(doubt) = &report.doubt {
        return Err(Failure::finding(anyhow::anyhow!("{doubt}, and nobody confirmed it"))
            .hint("if the clock is right, confirm it with `custody audit retention check --clock-checked`"));
    }
    if let Some(request) = report.requests.iter().find(|request| request.overdue) {
        let (name, due) = (&request.request, &request.due);
        return Err(Failure::finding(anyhow::anyhow!("the request {name} was due on {due}"))
            .hint("record PRIVACY.ANSWERED with `obj.request` once it is acted on"));
    }
    if report.plan.overdue > 0 {
        let why = anyhow::anyhow!("{} events are kept longer than the table allows", report.plan.overdue);
        return Err(Failure::finding(why).hint("`custody audit retention check --json` says what keeps them"));
    }
    Ok(())
}

fn report_text(report: &Report) -> String {
    let plan = &report.plan;
    let mut text = format!("today       {}\n", report.today);
    let _ = writeln!(text, "events      {} to {}", plan.first, report.size); // a String takes everything
    let _ = writeln!(text, "may go      {} (before index {})", plan.keep_from - plan.first, plan.keep_from); // as above
    if let Some(blocked) = &plan.blocked {
        let until = blocked.until.as_ref().map(|date| format!(", until {date}")).unwrap_or_default();
        let _ = writeln!(text, "kept by     {}{until}", blocked.by); // as above
    }
    for (archive, before) in &report.archives {
        let _ = writeln!(text, "archive     {archive} has everything before index {before}"); // as above
    }
    for open in &report.requests {
        let late = if open.overdue { ", overdue" } else { "" };
        let _ = writeln!(text, "request     {} due on {}{late}", open.request, open.due); // as above
    }
    text
}
