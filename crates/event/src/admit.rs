//! Admission: one pass over what was offered, every fault with its path.
//!
//! The rules of the schema are written out here by hand, because a general validator costs more than the event
//! itself at a million events a second; `tests/schema.rs` holds the two to the same verdicts and the same paths.

use std::borrow::Cow;

use crate::canonical::utf16_order;
use crate::fault::{Faults, Path};
use crate::parse::{Members, Value, members};
use crate::{Catalogue, Event, EventId, Fields, InvalidComplianceEvent, MAX_EVENT, MAX_FIELDS};
use crate::{Rule, Severity, Timestamp};

/// Takes what a caller offers: the schema, or its alias profile, and the catalogue; `ctx.peer.*` is refused.
///
/// # Errors
/// Every fault, with its path as the caller wrote it.
pub fn admit<'a>(offered: &'a [u8], catalogue: &Catalogue) -> Result<Event<'a>, InvalidComplianceEvent> {
    match crate::quick::read(offered, Some(catalogue)) {
        Some(event) => Ok(event),
        None => admit_generally(offered, catalogue),
    }
}

/// As [`admit`], by the general way alone: what the quick one is held to.
#[doc(hidden)]
pub fn admit_generally<'a>(
    offered: &'a [u8],
    catalogue: &Catalogue,
) -> Result<Event<'a>, InvalidComplianceEvent> {
    Admission { catalogue: Some(catalogue), faults: Faults::default() }.run(offered)
}

/// Takes what passes the schema exactly: no alias, no catalogue, `ctx.peer.*` allowed.
///
/// # Errors
/// Every fault, with its path.
pub fn validate(document: &[u8]) -> Result<Event<'_>, InvalidComplianceEvent> {
    match crate::quick::read(document, None) {
        Some(event) => Ok(event),
        None => validate_generally(document),
    }
}

/// As [`validate`], by the general way alone.
#[doc(hidden)]
pub fn validate_generally(document: &[u8]) -> Result<Event<'_>, InvalidComplianceEvent> {
    Admission { catalogue: None, faults: Faults::default() }.run(document)
}

/// Reads a stored event: it passes the schema and is in the canonical form, byte for byte.
///
/// # Errors
/// Every fault, with its path.
pub fn read_stored(stored: &[u8]) -> Result<Event<'_>, InvalidComplianceEvent> {
    read_stored_with(stored, &mut Vec::with_capacity(stored.len()))
}

/// As [`read_stored`], for whoever reads many: `scratch` is where the canonical form is written.
///
/// # Errors
/// As there.
pub fn read_stored_with<'a>(
    stored: &'a [u8],
    scratch: &mut Vec<u8>,
) -> Result<Event<'a>, InvalidComplianceEvent> {
    let event = match crate::quick::read_form(stored, None) {
        Some((event, true)) => return Ok(event),
        Some((event, false)) => event,
        None => validate_generally(stored)?,
    };
    scratch.clear();
    event.canonical_into(scratch);
    if scratch != stored {
        return Err(InvalidComplianceEvent::whole(
            Rule::Canonical,
            "is not in the canonical form (RFC 8785)",
        ));
    }
    Ok(event)
}

/// The id of a stored event, without reading the rest: ten times as fast as [`read_stored`], for whoever only
/// needs to recognise events. Nothing for bytes that do not begin like the canonical form.
///
/// `act` is the first member, `ctx` may be the second, `id` the next. Within strings a quote is escaped, so the
/// first `"},"id":"` after `"ctx":{` can only be the end of `ctx`.
#[must_use]
pub fn stored_id(stored: &[u8]) -> Option<EventId> {
    const AFTER_CTX: &[u8] = b"\"},\"id\":\"";
    let act = stored.strip_prefix(b"{\"act\":\"")?;
    let rest = &act[act.iter().position(|&b| b == b'"')? + 1..];
    let id = match rest.strip_prefix(b",\"id\":\"") {
        Some(id) => id,
        None => {
            let ctx = rest.strip_prefix(b",\"ctx\":{")?;
            let end = ctx.windows(AFTER_CTX.len()).position(|window| window == AFTER_CTX)?;
            &ctx[end + AFTER_CTX.len()..]
        }
    };
    EventId::parse(std::str::from_utf8(id.get(..36)?).ok()?)
}

