//! A log record into an event, as `docs/formats/otlp.md` says. What an attribute's name says decides where it goes;
//! whether the event holds is admission's to say, like for any other.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use event::{EventId, Severity, Timestamp, canonical_string};
use sha2::{Digest as _, Sha256};

use super::model::{Any, Group, Record};

/// An event made of a record, ready to be offered.
pub type Mapped = Vec<u8>;

/// What a name that stands in more than one place is looked for under, the best first.
const ACT: [&str; 3] = ["custody.act", "act", "event.name"];
const ID: [&str; 2] = ["custody.id", "log.record.uid"];

/// Makes events of all records, in order. `default_act` is the action of a record that names none; `now` the time of
/// one that has no time.
#[must_use]
pub fn map(groups: Vec<Group>, default_act: Option<&str>, now: Timestamp) -> Vec<Mapped> {
    let mut seen = HashMap::new();
    let mut events = Vec::new();
    for group in groups {
        for record in group.records {
            let mut draft = Draft::new(default_act);
            draft.record(record, &group.scope);
            for (key, value) in group.resource.iter().cloned() {
                draft.resource(&key, value.into_text());
            }
            events.push(draft.finish(now, &mut seen));
        }
    }
    events
}

#[derive(Default)]
struct Draft {
    act: Option<String>,
    id: Option<EventId>,
    time: Option<(Timestamp, u64)>,
    severity: Severity,
    sub: BTreeMap<String, String>,
    obj: BTreeMap<String, String>,
    ctx: BTreeMap<String, String>,
}

impl Draft {
    fn new(default_act: Option<&str>) -> Self {
        Self { act: default_act.map(str::to_owned), ..Self::default() }
    }

    fn record(&mut self, record: Record, scope: &str) {
        self.severity = severity(record.severity, &record.severity_text);
        let nanos = if record.time == 0 { record.observed } else { record.time };
        self.time = instant(nanos).map(|ts| (ts, nanos / 1_000_000));
        if !record.name.is_empty() {
            self.act = Some(record.name);
        }
        for (key, value) in record.attributes {
            self.attribute(&key, value.into_text());
        }
        if record.body != Any::None {
            put(&mut self.ctx, "message", record.body.into_text());
        }
        // W3C Trace Context: ids of zeros are none.
        for (name, id, length) in [("trace_id", record.trace_id, 16), ("span_id", record.span_id, 8)] {
            if id.len() == length && id.iter().any(|&b| b != 0) {
                self.ctx.insert(name.into(), hex::encode(id));
            }
        }
        if !scope.is_empty() {
            put(&mut self.ctx, "scope", scope.to_owned());
        }
    }

    fn attribute(&mut self, key: &str, value: String) {
        if ACT.contains(&key) {
            self.act = Some(value);
        } else if let Some(id) = ID.contains(&key).then(|| EventId::parse(&value)).flatten() {
            self.id = Some(id);
        } else if let Some(kind) = key.strip_prefix("sub.") {
            put(&mut self.sub, kind, value);
        } else if let Some(name) = key.strip_prefix("obj.") {
            put(&mut self.obj, name, value);
        } else if let Some(name) = key.strip_prefix("ctx.") {
            put(&mut self.ctx, name, value);
        } else {
            self.convention(key, value);
        }
    }

    /// The semantic conventions that name subjects and addresses; everything else is a circumstance.
    fn convention(&mut self, key: &str, value: String) {
        match key {
            "user.id" | "enduser.id" if !value.is_empty() => put(&mut self.sub, "user", value),
            "session.id" if !value.is_empty() => put(&mut self.sub, "session", value),
            "client.address" | "source.address" if value.parse::<IpAddr>().is_ok() => {
                put(&mut self.ctx, "ip", value);
            }
            _ => put(&mut self.ctx, key, value),
        }
    }

    /// Of the resource, its service is the subject where the record names none.
    fn resource(&mut self, key: &str, value: String) {
        match key {
            "service.name" if !value.is_empty() => put(&mut self.sub, "svc", value),
            _ => put(&mut self.ctx, &format!("resource.{key}"), value),
        }
    }

    fn finish(self, now: Timestamp, seen: &mut HashMap<[u8; 32], u64>) -> Mapped {
        let (ts, ms) = self.time.unwrap_or((now, 0));
        let mut rest = Vec::with_capacity(512);
        rest.extend_from_slice(b",\"act\":");
        canonical_string(self.act.as_deref().unwrap_or_default(), &mut rest);
        for (name, fields) in [("ctx", &self.ctx), ("obj", &self.obj), ("sub", &self.sub)] {
            rest.extend_from_slice(format!(",\"{name}\":{{").as_bytes());
            for (position, (key, value)) in fields.iter().enumerate() {
                if position > 0 {
                    rest.push(b',');
                }
                canonical_string(key, &mut rest);
                rest.push(b':');
                canonical_string(value, &mut rest);
            }
            rest.push(b'}');
        }
        rest.extend_from_slice(format!(",\"severity\":\"{}\",\"ts\":\"{ts}\"}}", self.severity).as_bytes());
        let id = self.id.unwrap_or_else(|| derived(&rest, ms, seen));
        let mut event = format!("{{\"id\":\"{id}\"").into_bytes();
        event.extend_from_slice(&rest);
        event
    }
}

/// An exporter that got no answer sends the same records again: their ids must be the same then. Two records that
/// are alike in one request stay two, by their number among those that are alike.
fn derived(content: &[u8], ms: u64, seen: &mut HashMap<[u8; 32], u64>) -> EventId {
    let digest: [u8; 32] = Sha256::digest(content).into();
    let number = seen.entry(digest).and_modify(|number| *number += 1).or_insert(0);
    let mut hasher = Sha256::new_with_prefix(b"custody-otlp-v1\0");
    hasher.update(digest);
    hasher.update(number.to_be_bytes());
    let digest = hasher.finalize();
    let mut random = [0u8; 10];
    random.copy_from_slice(&digest[..10]);
    EventId::v7(ms, random)
}

fn instant(nanos: u64) -> Option<Timestamp> {
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let ts = Timestamp::from_unix(i64::try_from(seconds).ok()?, u32::try_from(rest).ok()?)?;
    (nanos > 0).then_some(ts)
}

/// The number's ranges (opentelemetry.io/docs/specs/otel/logs/data-model, "Displaying Severity"); without one, the
/// text's first letters.
fn severity(number: i64, text: &str) -> Severity {
    match number {
        1..=8 => Severity::Debug,
        9..=12 => Severity::Info,
        13..=16 => Severity::Warn,
        17..=20 => Severity::Error,
        21..=24 => Severity::Critical,
        _ => match text.get(..4).map(str::to_ascii_uppercase).as_deref() {
            Some("TRAC" | "DEBU") => Severity::Debug,
            Some("WARN") => Severity::Warn,
            Some("ERRO") => Severity::Error,
            Some("FATA" | "CRIT") => Severity::Critical,
            _ => Severity::Info,
        },
    }
}

/// Puts a value under a name that events can have; the first that comes keeps it. `peer.*` is Custody's own.
fn put(fields: &mut BTreeMap<String, String>, key: &str, value: String) {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
    let mut name: String = key.chars().map(plain).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    if name == "peer" || name.starts_with("peer.") {
        name.insert_str(0, "otel.");
    }
    name.truncate(64);
    fields.entry(name).or_insert(value);
}
