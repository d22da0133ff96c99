//! The newest ids, so that a repeated delivery is recognised.

use std::collections::{HashMap, VecDeque};

use event::EventId;
use ledger::Ticket;

/// How many of the newest events are remembered by their id. About 20 MB when full.
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
    places: HashMap<EventId, Place>,
    order: VecDeque<EventId>,
    limit: usize,
    in_flight: VecDeque<(u64, Ticket)>,
    batches: u64,
}

impl Window {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            places: HashMap::new(),
            order: VecDeque::new(),
            limit: limit.max(1),
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
        use std::collections::hash_map::Entry;
        match self.places.entry(id) {
            Entry::Occupied(known) => return Some(*known.get()),
            Entry::Vacant(vacant) => vacant.insert(place),
        };
        self.order.push_back(id);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        None
    }

    /// Moves the ids of a batch whose indices were other than foreseen.
    pub(crate) fn shift(&mut self, ids: &[EventId], batch: u64, first: u64) {
        for (id, index) in ids.iter().zip(first..) {
            if let Some(place) = self.places.get_mut(id).filter(|place| place.batch == batch) {
                place.index = index;
            }
        }
    }

    /// Forgets the ids of a batch that did not become durable.
    pub(crate) fn forget(&mut self, ids: &[EventId], batch: u64) {
        let gone = |id: &EventId| self.places.get(id).is_some_and(|place| place.batch == batch);
        let gone: std::collections::HashSet<EventId> = ids.iter().filter(|id| gone(id)).copied().collect();
        self.places.retain(|id, _| !gone.contains(id));
        self.order.retain(|id| !gone.contains(id));
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

    fn id(n: u8) -> EventId {
        EventId::v7(u64::from(n), [n; 10])
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut window = Window::new(2);
        let place = |index| Place { index, batch: 1 };
        for n in 0..3 {
            assert_eq!(window.insert(id(n), place(u64::from(n))), None);
        }
        assert_eq!(window.insert(id(2), place(9)), Some(place(2)));
        assert_eq!(window.insert(id(1), place(9)), Some(place(1)));
        assert_eq!(window.insert(id(0), place(9)), None, "it left the window");
    }

    #[test]
    fn only_the_ids_of_the_failed_batch_are_forgotten() {
        let mut window = Window::new(10);
        window.insert(id(1), Place { index: 0, batch: 1 });
        window.insert(id(2), Place { index: 1, batch: 2 });
        window.forget(&[id(1), id(2)], 2);
        assert!(window.insert(id(1), Place { index: 5, batch: 3 }).is_some());
        assert!(window.insert(id(2), Place { index: 5, batch: 3 }).is_none());
        window.shift(&[id(1), id(2)], 3, 7);
        assert_eq!(window.insert(id(2), Place { index: 0, batch: 9 }), Some(Place { index: 8, batch: 3 }));
    }
}
