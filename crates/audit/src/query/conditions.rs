//! A filter whose values were read, and whether an event meets it.
//!
//! Most entries of a scan meet nothing: what can be seen in the bytes of the canonical form is looked at there, and
//! only what passes is parsed. The look at the bytes may only ever pass too much.

use std::collections::BTreeSet;

use event::{Event, EventId, Fields, Severity, Timestamp, canonical_string, stored_id, validate};
use memchr::memmem::Finder;

use super::Filter;
use crate::AuditError;
use crate::redact::{SEALED_NAME, TOKEN_NAME};
use crate::vault::{SEALED, TOKEN};

/// Values that one filter may have in `sub`, and in `obj`.
const MAX_PAIRS: usize = 16;
/// A text or a value that is asked for is never longer, in bytes.
const MAX_VALUE: usize = 1024;
/// A name in a filter: `filter.sub.` and the name together are a name of an event, which has 64 bytes.
const MAX_NAME: usize = 53;

/// A field and the value that it has.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Tokens as which the value may stand instead, whole or behind a sealed value.
    pub(crate) tokens: BTreeSet<String>,
}

impl Pair {
    fn of(pairs: &[(String, String)]) -> Vec<Self> {
        let pair = |(name, value): &(String, String)| Self {
            name: name.clone(),
            value: value.clone(),
            tokens: BTreeSet::new(),
        };
        pairs.iter().map(pair).collect()
    }

    /// Whether the fields have it. An address whose value is none any more stands under a longer name.
    fn met_by(&self, fields: &Fields<'_>) -> bool {
        if fields.get(&self.name) == Some(self.value.as_str()) {
            return true;
        }
        let own =
            |suffix: &str| fields.get(&format!("{}{suffix}", self.name)).is_some_and(|value| self.is(value));
        !self.tokens.is_empty() && ["", SEALED_NAME, TOKEN_NAME].into_iter().any(own)
    }

    fn is(&self, stored: &str) -> bool {
        let code =
            stored.strip_prefix(SEALED).and_then(|sealed| sealed.rsplit_once(':')).map(|(_, code)| code);
        match code {
            Some(code) => self.tokens.iter().any(|token| token.strip_prefix(TOKEN) == Some(code)),
            None => self.tokens.contains(stored),
        }
    }
}

/// A filter whose values were read.
pub(crate) struct Conditions {
    pub(crate) act: Option<String>,
    pub(crate) subject: Vec<Pair>,
    pub(crate) object: Vec<Pair>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) severity: Option<Severity>,
    pub(crate) id: Option<EventId>,
    pub(crate) trace_id: Option<String>,
    text: Option<String>,
    /// What the stored form must hold somewhere.
    finders: Vec<Finder<'static>>,
}

impl Filter {
    /// Reads the values.
    ///
    /// # Errors
    /// [`AuditError::Request`], naming the value that has not its form.
    pub(crate) fn conditions(&self) -> Result<Conditions, AuditError> {
        let time = |what, text: &Option<String>| {
            text.as_deref().map(|t| Timestamp::parse(t).or_else(|why| bad(what, t, why))).transpose()
        };
        let severity = self.severity.as_deref().map(|word| {
            Severity::parse(&word.to_uppercase())
                .map_or_else(|| bad("severity", word, "is none of DEBUG, INFO, WARN, ERROR, CRITICAL"), Ok)
        });
        let id = self.id.as_deref().map(|text| {
            EventId::parse(text).map_or_else(|| bad("id", text, "is not a UUID of version 4 or 7"), Ok)
        });
        check_pairs("subject", &self.subject)?;
        check_pairs("object", &self.object)?;
        for (what, value) in [("act", &self.act), ("trace_id", &self.trace_id), ("text", &self.text)] {
            check_length(what, value.as_deref().unwrap_or_default())?;
        }
        Ok(Conditions {
            act: self.act.clone(),
            subject: Pair::of(&self.subject),
            object: Pair::of(&self.object),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            severity: severity.transpose()?,
            id: id.transpose()?,
            trace_id: self.trace_id.clone(),
            text: self.text.clone(),
            finders: Vec::new(),
        }
        .with_finders())
    }
}

impl Conditions {
    /// Has the values of subject and object met by their tokens too, which `tokens` says.
    pub(crate) fn or_tokens(mut self, tokens: &dyn Fn(&str) -> BTreeSet<String>) -> Self {
        for pair in self.subject.iter_mut().chain(&mut self.object) {
            pair.tokens = tokens(&pair.value);
        }
        self.with_finders()
    }

    fn with_finders(mut self) -> Self {
        self.finders = self.finders();
        self
    }

