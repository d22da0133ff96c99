//! Why an event was refused: each fault with its JSON path.

use std::fmt;

/// Faults beyond this many are counted, not listed: an event of 64 KiB can hold thousands.
const MAX_LISTED: usize = 64;
/// Characters of an unknown name that a path repeats.
const MAX_NAME: usize = 96;

/// The rule that a fault breaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rule {
    /// Not JSON at all, or not an object.
    Json,
    /// Too large, or too many fields.
    Size,
    /// A required field is not there, or an object that may not be empty is.
    Missing,
    /// A field that the schema does not know.
    Unexpected,
    /// A name given twice, once perhaps as an alias.
    Duplicate,
    /// A field's name has characters that names do not have.
    Name,
    /// Another JSON type than the schema's.
    Type,
    /// A value that does not have the form of its field.
    Form,
    /// An action or a subject kind that the catalogue does not know.
    Unknown,
    /// A field that only Custody writes.
    Reserved,
    /// Stored, but not in the canonical form.
    Canonical,
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// Where: JSONPath (RFC 9535) as the caller wrote the field, `$.ctx.ip`.
    pub path: String,
    /// The rule that is broken.
    pub rule: Rule,
    /// What is wrong, continuing the path: `must be an IPv4 or IPv6 address`.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.message)
    }
}

/// The refusal of an event, with every fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct InvalidComplianceEvent {
    /// In the order of the schema's fields; never empty.
    pub faults: Vec<Fault>,
}

impl InvalidComplianceEvent {
    /// A refusal for one reason, at the root.
    #[must_use]
    pub fn whole(rule: Rule, message: impl Into<String>) -> Self {
        Self { faults: vec![Fault { path: "$".into(), rule, message: message.into() }] }
    }
}

impl fmt::Display for InvalidComplianceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvalidComplianceEvent: ")?;
        for (position, fault) in self.faults.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

/// Collects faults, up to a bound.
#[derive(Default)]
pub(crate) struct Faults {
    listed: Vec<Fault>,
    unlisted: usize,
}

impl Faults {
    pub(crate) fn add(&mut self, path: &Path<'_>, rule: Rule, message: impl Into<String>) {
        if self.listed.len() < MAX_LISTED {
            self.listed.push(Fault { path: path.to_string(), rule, message: message.into() });
        } else {
            self.unlisted += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(crate) fn into_error(mut self) -> InvalidComplianceEvent {
        if self.unlisted > 0 {
            let message = format!("has {} more faults", self.unlisted);
            self.listed.push(Fault { path: "$".into(), rule: Rule::Size, message });
        }
        InvalidComplianceEvent { faults: self.listed }
    }
}

/// A place in the offered document; made into text only when there is a fault.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    pub(crate) field: &'a str,
    pub(crate) key: Option<&'a str>,
}

impl<'a> Path<'a> {
    pub(crate) fn field(field: &'a str) -> Self {
        Self { field, key: None }
    }

    pub(crate) fn key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        std::iter::once(self.field).chain(self.key).try_for_each(|name| write_name(name, f))
    }
}

/// Shorthand where RFC 9535 §2.5.1.1 has one, else a quoted name (§2.7).
fn write_name(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && name.len() <= MAX_NAME && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return write!(f, ".{name}");
    }
    f.write_str("['")?;
    for c in name.chars().take(MAX_NAME) {
        match c {
            '\'' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str(if name.chars().count() > MAX_NAME { "…']" } else { "']" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_rfc_9535() {
        let path = |key| Path::field("ctx").key(key).to_string();
        assert_eq!(path("ip"), "$.ctx.ip");
        assert_eq!(path("peer.pid"), "$.ctx['peer.pid']");
        assert_eq!(path("it's\n"), "$.ctx['it\\'s\\u000a']");
        assert_eq!(path(""), "$.ctx['']");
        assert!(path(&"x".repeat(5000)).len() < 120);
    }
}
