//! What an event is, once it has been admitted.

use std::borrow::Cow;
use std::fmt;

use crate::canonical::{canonical_ordered, canonical_string, utf16_order};
use crate::{EventId, Timestamp};

/// How grave an event is. Ordered: `Debug` is least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Severity {
    /// `DEBUG`
    Debug,
    /// `INFO`
    #[default]
    Info,
    /// `WARN`
    Warn,
    /// `ERROR`
    Error,
    /// `CRITICAL`
    Critical,
}

impl Severity {
    /// All of them, from the least.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical];

    /// The word in the event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }

    /// Reads the word, in upper case only.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A map of string to string, ordered by key as the canonical form is; keys are unique. Borrows from the bytes
/// that were admitted where it can.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields<'a>(pub(crate) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Fields<'a> {
    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.binary_search_by(|(k, _)| utf16_order(k, key)).ok().map(|at| self.0[at].1.as_ref())
    }

    /// Sets the value under a key, replacing one that is there.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (key, value) = (key.into(), value.into());
        match self.0.binary_search_by(|(k, _)| utf16_order(k, &key)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Sets several values, whose keys come in order: what has no key between theirs yet goes in as one piece.
    pub fn set_all(&mut self, entries: &[(&'a str, &'a str)]) {
        let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else { return };
        let at = self.0.partition_point(|(key, _)| utf16_order(key, first).is_lt());
        let ordered = entries.windows(2).all(|pair| utf16_order(pair[0].0, pair[1].0).is_lt());
        let free = self.0.get(at).is_none_or(|(key, _)| utf16_order(last, key).is_lt());
        if ordered && free {
            let entries = entries.iter().map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(*value)));
            drop(self.0.splice(at..at, entries));
        } else {
            entries.iter().for_each(|(key, value)| self.set(*key, *value));
        }
    }

    /// Keeps the entries of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(key, _)| keep(key));
    }

    /// Keys and values, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), v.as_ref()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn into_owned(self) -> Fields<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Fields(self.0.into_iter().map(|(k, v)| (own(k), own(v))).collect())
    }
}

/// A compliance event. Only [`crate::admit`] and its like, and [`crate::Fact::at`], make one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// Names the event; a repeated delivery carries the same.
    pub id: EventId,
    /// When it happened, by the clock of whoever offered it.
    pub ts: Timestamp,
    /// How grave it is.
    pub severity: Severity,
    /// Who: subject kind to identifier. Never empty.
    pub sub: Fields<'a>,
    /// What: an action code.
    pub act: Cow<'a, str>,
    /// To what.
    pub obj: Fields<'a>,
    /// Under which circumstances; `peer.*` is written by Custody.
    pub ctx: Fields<'a>,
}

impl Event<'_> {
    /// The stored form: RFC 8785 JSON, without empty maps.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.canonical_into(&mut out);
        out
    }

    /// Appends the stored form.
    pub fn canonical_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"act\":");
        canonical_string(&self.act, out);
        if !self.ctx.is_empty() {
            out.extend_from_slice(b",\"ctx\":");
            canonical_ordered(&self.ctx.0, out);
        }
        out.extend_from_slice(b",\"id\":\"");
        out.extend_from_slice(&self.id.to_text());
        out.push(b'"');
        if !self.obj.is_empty() {
            out.extend_from_slice(b",\"obj\":");
            canonical_ordered(&self.obj.0, out);
        }
        out.extend_from_slice(b",\"severity\":\"");
        out.extend_from_slice(self.severity.as_str().as_bytes());
        out.extend_from_slice(b"\",\"sub\":");
        canonical_ordered(&self.sub.0, out);
        out.extend_from_slice(b",\"ts\":\"");
        out.extend_from_slice(self.ts.as_bytes());
        out.extend_from_slice(b"\"}");
    }

    /// The event without borrowed parts.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event {
            id: self.id,
            ts: self.ts,
            severity: self.severity,
            sub: self.sub.into_owned(),
            act: Cow::Owned(self.act.into_owned()),
            obj: self.obj.into_owned(),
            ctx: self.ctx.into_owned(),
        }
    }
}
