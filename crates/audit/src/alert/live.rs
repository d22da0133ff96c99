//! The engine behind the owner: a tap that notes by reference, and the state that a thread advances.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use event::{Event, InvalidComplianceEvent};

use super::engine::{Alert, Engine};
use super::rules::Rules;
use crate::tap::{Note, Tap};

/// The alarm of a daemon. Rules can be replaced while it runs; what was counted under the old ones is forgotten.
pub struct Alarm {
    /// Read for every event; written when the rules are replaced.
    rules: RwLock<Arc<Rules>>,
    /// Taken only for what a rule noted.
    engine: Mutex<Engine>,
    begun: Instant,
}

impl Alarm {
    /// An alarm with rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let engine = Mutex::new(Engine::new(rules.clone(), 0));
        Self { rules: RwLock::new(Arc::new(rules)), engine, begun: Instant::now() }
    }

    /// Puts other rules in the place of those that are there.
    pub fn replace(&self, rules: Rules) {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        *engine = Engine::new(rules.clone(), self.now_ms());
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// The rules that are in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What began and ended since the last call, and the rules that it is about.
    #[must_use]
    pub fn advance(&self) -> (Arc<Rules>, Vec<Alert>) {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let alerts = engine.advance(self.now_ms());
        (self.rules(), alerts)
    }

    /// How many alerts are raised now.
    #[must_use]
    pub fn raised(&self) -> usize {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).raised().len()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn note(&self, notes: impl Iterator<Item = Note>) {
        let now_ms = self.now_ms();
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        notes.for_each(|note| engine.note(&note, now_ms));
    }
}

impl Tap for Alarm {
    fn look(&self, event: &Event<'_>) -> Vec<Note> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).look(event)
    }

    fn count(&self, notes: Vec<Note>) {
        self.note(notes.into_iter());
    }

    fn refused(&self, refusal: &InvalidComplianceEvent) {
        let rules = self.rules();
        let mut notes = rules.refused(refusal).peekable();
        if notes.peek().is_some() {
            self.note(notes);
        }
    }
}