/// A field of the event.
#[derive(Clone, Copy)]
enum Field {
    Id,
    Ts,
    Severity,
    Sub,
    Act,
    Obj,
    Ctx,
}

/// Each field with its name and its aliases.
const FIELDS: [(Field, &str, &[&str]); 7] = [
    (Field::Id, "id", &["event_id"]),
    (Field::Ts, "ts", &["timestamp"]),
    (Field::Severity, "severity", &[]),
    (Field::Sub, "sub", &["subject", ACTOR]),
    (Field::Act, "act", &["action"]),
    (Field::Obj, "obj", &["object"]),
    (Field::Ctx, "ctx", &["context"]),
];

/// The alias whose address is a circumstance rather than a name: `actor.ip_address` becomes `ctx.ip`.
const ACTOR: &str = "actor";

/// The offered value of each field, under the name that the caller used.
#[derive(Default)]
struct Slots<'a>([Option<(Cow<'a, str>, Value<'a>)>; 7]);

impl<'a> Slots<'a> {
    fn take(&mut self, field: Field) -> Option<(Cow<'a, str>, Value<'a>)> {
        self.0[field as usize].take()
    }
}

struct Admission<'c> {
    catalogue: Option<&'c Catalogue>,
    faults: Faults,
}

impl Admission<'_> {
    fn run<'a>(mut self, offered: &'a [u8]) -> Result<Event<'a>, InvalidComplianceEvent> {
        let mut slots = self.sort(members(offered)?);
        let id = self.text(&mut slots, Field::Id, |text| EventId::parse(text).ok_or(ID_FORM));
        let ts = self.text(&mut slots, Field::Ts, Timestamp::parse);
        let severity = self.text(&mut slots, Field::Severity, |t| Severity::parse(t).ok_or(SEVERITY_FORM));
        let (sub, address) = self.subject(slots.take(Field::Sub));
        let act = self.action(slots.take(Field::Act));
        let obj = self.optional(slots.take(Field::Obj));
        let mut ctx = self.context(slots.take(Field::Ctx));
        if let Some(address) = address {
            self.place_address(&mut ctx, address);
        }
        match (id, ts, severity, sub, act) {
            (Some(id), Some(ts), Some(severity), Some(sub), Some(act)) if self.faults.is_empty() => {
                within_size(Event { id, ts, severity, sub, act, obj, ctx }, offered.len())
            }
            _ => Err(self.faults.into_error()),
        }
    }

    /// Puts each member into its field's slot; unknown and repeated names are faults.
    fn sort<'a>(&mut self, members: Members<'a>) -> Slots<'a> {
        let mut slots = Slots::default();
        for (name, value) in members {
            let aliases = self.catalogue.is_some();
            let field =
                FIELDS.iter().find(|(_, own, other)| *own == name || aliases && other.contains(&&*name));
            let Some(&(field, own, _)) = field else {
                let near = crate::catalogue::nearest(&name, FIELDS.iter().map(|(_, own, _)| *own));
                let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
                let message = format!("is not a field of an event{hint}");
                self.faults.add(&Path::field(&name), Rule::Unexpected, message);
                continue;
            };
            let slot = &mut slots.0[field as usize];
            if slot.is_some() {
                self.faults.add(&Path::field(&name), Rule::Duplicate, format!("gives `{own}` a second time"));
            } else {
                *slot = Some((name, value));
            }
        }
        slots
    }

    fn missing(&mut self, field: Field) {
        let name = FIELDS[field as usize].1;
        self.faults.add(&Path::field(name), Rule::Missing, "is missing");
    }

    /// A required text field, read by `read`.
    fn text<T>(
        &mut self,
        slots: &mut Slots<'_>,
        field: Field,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let Some((name, value)) = slots.take(field) else {
            self.missing(field);
            return None;
        };
        let text = self.as_text(&Path::field(&name), value)?;
        read(&text).map_err(|why| self.faults.add(&Path::field(&name), Rule::Form, why)).ok()
    }

    fn as_text<'a>(&mut self, path: &Path<'_>, value: Value<'a>) -> Option<Cow<'a, str>> {
        match value {
            Value::Text(text) => Some(text),
            other => {
                self.faults.add(path, Rule::Type, format!("must be a string, it is {}", other.type_name()));
                None
            }
        }
    }

    fn action<'a>(&mut self, slot: Option<(Cow<'a, str>, Value<'a>)>) -> Option<Cow<'a, str>> {
        let Some((name, value)) = slot else {
            self.missing(Field::Act);
            return None;
        };
        let path = Path::field(&name);
        let act = self.as_text(&path, value)?;
        if !is_action_code(&act) {
            self.faults.add(&path, Rule::Form, "must be a dotted upper-case code, as AUTH.LOGIN.FAIL");
        } else if let Some(catalogue) = self.catalogue.filter(|c| !c.knows_action(&act)) {
            let hint = catalogue.nearest_action(&act).map(|n| format!("; did you mean `{n}`?"));
            let message = format!("is not an action of the catalogue: `{act}`{}", hint.unwrap_or_default());
            self.faults.add(&path, Rule::Unknown, message);
        }
        Some(act)
    }

    /// The subject, and the address that an `actor` carried.
    fn subject<'a>(
        &mut self,
        slot: Option<(Cow<'a, str>, Value<'a>)>,
    ) -> (Option<Fields<'a>>, Option<Cow<'a, str>>) {
        let Some((name, value)) = slot else {
            self.missing(Field::Sub);
            return (None, None);
        };
        let Some(mut fields) = self.fields(&name, value) else { return (None, None) };
        let address = if name == ACTOR { take_address(&mut fields) } else { None };
        if fields.is_empty() && address.is_none() {
            self.faults.add(&Path::field(&name), Rule::Missing, "must name a subject");
        }
        for (kind, value) in fields.iter() {
            self.subject_entry(&Path::field(&name).key(kind), kind, value);
        }
        if let (true, Some(address)) = (fields.is_empty(), &address) {
            fields.set("ip", address.clone()); // an actor of whom nothing but the address is known
        }
        (Some(fields), address)
    }

    fn subject_entry(&mut self, path: &Path<'_>, kind: &str, value: &str) {
        if value.is_empty() && !is_address_name(kind) {
            self.faults.add(path, Rule::Form, "must not be empty");
        }
        if let Some(catalogue) = self.catalogue.filter(|c| is_name(kind) && !c.knows_subject(kind)) {
            let hint = catalogue.nearest_subject(kind).map(|n| format!("; did you mean `{n}`?"));
            let message = format!("is not a subject kind of the catalogue{}", hint.unwrap_or_default());
            self.faults.add(path, Rule::Unknown, message);
        }
    }

    fn optional<'a>(&mut self, slot: Option<(Cow<'a, str>, Value<'a>)>) -> Fields<'a> {
        slot.and_then(|(name, value)| self.fields(&name, value)).unwrap_or_default()
    }

    fn context<'a>(&mut self, slot: Option<(Cow<'a, str>, Value<'a>)>) -> Fields<'a> {
        let Some((name, value)) = slot else { return Fields::default() };
        let fields = self.fields(&name, value).unwrap_or_default();
        if self.catalogue.is_some() {
            for (key, _) in fields.iter().filter(|(key, _)| *key == "peer" || key.starts_with("peer.")) {
                let message = "is written by Custody from the peer's credentials; leave it out";
                self.faults.add(&Path::field(&name).key(key), Rule::Reserved, message);
            }
        }
        fields
    }

    fn place_address<'a>(&mut self, ctx: &mut Fields<'a>, address: Cow<'a, str>) {
        if ctx.get("ip").is_some_and(|there| there != address) {
            let path = Path::field(ACTOR).key("ip_address");
            self.faults.add(&path, Rule::Duplicate, "differs from the `ip` of the context");
        }
        ctx.set("ip", address);
    }

    /// A map of strings: names, values, addresses, and no name twice.
    fn fields<'a>(&mut self, field: &str, value: Value<'a>) -> Option<Fields<'a>> {
        let path = Path::field(field);
        let Value::Object(members) = value else {
            self.faults.add(&path, Rule::Type, format!("must be an object, it is {}", value.type_name()));
            return None;
        };
        if members.len() > MAX_FIELDS {
            let message = format!("has {} fields; {MAX_FIELDS} are allowed", members.len());
            self.faults.add(&path, Rule::Size, message);
        }
        let mut entries = Vec::with_capacity(members.len());
        for (key, value) in members {
            if let Some(text) = self.entry(path.key(&key), &key, value) {
                entries.push((key, text));
            }
        }
        entries.sort_by(|(a, _), (b, _)| utf16_order(a, b));
        for pair in entries.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            self.faults.add(&path.key(&pair[0].0), Rule::Duplicate, "is given twice");
        }
        Some(Fields(entries))
    }

    /// One entry; nothing when its value cannot be kept (the fault is noted).
    fn entry<'a>(&mut self, path: Path<'_>, key: &str, value: Value<'a>) -> Option<Cow<'a, str>> {
        if !is_name(key) {
            let message =
                "must be named by letters, digits, `_`, `.`, `-`, at most 64, a letter or `_` first";
            self.faults.add(&path, Rule::Name, message);
        }
        let text = self.as_text(&path, value);
        if let Some(text) = text.as_ref().filter(|_| is_address_name(key))
            && text.parse::<std::net::IpAddr>().is_err()
        {
            self.faults.add(&path, Rule::Form, "must be an IPv4 or IPv6 address");
        }
        // A value of another type is a fault already; the entry stays, so that its subject kind is judged too.
        Some(text.unwrap_or(Cow::Borrowed("?")))
    }
}

