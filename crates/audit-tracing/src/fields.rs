//! From the fields of spans and events to the maps of an event.

use std::fmt::{self, Write as _};

use event::{Fact, Severity};
use tracing::field::{Field, Visit};

/// Fields in the order they came, as text.
#[derive(Default)]
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn action(&self) -> &str {
        self.get("act").unwrap_or_default()
    }

    pub(crate) fn severity(&self) -> Option<Severity> {
        self.get("severity").and_then(Severity::parse)
    }

    /// Puts each field where its name says.
    pub(crate) fn place(&self, mut fact: Fact) -> Fact {
        for (name, value) in &self.0 {
            let value = value.clone();
            fact = match name.split_once('.') {
                _ if *name == "act" => fact,
                _ if *name == "severity" && Severity::parse(&value).is_some() => fact,
                _ if *name == "message" => fact.context("msg", value),
                Some(("sub", kind)) => fact.subject(clean(kind), value),
                Some(("obj", key)) => fact.object(clean(key), value),
                Some(("ctx", key)) => fact.context(clean(key), value),
                _ => fact.context(clean(name), value),
            };
        }
        fact
    }

    fn set(&mut self, field: &Field, value: String) {
        // The bridge from the `log` crate repeats the metadata as fields.
        if !field.name().starts_with("log.") {
            self.0.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A value whose `Debug` fails is there as far as it came.
        let _ = write!(text, "{value:?}");
        self.set(field, text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }
}

/// A name that events may have: letters, digits, `_`, `.`, `-`; a letter or `_` first; at most 64.
fn clean(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let mut clean: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).take(63).collect();
    if !clean.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        clean.insert(0, '_');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn names_are_those_that_events_may_have() {
        assert_eq!(clean("ip"), "ip");
        assert_eq!(clean("http.status-code"), "http.status-code");
        assert_eq!(clean("9 lives"), "_9_lives");
        assert_eq!(clean(""), "_");
        assert_eq!(clean(&"x".repeat(99)).len(), 63);
    }
}
