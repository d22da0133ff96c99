//! `custody audit redact`: what the policy does to an event, and a policy to begin with.

use std::io::Read as _;

use audit::redact::{self, Explained};
use audit::{Filter, Found};
use clap::{ArgGroup, Args};
use event::Fact;

use super::super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
The policy is `redaction.toml` in the home (docs/formats/redaction.md). It takes effect when the home is opened next.\n\n\
Examples:\n  $ custody audit redact --template > redaction.toml\n  \
$ head -n 1 events.jsonl | custody audit redact --explain --policy redaction.toml\n  \
$ custody audit redact --anonymise --act AUTH. > logins.jsonl";

/// Arguments of `custody audit redact`.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct RedactArgs {
    /// Say what each rule does to the event on standard input; nothing is recorded
    #[arg(long, group = "what")]
    explain: bool,
    /// Print a policy to begin with
    #[arg(long, group = "what")]
    template: bool,
    /// Print recorded events in a coarser form, for export: months, networks, pseudonyms of this export alone
    #[arg(long, group = "what")]
    anonymise: bool,
    /// With --anonymise: the action begins with this
    #[arg(long, value_name = "PREFIX", requires = "anonymise")]
    act: Option<String>,
    /// With --explain: this policy instead of the home's
    #[arg(long, value_name = "FILE", requires = "explain")]
    policy: Option<std::path::PathBuf>,
}

/// Explains, or prints.
pub(crate) fn run(args: &RedactArgs, context: &Context) -> Outcome {
    if args.template {
        return context.output.text(redact::TEMPLATE);
    }
    if args.anonymise {
        return anonymise(args, context);
    }
    let policy = match &args.policy {
        Some(file) => {
            let text = super::prove::read_text(file)?;
            redact::Policy::parse(&text).map_err(|why| {
                Failure::input(anyhow::anyhow!("{} is not a redaction policy: {why}", file.display()))
            })?
        }
        None => redact::load(context.home.existing()?.path()).map_err(failure)?.ok_or_else(|| {
            Failure::input(anyhow::anyhow!("this home has no redaction policy"))
                .hint("begin with `custody audit redact --template`")
        })?,
    };
    let mut offered = Vec::new();
    let limit = event::MAX_OFFERED as u64 + 1;
    std::io::stdin().take(limit).read_to_end(&mut offered).map_err(Failure::environment)?;
    let catalogue = match context.home.existing() {
        Ok(home) => audit::load_catalogue(home.path()).map_err(failure)?,
        Err(_) => event::Catalogue::standard(),
    };
    let explained = redact::explain(policy, &catalogue, &offered).map_err(failure)?;
    context.output.show(&explained, text)
}

/// Prints what is recorded, made coarser. The ledger says before that it was exported.
fn anonymise(args: &RedactArgs, context: &Context) -> Outcome {
    let session = context.session()?;
    let end = session.status().map_err(failure)?.durable;
    let fact = Fact::new("AUDIT.EXPORTED").subject("svc", "custody").context("form", "anonymised");
    let fact = fact.context("before_index", end.to_string());
    context.record(match &args.act {
        Some(act) => fact.context("act", act.clone()),
        None => fact,
    })?;
    let mut anonymiser = redact::Anonymiser::new().map_err(failure)?;
    let filter = Filter { act: args.act.clone(), to: Some(end), ..Filter::default() };
    let mut page = String::new();
    let mut sink = |found: Found| {
        let coarse = anonymiser.coarsen(found.index, &found.stored)?;
        page.push_str(&String::from_utf8_lossy(&coarse));
        page.push('\n');
        Ok(())
    };
    session.query(&filter, &mut sink).map_err(failure)?;
    context.output.stream(&page)
}

fn text(explained: &Explained) -> String {
    let mut text = format!("policy {} (sha256 {})\n", explained.policy, explained.sha256);
    for field in &explained.fields {
        let subject = field.subject.as_ref().map(|subject| format!(" for {subject}")).unwrap_or_default();
        text += &format!(
            "{}  rule {} (by {}, bytes {} to {}): {}{subject}\n    {}\n",
            field.path,
            field.rule,
            field.found_by,
            field.bytes[0],
            field.bytes[1],
            field.action,
            field.becomes
        );
    }
    if explained.fields.is_empty() {
        text += "nothing in it is personal by this policy\n";
    }
    text + &format!("{}\n", explained.event)
}