    /// Of each condition the bytes that the stored form has when it is met.
    fn finders(&self) -> Vec<Finder<'static>> {
        let mut needles: Vec<Vec<u8>> = Vec::new();
        let trace = self.trace_id.iter().map(|id| ("trace_id", id.as_str()));
        let pairs = self.subject.iter().chain(&self.object).filter(|pair| pair.tokens.is_empty());
        let pairs = pairs.map(|pair| (&*pair.name, &*pair.value));
        for (name, value) in trace.chain(pairs) {
            let mut needle = Vec::new();
            canonical_string(name, &mut needle);
            needle.push(b':');
            canonical_string(value, &mut needle);
            needles.push(needle);
        }
        if let Some(text) = self.text.as_deref().filter(|text| !text.is_empty()) {
            let mut quoted = Vec::new();
            canonical_string(text, &mut quoted);
            needles.push(quoted[1..quoted.len() - 1].to_vec());
        }
        needles.iter().map(|needle| Finder::new(needle).into_owned()).collect()
    }
}

fn bad<T>(what: &'static str, value: &str, why: &'static str) -> Result<T, AuditError> {
    Err(AuditError::Request { what, value: value.chars().take(80).collect(), why })
}

fn check_length(what: &'static str, value: &str) -> Result<(), AuditError> {
    if value.len() > MAX_VALUE { bad(what, value, "is longer than 1024 bytes") } else { Ok(()) }
}

fn check_pairs(what: &'static str, pairs: &[(String, String)]) -> Result<(), AuditError> {
    if pairs.len() > MAX_PAIRS {
        return bad(what, &pairs.len().to_string(), "are too many conditions; there may be 16");
    }
    for (name, value) in pairs {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
            return bad(what, name, "is not the name of a field that can be asked for");
        }
        check_length(what, value)?;
    }
    Ok(())
}

impl Conditions {
    /// Whether a stored entry meets them. One that is no event is found by no condition; `audit verify` names it.
    pub(crate) fn hold(&self, stored: &[u8]) -> bool {
        self.may_hold(stored) && validate(stored).is_ok_and(|event| self.met_by(&event))
    }

    /// Whether the bytes do not already say that they are not met.
    fn may_hold(&self, stored: &[u8]) -> bool {
        // Action codes hold nothing that is escaped.
        let act = |act: &str| {
            stored.strip_prefix(b"{\"act\":\"").is_some_and(|rest| rest.starts_with(act.as_bytes()))
        };
        self.act.as_deref().is_none_or(act)
            && self.id.is_none_or(|id| stored_id(stored).is_none_or(|stored| stored == id))
            && self.finders.iter().all(|finder| finder.find(stored).is_some())
    }

    fn met_by(&self, event: &Event<'_>) -> bool {
        self.act.as_deref().is_none_or(|act| event.act.starts_with(act))
            && self.id.is_none_or(|id| event.id == id)
            && self.severity.is_none_or(|least| event.severity >= least)
            && self.since.is_none_or(|since| event.ts >= since)
            && self.until.is_none_or(|until| event.ts < until)
            && self.trace_id.as_deref().is_none_or(|id| event.ctx.get("trace_id") == Some(id))
            && self.subject.iter().all(|pair| pair.met_by(&event.sub))
            && self.object.iter().all(|pair| pair.met_by(&event.obj))
            && self.text.as_deref().is_none_or(|text| says(event, text))
    }
}

fn says(event: &Event<'_>, text: &str) -> bool {
    let mut fields = [&event.sub, &event.obj, &event.ctx].into_iter().flat_map(|fields| fields.iter());
    event.act.contains(text) || fields.any(|(name, value)| name.contains(text) || value.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &[u8] = br#"{"act":"AUTH.LOGIN.FAIL","ctx":{"note":"a \"quoted\" line\n","trace_id":"4bf9"},"id":"919108f7-52d1-4320-9bac-f847db4148a8","obj":{"table":"users"},"severity":"WARN","sub":{"user":"10086"},"ts":"2026-11-20T08:30:45.000000000Z"}"#;

    fn holds(filter: &Filter) -> bool {
        filter.conditions().unwrap().hold(STORED)
    }

    #[test]
    fn text_is_sought_in_values_and_names_and_never_in_the_syntax() {
        let text = |text: &str| Filter { text: Some(text.into()), ..Filter::default() };
        for there in ["LOGIN", "a \"quoted\"", "line\n", "trace_id", "users", "0086", ""] {
            assert!(holds(&text(there)), "{there:?}");
        }
        for absent in ["\":\"", "},", "\\n", "login", "severity", "\":", "{"] {
            assert!(!holds(&text(absent)), "{absent:?}");
        }
    }

    #[test]
    fn objects_and_subjects_are_not_confused() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert!(holds(&Filter { object: pair("table", "users"), ..Filter::default() }));
        assert!(!holds(&Filter { subject: pair("table", "users"), ..Filter::default() }));
        assert!(!holds(&Filter { object: pair("user", "10086"), ..Filter::default() }));
        assert!(Filter { object: pair("a b", ""), ..Filter::default() }.check().is_err());
        assert!(Filter { text: Some("x".repeat(1025)), ..Filter::default() }.check().is_err());
    }
}
