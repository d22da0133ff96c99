//! The rules file, `alerts.toml`.

use std::path::PathBuf;

use event::{Event, InvalidComplianceEvent};
use serde::Deserialize;

use super::fuse::Limits;
use crate::tap::Note;

/// Bytes of a rules file.
const MAX_FILE: usize = 1 << 20;
/// Rules in a file: each looks at every event.
const MAX_RULES: usize = 256;
/// Version of the format.
const VERSION: u32 = 1;

/// Which changes of a stream count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Only rises, as the default.
    #[default]
    Rise,
    /// Only falls.
    Fall,
    /// Both.
    Either,
}

/// Where a rule's numbers come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Events per window.
    Count,
    /// The value of a field: its map (`ctx`, `obj`, `sub`) and its name.
    Value(Place, String),
    /// Refused events per window.
    Refusals,
}

/// A map of the event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// `sub`
    Sub,
    /// `obj`
    Obj,
    /// `ctx`
    Ctx,
}

impl Place {
    fn read<'e>(self, event: &'e Event<'_>, name: &str) -> Option<&'e str> {
        match self {
            Self::Sub => event.sub.get(name),
            Self::Obj => event.obj.get(name),
            Self::Ctx => event.ctx.get(name),
        }
    }
}

/// One rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// Its name, in alerts and figures.
    pub name: String,
    /// Where its numbers come from.
    pub source: Source,
    /// The action begins so.
    pub act: String,
    /// One stream for each value of this field.
    pub by: Option<(Place, String)>,
    /// The window of counts, in milliseconds.
    pub every_ms: u64,
    /// When the fuse blows.
    pub limits: Limits,
    /// The level of its alerts.
    pub level: String,
    /// Names of the webhooks that are told.
    pub webhooks: Vec<String>,
}

/// Where alerts are sent.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// `https://…`, or `http://` to this machine.
    pub url: String,
    /// The file with the key of the signature.
    pub secret_file: PathBuf,
    /// Certificates of the authority of the other end, PEM; the system's when absent.
    pub ca: Option<PathBuf>,
}

/// What a rules file says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rules {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
}

/// Why a rules file is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Not TOML, or not of this form.
    #[error("not a rules file: {why}")]
    Form {
        /// What the reader says.
        why: String,
    },
    /// A rule or webhook that makes no sense.
    #[error("`{name}` {why}")]
    Rule {
        /// Its name.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default)]
    rule: Vec<WrittenRule>,
    #[serde(default)]
    webhook: Vec<Webhook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    name: String,
    count: Option<String>,
    value: Option<String>,
    #[serde(default)]
    refusals: bool,
    act: Option<String>,
    by: Option<String>,
    every: Option<f64>,
    threshold: f64,
    #[serde(default = "least")]
    min_change: f64,
    #[serde(default)]
    direction: Direction,
    #[serde(default = "three")]
    row: u32,
    #[serde(default = "five_minutes")]
    hold: f64,
    #[serde(default = "ten_seconds")]
    quiet: f64,
    #[serde(default = "p1")]
    level: String,
    #[serde(default)]
    webhooks: Vec<String>,
}

fn least() -> f64 {
    0.01
}
fn three() -> u32 {
    3
}
fn five_minutes() -> f64 {
    300.0
}
fn ten_seconds() -> f64 {
    10.0
}
fn p1() -> String {
    "P1".into()
}

impl Rules {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let form = |why: String| RuleError::Form { why: why.trim().chars().take(400).collect() };
        if text.len() > MAX_FILE {
            return Err(form("longer than 1 MiB".into()));
        }
        let written: Written = toml::from_str(text).map_err(|e| form(e.to_string()))?;
        if written.version != VERSION {
            return Err(form(format!("version {} is unknown", written.version)));
        }
        if written.rule.len() > MAX_RULES || written.webhook.len() > MAX_RULES {
            return Err(form(format!("more than {MAX_RULES} rules or webhooks")));
        }
        let rules = written.rule.into_iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        let rules = Self { rules, webhooks: written.webhook };
        rules.check()?;
        Ok(rules)
    }

    /// Names are unique, webhooks known and their way out safe.
    fn check(&self) -> Result<(), RuleError> {
        let wrong = |name: &str, why| Err(RuleError::Rule { name: name.chars().take(80).collect(), why });
        for (at, rule) in self.rules.iter().enumerate() {
            if self.rules[..at].iter().any(|other| other.name == rule.name) {
                return wrong(&rule.name, "is the name of two rules");
            }
            if rule.webhooks.iter().any(|name| self.webhooks.iter().all(|webhook| webhook.name != *name)) {
                return wrong(&rule.name, "names a webhook that the file does not describe");
            }
        }
        for (at, webhook) in self.webhooks.iter().enumerate() {
            if self.webhooks[..at].iter().any(|other| other.name == webhook.name) {
                return wrong(&webhook.name, "is the name of two webhooks");
            }
            if !safe_way(&webhook.url) {
                return wrong(&webhook.name, "must have an https:// address, or http:// to this machine");
            }
        }
        Ok(())
    }

    /// What concerns the rules in an event. Almost always nothing, and then nothing is allocated.
    #[must_use]
    pub fn look(&self, event: &Event<'_>) -> Vec<Note> {
        self.rules.iter().enumerate().filter_map(|(stream, rule)| rule.look(stream, event)).collect()
    }

    /// The same for a refusal, of which only the fact is known.
    pub fn refused(&self, _: &InvalidComplianceEvent) -> impl Iterator<Item = Note> {
        let refusals = |(stream, rule): (usize, &Rule)| {
            (rule.source == Source::Refusals).then(|| Note { stream, key: "".into(), value: 1.0 })
        };
        self.rules.iter().enumerate().filter_map(refusals)
    }
}

