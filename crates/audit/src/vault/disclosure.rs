//! A single field, opened to an auditor: what is checked with nothing but the paper and the log's public key.

use event::{Event, Fields};
use subtle::ConstantTimeEq as _;

use super::calls::Disclosure;
use super::sealed::{Place, SEALED, SealedField, commitment};
use crate::redact::SEALED_NAME;

/// A map of an event by its name.
pub(super) fn section<'e, 'a>(event: &'e Event<'a>, name: &str) -> &'e Fields<'a> {
    match name {
        "sub" => &event.sub,
        "obj" => &event.obj,
        _ => &event.ctx,
    }
}

/// The sealed field that a caller named so: its map, its name there, its value.
pub(super) fn find<'e>(event: &'e Event<'_>, field: &str) -> Option<(&'static str, &'e str, &'e str)> {
    let (of, name) = field.split_once('.')?;
    let of = ["sub", "obj", "ctx"].into_iter().find(|known| *known == of)?;
    let own = |key: &str| key == name || key.strip_suffix(SEALED_NAME) == Some(name);
    let mut fields = section(event, of).iter();
    fields.find(|(key, value)| own(key) && value.starts_with(SEALED)).map(|(key, value)| (of, key, value))
}

/// Whether a disclosure's value is what its leaf is bound to. That the leaf is in the log is the proof's to say.
#[must_use]
pub fn holds(disclosure: &Disclosure) -> bool {
    let Ok(event) = event::read_stored(disclosure.event.as_bytes()) else { return false };
    let Some((_, _, value)) = find(&event, &disclosure.field) else { return false };
    let Some(sealed) = SealedField::parse(value) else { return false };
    let Some(salt) = hex::decode(&disclosure.salt).ok().filter(|salt| salt.len() == 16) else { return false };
    let place = Place { event: event.id.as_bytes(), path: &disclosure.field };
    bool::from(commitment(&salt, place, &disclosure.value).ct_eq(&sealed.commitment))
}
