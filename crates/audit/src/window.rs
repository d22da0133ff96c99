//! The newest ids, so that a repeated delivery is recognised.
//!
//! Two generations of at most [`WINDOW`] ids: when the young one is full it becomes the old one, and what was old is let
//! go as a whole. So at least the newest [`WINDOW`] ids are known, and none has to be taken out one by one.

use std::collections::VecDeque;

use event::EventId;
use ledger::Ticket;

/// How many of the newest events at least are remembered by their id. About 22 MB when twice as many are.
pub const WINDOW: usize = 262_144;

/// Where an id was put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) index: u64,
    /// Number of the batch it came with; 0 for what was in the ledger before.
    pub(crate) batch: u64,
}

/// Ids to places, and the batches that may not be durable yet.
pub(crate) struct Window {
    keys: Keys,
    young: Generation,
    old: Generation,
    limit: usize,
    in_flight: VecDeque<(u64, Ticket)>,
    batches: u64,
}

/// The hash of an id: folded products under keys of this process, so that nobody who chooses ids can choose ones that
/// meet.
struct Keys(u64, u64);

impl Keys {
    fn random() -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        let state = RandomState::new();
        Self(state.hash_one(0u8), state.hash_one(1u8))
    }

    fn hash(&self, id: &EventId) -> u64 {
        let word = |at: usize| id.as_bytes()[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            let halves = product ^ product >> 64;
            u64::try_from(halves & u128::from(u64::MAX)).unwrap_or_default() // 64 bits
        };
        fold(fold(word(0) ^ self.0, word(8) ^ self.1), self.0 | 1)
    }
}

/// A table that is only added to.
struct Generation {
    /// Numbers of entries plus one, at the place of their hash or behind it; 0 is free. At most half are taken.
    slots: Vec<u32>,
    entries: Vec<(EventId, Option<Place>)>,
}

impl Generation {
    fn new(limit: usize) -> Self {
        Self { slots: vec![0; (limit * 2).next_power_of_two().max(4)], entries: Vec::new() }
    }

    fn clear(&mut self) {
        self.slots.fill(0);
        self.entries.clear();
    }

    /// The entry of an id, or the free slot where it would be noted.
    fn find(&self, hash: u64, id: &EventId) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut at = usize::try_from(hash & mask as u64).unwrap_or_default(); // the mask is one of `usize`
        loop {
            match (self.slots[at] as usize).checked_sub(1) {
                None => return Err(at),
                Some(entry) if self.entries[entry].0 == *id => return Ok(entry),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    fn place(&mut self, hash: u64, id: &EventId) -> Option<&mut Place> {
        self.find(hash, id).ok().and_then(|entry| self.entries[entry].1.as_mut())
    }
}

impl Window {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, 1 << 30); // a slot has 32 bits
        Self {
            keys: Keys::random(),
            young: Generation::new(limit),
            old: Generation::new(limit),
            limit,
            in_flight: VecDeque::new(),
            batches: 0,
        }
    }

    pub(crate) fn next_batch(&mut self) -> u64 {
        self.batches += 1;
        self.batches
    }

    /// Remembers an id, unless it is known: then its place is given back.
    pub(crate) fn insert(&mut self, id: EventId, place: Place) -> Option<Place> {
        let hash = self.keys.hash(&id);
        if let Some(known) = self.old.place(hash, &id) {
            return Some(*known);
        }
        match self.young.find(hash, &id) {
            Ok(entry) => {
                let known = &mut self.young.entries[entry].1;
                if known.is_none() {
                    *known = Some(place); // it was forgotten
                    return None;
                }
                *known
            }
            Err(slot) => {
                self.young.entries.push((id, Some(place)));
                self.young.slots[slot] = u32::try_from(self.young.entries.len()).unwrap_or(0); // below the limit
                if self.young.entries.len() == self.limit {
                    std::mem::swap(&mut self.young, &mut self.old);
                    self.young.clear();
                }
                None
            }
        }
    }

    fn of_batch(&mut self, id: &EventId, batch: u64) -> Option<&mut Option<Place>> {
        let hash = self.keys.hash(id);
        for generation in [&mut self.young, &mut self.old] {
            if let Ok(entry) = generation.find(hash, id)
                && generation.entries[entry].1.is_some_and(|place| place.batch == batch)
            {
                return Some(&mut generation.entries[entry].1);
            }
        }
        None
    }

    /// Moves the ids of a batch whose indices were other than foreseen.
    pub(crate) fn shift(&mut self, ids: &[EventId], batch: u64, first: u64) {
        for (id, index) in ids.iter().zip(first..) {
            if let Some(place) = self.of_batch(id, batch) {
                *place = Some(Place { index, batch });
            }
        }
    }

    /// Forgets the ids of a batch that did not become durable.
    pub(crate) fn forget(&mut self, ids: &[EventId], batch: u64) {
        for id in ids {
            if let Some(place) = self.of_batch(id, batch) {
                *place = None;
            }
        }
    }

    /// Notes the ticket of a batch, and lets go of those that are durable.
    pub(crate) fn flying(&mut self, batch: u64, ticket: Ticket, durable: u64) {
        while self.in_flight.front().is_some_and(|(_, ticket)| ticket.range().end <= durable) {
            self.in_flight.pop_front();
        }
        self.in_flight.push_back((batch, ticket));
    }

    /// The ticket of a batch, if it may not be durable yet.
    pub(crate) fn ticket(&self, batch: u64) -> Option<Ticket> {
        let at = self.in_flight.binary_search_by_key(&batch, |(number, _)| *number).ok()?;
        Some(self.in_flight[at].1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> EventId {
        let [a, b, c, d] = n.to_be_bytes();
        EventId::v7(u64::from(n / 7), [a, b, c, d, d, c, b, a, a, d])
    }

    #[test]
    fn the_newest_are_known_and_no_more_than_twice_as_many() {
        let limit = 1000;
        let mut window = Window::new(limit);
        for n in 0..10_000u32 {
            assert_eq!(window.insert(id(n), Place { index: u64::from(n), batch: 1 }), None);
            let known = n.saturating_sub(999);
            let expected = Some(Place { index: u64::from(known), batch: 1 });
            assert_eq!(window.insert(id(known), Place { index: 0, batch: 2 }), expected, "{n}");
            assert!(window.young.entries.len() + window.old.entries.len() <= 2 * limit);
        }
        assert_eq!(window.insert(id(0), Place { index: 0, batch: 2 }), None, "it left the window");
    }

    #[test]
    fn only_the_ids_of_the_failed_batch_are_forgotten() {
        for limit in [2, 3, 10] {
            let mut window = Window::new(limit);
            window.insert(id(1), Place { index: 0, batch: 1 });
            window.insert(id(2), Place { index: 1, batch: 2 });
            window.forget(&[id(1), id(2)], 2);
            assert!(window.insert(id(1), Place { index: 5, batch: 3 }).is_some());
            assert!(window.insert(id(2), Place { index: 5, batch: 3 }).is_none());
            window.shift(&[id(1), id(2)], 3, 7);
            let moved = Some(Place { index: 8, batch: 3 });
            assert_eq!(window.insert(id(2), Place { index: 0, batch: 9 }), moved, "{limit}");
        }
    }
}
