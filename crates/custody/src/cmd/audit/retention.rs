//! `custody audit retention`: how long events are kept, what may go, and which requests are due.

use std::fmt::Write as _;

use audit::retention::{Applied, Orders, Period, Regime, Report, Retention};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
The table is that of the known regimes (GB/T 22239 and the Cybersecurity Law: six calendar months; PCI DSS 10.5.1: twelve\n\
months, three at hand; GDPR Art. 12(3): one month to act on a request) and of `retention.toml` in the home; its format is\n\
docs/formats/retention.md. The longest minimum wins.\n\n\
Examples:\n  $ custody audit retention show\n  $ custody audit retention check --json\n  \
$ custody audit retention apply --dry-run";

const CHECK_HELP: &str = "\
A period counts from when the ledger recorded an event. Time is taken from the ledger's own stamps: a clock that was set\n\
back makes nothing older, one that was set forward is doubted until `--clock-checked` confirms it, which is recorded.\n\
Exit code 1 when an event is kept too long, a request is overdue, or the clock is in doubt.\n\n\
Examples:\n  $ custody audit retention check\n  $ custody audit retention check --clock-checked";

const APPLY_HELP: &str = "\
Segments whose day or size is over are ended, compressed and made immutable as `[segments]` says, closed ones are copied to the\n\
archives of `[archive]`, rolled files are brought up to date, and what no rule keeps is removed: whole segments, the oldest\n\
first. LEDGER.PRUNED is recorded before the first file goes. The hashes stay, so that every proof stays valid. Nothing goes that\n\
an archive has not confirmed, that a hold protects, or that the clock is doubted for. The daemon does the same by itself:\n\
`[retention]` in custody.toml. Exit code 3 when an archive could not be reached.\n\n\
Examples:\n  $ custody audit retention apply --dry-run\n  $ custody audit retention apply --keep\n  $ custody audit retention apply";

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
    /// Carry out the table: end, compress, protect and archive segments; remove what may go
    #[command(after_help = APPLY_HELP)]
    Apply(ApplyArgs),
}

#[derive(Args)]
struct ApplyArgs {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Remove nothing; only keep the files in order
    #[arg(long)]
    keep: bool,
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
        Verb::Apply(args) => apply(args, context),
    }
}

fn apply(args: &ApplyArgs, context: &Context) -> Outcome {
    let orders = Orders { dry_run: args.dry_run, prune: !args.keep };
    let applied = context.session()?.apply_retention(orders).map_err(failure)?;
    context.output.show(&applied, applied_text)?;
    match applied.archives_failed.first() {
        Some((name, why)) => Err(Failure::environment(anyhow::anyhow!("archive {name}: {why}"))
            .hint("nothing is removed that it has not confirmed; run this again when it can be reached")),
        None => Ok(()),
    }
}

fn applied_text(applied: &Applied) -> String {
    let mut text = String::new();
    let mut line = |word: &str, rest: String| {
        let _ = writeln!(text, "{word:<11} {rest}"); // a String takes everything
    };
    if let Some(index) = applied.ended_at {
        line("ended", format!("the segment that was written, before index {index}"));
    }
    for (word, count) in [("compressed", applied.compressed), ("protected", applied.protected)] {
        if count > 0 {
            line(word, format!("{count} segments"));
        }
    }
    if let Some(why) = &applied.not_protected {
        line("remark", format!("segments could not be made immutable: {why}"));
    }
    for (archive, before) in &applied.archived {
        line("archive", format!("{archive} has everything before index {before}"));
    }
    if applied.rolled + applied.let_go > 0 {
        line("files", format!("{} closed, {} let go", applied.rolled, applied.let_go));
    }
    let word = if applied.dry_run { "would go" } else { "removed" };
    match applied.pruned {
        Some(pruned) => {
            let (from, to, bytes) = (pruned.from, pruned.before, pruned.bytes);
            line(word, format!("events {from} to {to}, {} segments, {bytes} bytes", pruned.segments));
        }
        None => line(word, "nothing".to_owned()),
    }
    if let Some(blocked) = &applied.blocked {
        let until = blocked.until.as_ref().map(|date| format!(", until {date}")).unwrap_or_default();
        line("kept by", format!("{}{until}", blocked.by));
    }
    if let Some(doubt) = &applied.doubt {
        line("doubted", format!("{doubt}: confirm it with `custody audit retention check --clock-checked`"));
    }
    text
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
        "archive_folders": table.folders.iter().map(|folder| (folder.name.clone(), folder.path.clone()))
            .collect::<std::collections::BTreeMap<_, _>>(),
        "segments": {
            "every": format!("{:?}", table.segments.every).to_lowercase(),
            "size": table.segments.size,
            "compression": format!("{:?}", table.segments.compression).to_lowercase(),
            "protect": table.segments.protect,
        },
        "rolling": {
            "every": format!("{:?}", rolling.every).to_lowercase(),
            "size": rolling.size,
            "compression": format!("{:?}", rolling.compression).to_lowercase(),
            "pattern": rolling.pattern.as_str(),
            "keep": rolling.keep,
            "folder": rolling.folder,
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