/// No secret of an alert goes over a network in the clear.
fn safe_way(url: &str) -> bool {
    let host = |rest: &str| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let loopback = ["127.0.0.1", "localhost", "[::1]"];
        loopback.iter().any(|name| {
            authority.strip_prefix(name).is_some_and(|port| {
                port.is_empty()
                    || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()))
            })
        })
    };
    url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
        || url.strip_prefix("http://").is_some_and(host)
}

fn rule(written: WrittenRule) -> Result<Rule, RuleError> {
    let name = written.name;
    let wrong = |why| RuleError::Rule { name: name.chars().take(80).collect(), why };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(wrong("is not a name of letters, digits, `_`, `.`, `-`, at most 64"));
    }
    let (source, act) = match (written.count, written.value, written.refusals) {
        (Some(act), None, false) if written.act.is_none() => (Source::Count, act),
        (None, Some(field), false) => {
            let (place, field) =
                place(&field).ok_or_else(|| wrong("has a `value` that is not of sub, obj or ctx"))?;
            (Source::Value(place, field), written.act.unwrap_or_default())
        }
        (None, None, true) if written.act.is_none() && written.by.is_none() => {
            (Source::Refusals, String::new())
        }
        _ => return Err(wrong("must have one of `count`, `value` (with `act`) and `refusals`")),
    };
    let by = written
        .by
        .map(|field| place(&field).ok_or_else(|| wrong("has a `by` that is not of sub, obj or ctx")));
    let ms = |seconds: f64, why| milliseconds(seconds).ok_or_else(|| wrong(why));
    let every_ms = ms(written.every.unwrap_or(1.0), "has an `every` that is not 0.1 to 86400 seconds")?;
    let limits = Limits {
        min_change: written.min_change,
        threshold: written.threshold,
        direction: written.direction,
        row: written.row,
        hold_ms: ms(written.hold, "has a `hold` that is not 0.1 to 86400 seconds")?,
        quiet_ms: ms(written.quiet, "has a `quiet` that is not 0.1 to 86400 seconds")?,
    };
    if !(limits.min_change >= 0.0 && limits.threshold >= 0.0 && limits.threshold.is_finite()) {
        return Err(wrong("has a `threshold` or `min_change` below 0"));
    }
    if !(1..=1000).contains(&limits.row) {
        return Err(wrong("has a `row` that is not 1 to 1000"));
    }
    if !matches!(source, Source::Value(..)) && limits.quiet_ms < every_ms {
        return Err(wrong("has a `quiet` shorter than `every`: it would be quiet between two counts"));
    }
    if written.level.is_empty() || written.level.len() > 16 || !written.level.chars().all(plain) {
        return Err(wrong("has a `level` that is not 1 to 16 letters and digits"));
    }
    let by = by.transpose()?;
    Ok(Rule { source, act, by, every_ms, limits, level: written.level, webhooks: written.webhooks, name })
}

fn place(field: &str) -> Option<(Place, String)> {
    let (map, name) = field.split_once('.')?;
    let place = match map {
        "sub" => Place::Sub,
        "obj" => Place::Obj,
        "ctx" => Place::Ctx,
        _ => return None,
    };
    (!name.is_empty()).then(|| (place, name.to_owned()))
}

/// From seconds, within a day.
fn milliseconds(seconds: f64) -> Option<u64> {
    let ms = (seconds * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "it is looked at only between 100 and 86,400,000")]
    let whole = ms as u64;
    (100.0..=86_400_000.0).contains(&ms).then_some(whole)
}

impl Rule {
    fn look(&self, stream: usize, event: &Event<'_>) -> Option<Note> {
        // What the owner and the alerts themselves say is counted only where a rule asks for it by name.
        let own = event.act.starts_with("ALERT.") || event.act.starts_with("LEDGER.");
        if !event.act.starts_with(&*self.act) || own && self.act.is_empty() {
            return None;
        }
        let value = match &self.source {
            Source::Refusals => return None,
            Source::Count => 1.0,
            Source::Value(place, name) => {
                place.read(event, name)?.parse().ok().filter(|value: &f64| value.is_finite())?
            }
        };
        let key = match &self.by {
            None => "",
            Some((place, name)) => place.read(event, name)?,
        };
        Some(Note { stream, key: key.into(), value })
    }
}
