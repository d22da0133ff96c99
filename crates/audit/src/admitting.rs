//! Admission of a batch, on the thread of whoever offers it and without a lock: schema, policy, peer, stored form. The
//! stored forms stand in one piece of memory, which is handed to the ledger as it is.

use event::{EventId, Fault, InvalidComplianceEvent, MAX_EVENT, Rule, admit, read_stored, stored_id};
use ledger::Leaves;

use crate::owner::Owner;
use crate::peer::Peer;
use crate::tap::Note;
use crate::traces::Key;

/// What only the owner says: a caller's word about the ledger itself is refused.
const OWN_PREFIXES: [&str; 4] = ["LEDGER.", "VAULT.", "ERASURE.", "HOLD."];
const OWN_ACTIONS: [&str; 2] = ["AUDIT.REVEALED", "AUDIT.DISCLOSED"];

/// Bytes that a stored form has beyond what was offered: the peer's fields and a longer fraction.
const LONGER: usize = 256;

/// A batch that was admitted.
#[derive(Default)]
pub(crate) struct Admitted {
    /// How many events were offered.
    pub(crate) offered: usize,
    /// The stored forms of those that were admitted, and their ids.
    pub(crate) leaves: Leaves,
    pub(crate) ids: Vec<EventId>,
    /// What the tap noted, by place among the admitted.
    pub(crate) notes: Vec<(usize, Vec<Note>)>,
    /// The refusals, by place among the offered.
    pub(crate) refused: Vec<(usize, InvalidComplianceEvent)>,
    /// The traces that the admitted belong to.
    pub(crate) traces: Vec<Key>,
}

impl Admitted {
    fn trace(&mut self, trace: Option<Key>) {
        if let Some(trace) = trace.filter(|trace| self.traces.last() != Some(trace)) {
            self.traces.push(trace);
        }
    }

    /// The places of the admitted among the offered.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        let mut refused = self.refused.iter().map(|(at, _)| *at).peekable();
        (0..self.offered).filter(move |at| refused.next_if_eq(at).is_none())
    }
}

impl Owner {
    /// A batch with room for so many events, of so many bytes together as they are offered.
    pub(crate) fn batch(&self, events: usize, bytes: usize) -> Admitted {
        let leaves = self.log.room(bytes + events * (LONGER + 2));
        Admitted { leaves, ids: Vec::with_capacity(events), ..Admitted::default() }
    }

    /// Admits a batch that comes from a peer. Refusals are counted.
    pub(crate) fn admit_all(&self, offered: &[Vec<u8>], peer: &Peer) -> Admitted {
        let bytes = offered.iter().map(Vec::len).sum();
        let mut batch = self.batch(offered.len(), bytes);
        offered.iter().for_each(|event| self.admit_next(event, peer, &mut batch));
        self.count_admitted(&batch, peer);
        batch
    }

    /// Admits one more event of a batch, which is counted when it is complete.
    pub(crate) fn admit_next(&self, offered: &[u8], peer: &Peer, batch: &mut Admitted) {
        if let Err(refusal) = self.admit_one(offered, peer, false, batch) {
            batch.refused.push((batch.offered, refusal));
        }
        batch.offered += 1;
    }

    /// Counts what a peer offered and what was refused of it.
    pub(crate) fn count_admitted(&self, batch: &Admitted, peer: &Peer) {
        for (_, refusal) in &batch.refused {
            self.refusals.note(peer, refusal);
            self.meter.refused(refusal);
            if let Some(tap) = self.tap.get() {
                tap.refused(refusal);
            }
        }
        if peer.pid != self.me.pid || peer.caller.is_some() {
            self.meter.came_from_outside(batch.ids.len() as u64);
        }
    }

    /// Admits what the owner itself says.
    pub(crate) fn admit_own(&self, documents: &[Vec<u8>], peer: &Peer) -> Admitted {
        let mut batch = Admitted::default();
        for document in documents {
            if let Err(refusal) = self.admit_one(document, peer, true, &mut batch) {
                batch.refused.push((batch.offered, refusal));
            }
            batch.offered += 1;
        }
        batch
    }

    /// What is the owner's `own` holds nothing personal, and is not searched for it.
    fn admit_one(
        &self,
        offered: &[u8],
        peer: &Peer,
        own: bool,
        batch: &mut Admitted,
    ) -> Result<(), InvalidComplianceEvent> {
        let mut event = admit(offered, &self.catalogue)?;
        if own {
            self.guard.stamp(&mut event);
        } else {
            refuse_owners_word(&event.act)?;
            self.guard.protect(&mut event, || self.prepare_vault())?;
        }
        peer.sign(&mut event);
        batch.leaves.push_with(|out| {
            let start = out.len();
            event.canonical_into(out);
            match out.len() - start {
                0..=MAX_EVENT => Ok(()),
                length => {
                    let message =
                        format!("is {length} bytes long as it would be stored; it may have {MAX_EVENT}");
                    Err(InvalidComplianceEvent::whole(Rule::Size, message))
                }
            }
        })?;
        if let Some(tap) = self.tap.get() {
            let notes = tap.look(&event);
            if !notes.is_empty() {
                batch.notes.push((batch.ids.len(), notes));
            }
        }
        batch.trace(self.traces.of(&event));
        batch.ids.push(event.id);
        Ok(())
    }

    /// Takes leaves that were admitted once. One that is no event any more was not written by us, and is left out.
    pub(crate) fn admitted_before(&self, leaves: &[Vec<u8>]) -> Admitted {
        let mut batch = Admitted::default();
        for leaf in leaves {
            let (Some(id), Ok(event)) = (stored_id(leaf), read_stored(leaf)) else { continue };
            batch.trace(self.traces.of(&event));
            batch.leaves.push(leaf);
            batch.ids.push(id);
            batch.offered += 1;
        }
        batch
    }
}

fn refuse_owners_word(act: &str) -> Result<(), InvalidComplianceEvent> {
    if OWN_PREFIXES.iter().any(|own| act.starts_with(own)) || OWN_ACTIONS.contains(&act) {
        let message = "is recorded by the ledger's owner only".to_owned();
        let fault = Fault { path: "$.act".into(), rule: Rule::Reserved, message };
        return Err(InvalidComplianceEvent { faults: vec![fault] });
    }
    Ok(())
}
