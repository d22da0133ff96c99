//! Reads an offered document into just the shapes that an event can have; everything else is only named.
//!
//! Below the second level nothing is kept, and `serde_json` skips what is not kept without recursion, so depth
//! costs nothing. Strings borrow from the input unless they hold escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{InvalidComplianceEvent, MAX_OFFERED, Rule};

/// The members of an object, in the order they came, repeated names included.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Object(Members<'a>),
    /// Its JSON type; nothing of its content.
    Other(&'static str),
}

impl Value<'_> {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Object(_) => "an object",
            Self::Other(name) => name,
        }
    }
}

/// The members of the document, which must be one JSON object and nothing after it.
pub(crate) fn members(offered: &[u8]) -> Result<Members<'_>, InvalidComplianceEvent> {
    if offered.len() > MAX_OFFERED {
        let message = format!("is longer than {MAX_OFFERED} bytes");
        return Err(InvalidComplianceEvent::whole(Rule::Size, message));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(offered);
    let value =
        deserializer.deserialize_any(Shape { levels: 2 }).and_then(|v| deserializer.end().map(|()| v));
    match value {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(InvalidComplianceEvent::whole(
            Rule::Type,
            format!("must be an object, it is {}", other.type_name()),
        )),
        Err(error) => Err(InvalidComplianceEvent::whole(Rule::Json, format!("is not JSON: {error}"))),
    }
}

/// Visits a value, keeping the members of objects for so many levels.
struct Shape {
    levels: u8,
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = Value<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'de>, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let Some(levels) = self.levels.checked_sub(1) else {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Other("an object"));
        };
        let mut members = Vec::with_capacity(7); // the fields of an event; usual maps are smaller
        while let Some(name) = entries.next_key_seed(Name)? {
            members.push((name, entries.next_value_seed(Shape { levels })?));
        }
        Ok(Value::Object(members))
    }
}

/// A member's name, borrowed where it can be.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
