//! What a vault's records add up to.

use std::collections::HashMap;

use gm::HmacSm3;
use zeroize::Zeroizing;

use super::record::{Cipher, DataKey, Destroyed, Hold, Id, Queued, Record, Subject};

/// A subject's row.
pub(crate) struct Row {
    pub(crate) token_id: Id,
    pub(crate) token_key: Zeroizing<[u8; 32]>,
    /// Its data keys, in the order in which they were made.
    pub(crate) keys: Vec<Id>,
}

struct Held {
    key: DataKey,
    retired: bool,
}

/// Rows, keys, holds and erasures.
#[derive(Default)]
pub(crate) struct State {
    index_key: Zeroizing<[u8; 32]>,
    rows: HashMap<Id, Row>,
    keys: HashMap<Id, Held>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) queue: Vec<Queued>,
    pub(crate) destroyed: Vec<Destroyed>,
    pub(crate) mark: u64,
}

impl State {
    /// Takes a record; false when it contradicts those before it.
    pub(crate) fn apply(&mut self, record: Record) -> bool {
        match record {
            Record::Genesis { index_key } => self.index_key = Zeroizing::new(index_key),
            Record::Subject { row, token_id, token_key } => {
                let new = Row { token_id, token_key: Zeroizing::new(token_key), keys: Vec::new() };
                return self.rows.insert(row, new).is_none();
            }
            Record::Key(key) => {
                let Some(row) = self.rows.get_mut(&key.row) else { return false };
                row.keys.push(key.id);
                return self.keys.insert(key.id, Held { key, retired: false }).is_none();
            }
            Record::Retired(id) => match self.keys.get_mut(&id) {
                Some(held) => held.retired = true,
                None => return false,
            },
            Record::Hold(hold) => self.holds.push(hold),
            Record::Released(id) => self.holds.retain(|hold| hold.id != id),
            Record::Queued(queued) => {
                self.queue.retain(|known| known.id != queued.id);
                self.queue.push(queued);
            }
            Record::Unqueued(id) => self.queue.retain(|queued| queued.id != id),
            Record::Destroyed(destroyed) => {
                self.destroyed.retain(|known| known.id != destroyed.id);
                self.destroyed.push(destroyed);
            }
            Record::Issued(id) => self.destroyed.retain(|destroyed| destroyed.id != id),
            Record::Mark(index) => self.mark = index,
        }
        true
    }

    /// Everything as records, for a file that begins anew.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        let subject = |(row, of): (&Id, &Row)| {
            let keys: Vec<Record> =
                of.keys.iter().filter_map(|id| self.keys.get(id)).flat_map(held).collect();
            std::iter::once(Record::Subject { row: *row, token_id: of.token_id, token_key: *of.token_key })
                .chain(keys)
        };
        std::iter::once(Record::Genesis { index_key: *self.index_key })
            .chain(self.rows.iter().flat_map(subject))
            .chain(self.holds.iter().cloned().map(Record::Hold))
            .chain(self.queue.iter().cloned().map(Record::Queued))
            .chain(self.destroyed.iter().cloned().map(Record::Destroyed))
            .chain(std::iter::once(Record::Mark(self.mark)))
    }

    /// Where a subject's row would be.
    pub(crate) fn place(&self, subject: &Subject) -> Id {
        let mut hmac = HmacSm3::new(self.index_key.as_slice());
        hmac.update(subject.kind.as_bytes());
        hmac.update(&[0]); // no kind holds one
        hmac.update(subject.id.as_bytes());
        let mut row = [0; 16];
        row.copy_from_slice(&hmac.finalize()[..16]);
        row
    }

    pub(crate) fn row(&self, place: &Id) -> Option<&Row> {
        self.rows.get(place)
    }

    pub(crate) fn key(&self, id: &Id) -> Option<&DataKey> {
        self.keys.get(id).map(|held| &held.key)
    }

    /// The key that seals now, and the newest version there is.
    pub(crate) fn sealing(&self, place: &Id, month: u32, cipher: Cipher) -> (Option<&DataKey>, u16) {
        let ids = self.rows.get(place).into_iter().flat_map(|row| &row.keys);
        let of = ids.filter_map(|id| self.keys.get(id));
        let newest = of
            .filter(|held| held.key.month == month && held.key.cipher == cipher)
            .max_by_key(|held| held.key.version);
        let version = newest.map_or(0, |held| held.key.version);
        (newest.filter(|held| !held.retired).map(|held| &held.key), version)
    }

    /// The keys of a subject that still seal.
    pub(crate) fn active<'s>(&'s self, place: &Id) -> impl Iterator<Item = &'s DataKey> {
        let ids = self.rows.get(place).into_iter().flat_map(|row| &row.keys);
        ids.filter_map(|id| self.keys.get(id)).filter(|held| !held.retired).map(|held| &held.key)
    }

    /// Forgets the data keys and the token keys of these ids; with its token key, all of a subject.
    pub(crate) fn forget(&mut self, ids: &[Id]) {
        for held in ids.iter().filter_map(|id| self.keys.remove(id)).collect::<Vec<_>>() {
            if let Some(row) = self.rows.get_mut(&held.key.row) {
                row.keys.retain(|known| *known != held.key.id);
            }
        }
        let gone: Vec<Id> = self
            .rows
            .iter()
            .filter(|(_, row)| ids.contains(&row.token_id))
            .map(|(place, _)| *place)
            .collect();
        for row in gone.iter().filter_map(|place| self.rows.remove(place)) {
            row.keys.iter().for_each(|id| drop(self.keys.remove(id)));
        }
    }

    /// Whether any key has this id.
    pub(crate) fn knows(&self, id: &Id) -> bool {
        self.keys.contains_key(id) || self.rows.values().any(|row| row.token_id == *id)
    }

    pub(crate) fn count(&self) -> Count {
        let retired = self.keys.values().filter(|held| held.retired).count();
        Count { subjects: self.rows.len(), keys: self.keys.len(), retired }
    }

    /// The first of the holds on a subject.
    pub(crate) fn hold_on(&self, subject: &Subject) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.subject == *subject)
    }
}

fn held(held: &Held) -> impl Iterator<Item = Record> {
    let retired = held.retired.then_some(Record::Retired(held.key.id));
    std::iter::once(Record::Key(held.key.clone())).chain(retired)
}

/// How much a vault holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Count {
    pub(crate) subjects: usize,
    pub(crate) keys: usize,
    pub(crate) retired: usize,
}