const ID_FORM: &str = "must be a UUID of version 4 or 7";
const SEVERITY_FORM: &str = "must be one of DEBUG, INFO, WARN, ERROR, CRITICAL";

/// An `actor`'s address, under either name, out of its fields.
fn take_address<'a>(fields: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    let at = fields.0.iter().position(|(key, _)| key == "ip_address" || key == "ip")?;
    Some(fields.0.remove(at).1)
}

/// The canonical form differs from what was offered by white space, escapes, aliases (all shorter or within this
/// margin) and a longer fraction; so only what comes near the limit is measured.
pub(crate) const MARGIN: usize = 96;

fn within_size(event: Event<'_>, offered: usize) -> Result<Event<'_>, InvalidComplianceEvent> {
    if offered + MARGIN <= MAX_EVENT {
        return Ok(event);
    }
    let size = event.canonical().len();
    if size > MAX_EVENT {
        let message = format!("is {size} bytes long as it would be stored; an event may have {MAX_EVENT}");
        return Err(InvalidComplianceEvent::whole(Rule::Size, message));
    }
    Ok(event)
}

/// `^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`
pub(crate) fn is_name(key: &str) -> bool {
    let first = key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// `(^|[._-])ip(_address)?$`
pub(crate) fn is_address_name(key: &str) -> bool {
    let stem = key.strip_suffix("_address").unwrap_or(key);
    stem.strip_suffix("ip").is_some_and(|before| before.is_empty() || before.ends_with(['.', '_', '-']))
}

/// `^[A-Z][A-Z0-9_]{0,31}(\.[A-Z][A-Z0-9_]{0,31}){1,5}$`
pub(crate) fn is_action_code(act: &str) -> bool {
    let part = |part: &str| {
        let first = part.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
        let rest = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        first && part.len() <= 32 && part.bytes().all(rest)
    };
    (2..=6).contains(&act.split('.').count()) && act.split('.').all(part)
}

#[cfg(test)]
mod tests;
