//! What keeps an event beside the table: a hold on its subject, a certificate of erasure that nobody has yet, a request
//! that nobody answered.

use std::collections::{BTreeSet, HashMap};

use event::Event;

use super::{Blocked, Open};
use crate::AuditError;
use crate::owner::Owner;
use crate::redact::{Tokening, tokenings, tokens_of};
use crate::vault::{Hold, SealedField, Subject, TOKEN, Vault};

/// The keys and tokens by which the events of held subjects are known.
#[derive(Default)]
pub(crate) struct Held {
    subjects: Vec<(Subject, String)>,
    keys: HashMap<[u8; 16], String>,
    tokens: HashMap<String, String>,
    /// Events that something still needs, by index.
    needed: HashMap<u64, String>,
}

impl Held {
    /// Why the event must stay, if one of these keeps it.
    pub(crate) fn keeps(&self, index: u64, event: &Event<'_>) -> Option<Blocked> {
        if self.subjects.is_empty() && self.needed.is_empty() {
            return None;
        }
        let by = self.needed.get(&index).or_else(|| self.hold_on(event))?;
        Some(Blocked::by(by.clone()))
    }

    fn hold_on(&self, event: &Event<'_>) -> Option<&String> {
        let named = self.subjects.iter().find(|(subject, _)| {
            [&event.sub, &event.obj].iter().any(|fields| fields.get(&subject.kind) == Some(&subject.id))
        });
        if let Some((_, hold)) = named {
            return Some(hold);
        }
        let mut values = [&event.sub, &event.obj, &event.ctx].into_iter().flat_map(|fields| fields.iter());
        values.find_map(|(_, value)| match SealedField::parse(value) {
            Some(sealed) => self.keys.get(&sealed.key_id),
            // A token may stand in the middle of a text.
            None => value.match_indices(TOKEN).find_map(|(at, _)| self.token(&value[at..])),
        })
    }

    fn token(&self, text: &str) -> Option<&String> {
        const LENGTH: usize = TOKEN.len() + 22; // docs/formats/redaction.md
        self.tokens.get(text.get(..LENGTH)?)
    }

    fn hold(&mut self, vault: &Vault, hold: &Hold, tokenings: &BTreeSet<Tokening>) {
        let by = format!("hold {}", hold.id);
        if let Some(row) = vault.state.row(&vault.state.place(&hold.subject)) {
            self.keys.extend(row.keys.iter().map(|key| (*key, by.clone())));
        }
        let tokens = tokens_of(vault, tokenings, &hold.subject.id);
        self.tokens.extend(tokens.into_iter().map(|token| (token, by.clone())));
        self.subjects.push((hold.subject.clone(), by));
    }
}

impl Owner {
    /// What keeps events beside the table. A vault that cannot be read keeps all of them: nobody knows its holds.
    pub(crate) fn held(&self, requests: &[Open]) -> Result<Held, AuditError> {
        let tokenings = tokenings(&self.home, self.guard.policy())?;
        let mut held = Held::default();
        self.guard.door.with(|vault| {
            for hold in &vault.state.holds {
                held.hold(vault, hold, &tokenings);
            }
            let outstanding =
                vault.state.destroyed.iter().filter_map(|known| Some((known.recorded?, &known.id)));
            held.needed
                .extend(outstanding.map(|(index, id)| (index, format!("the certificate of erasure {id}"))));
            Ok(())
        })?;
        held.needed.extend(requests.iter().map(|open| (open.index, format!("the request {}", open.request))));
        Ok(held)
    }
}
