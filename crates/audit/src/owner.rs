//! The owner of a home: admits, names the peer, recognises repetitions, and hands leaves to the ledger.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use event::{Catalogue, EventId, Fact, Fault, InvalidComplianceEvent, Rule, Timestamp, read_stored};
use ledger::{Leaves, LedgerError, Log, Recovery, Ticket};

use crate::admitting::Admitted;
use crate::clock::{documents, now, stamp};
use crate::error::AuditError;
use crate::index::Index;
use crate::metrics::Meter;
use crate::peer::{Peer, strip};
use crate::pending::{Receipt, Verdict};
use crate::recall::Behind;
use crate::redact::Guard;
use crate::refusals::Refusals;
use crate::retention::Turn;
use crate::ring::Rings;
use crate::tap::Tap;
use crate::traces::Traces;
use crate::window::{Place, Window};

pub(crate) struct Owner {
    pub(crate) log: Log,
    pub(crate) me: Peer,
    pub(crate) home: PathBuf,
    /// Which entries a condition can mean.
    pub(crate) index: Arc<Index>,
    pub(crate) catalogue: Catalogue,
    pub(crate) refusals: Refusals,
    pub(crate) guard: Guard,
    pub(crate) meter: Meter,
    pub(crate) tap: OnceLock<Arc<dyn Tap>>,
    sequence: Mutex<Sequence>,
    pub(crate) traces: Traces,
    pub(crate) rings: Rings,
    /// Taken by whoever carries out the table of retention.
    pub(crate) keeping: Turn,
}

const OPENED: &str = "LEDGER.OPENED";
/// What must be decided in the order of the ledger.
struct Sequence {
    /// Built from the ledger's newest entries when the first event is offered.
    window: Option<Window>,
    /// Those of the newest entries that the window does not know yet.
    behind: Behind,
    /// `LEDGER.OPENED`, recorded just before the first event: reading a ledger does not write to it.
    opening: Option<Fact>,
    /// Whether the opening is recorded even when there was one in this hour.
    notable: bool,
}

/// A batch on its way to the disk.
pub(crate) struct Submitted {
    /// Of the new leaves; none when there are none.
    ticket: Option<Ticket>,
    batch: u64,
    /// The index that the first new leaf was expected to get.
    foreseen: u64,
    /// How many events were offered: those that are new, in order, and between them the others by their place.
    offered: usize,
    new: Vec<EventId>,
    others: Vec<(usize, Other)>,
    since: Instant,
}

enum Other {
    /// Known already; its content is compared once the first delivery is durable.
    Repeat {
        id: EventId,
        place: Place,
        ticket: Option<Ticket>,
        leaf: Vec<u8>,
    },
    Refused(InvalidComplianceEvent),
}

impl Owner {
    pub(crate) fn new(
        home: &Path,
        log: Log,
        recovery: &Recovery,
        catalogue: Catalogue,
        guard: Guard,
    ) -> Result<Self, AuditError> {
        let opening = opening_fact(OPENED, &log, recovery);
        let notable = recovery.created || recovery.replayed > 0;
        let owner = Self {
            me: Peer::own(),
            home: home.to_owned(),
            index: Arc::new(Index::of(home)),
            catalogue,
            refusals: Refusals::default(),
            guard,
            meter: Meter::default(),
            tap: OnceLock::new(),
            sequence: Mutex::new(Sequence {
                window: None,
                behind: Behind::default(),
                opening: Some(opening),
                notable,
            }),
            traces: Traces::default(),
            rings: Rings::default(),
            keeping: Turn::default(),
            log,
        };
        if let Some(torn) = &recovery.torn {
            let fact = opening_fact("LEDGER.RECOVERED", &owner.log, recovery)
                .severity(event::Severity::Warn)
                .object("segment", torn.segment.clone())
                .context("torn_at", torn.offset.to_string())
                .context("next_index", torn.index.to_string());
            owner.record(vec![fact])?;
        }
        Ok(owner)
    }

    /// Records facts of the owner itself.
    pub(crate) fn record(&self, facts: Vec<Fact>) -> Result<Vec<Verdict>, AuditError> {
        self.record_for(facts, &self.me)
    }

    /// Records facts of the owner itself about what somebody asked of it.
    pub(crate) fn record_for(&self, facts: Vec<Fact>, peer: &Peer) -> Result<Vec<Verdict>, AuditError> {
        self.settle(self.sequence(self.admit_own(&documents(facts)?, peer))?)
    }

    /// Records what was refused, and what producers let go, since the last time. What cannot be recorded now is lost
    /// from the count, not from the callers: they had their refusal.
    pub(crate) fn record_refusals(&self) {
        let mut facts = self.refusals.take();
        facts.extend(self.rings.losses());
        if !facts.is_empty() {
            let _ = self.record(facts);
        }
    }

    /// Admits a batch and queues what is new. Refusals are counted.
    pub(crate) fn submit(&self, offered: &[Vec<u8>], peer: &Peer) -> Result<Submitted, AuditError> {
        self.queue_admitted(self.admit_all(offered, peer))
    }

    /// Offers a batch again that found the disk full: what is refused in it was counted the first time.
    #[cfg(unix)]
    pub(crate) fn submit_again(&self, offered: &[Vec<u8>], peer: &Peer) -> Result<Submitted, AuditError> {
        let mut batch = self.batch(offered.len(), offered.iter().map(Vec::len).sum());
        offered.iter().for_each(|event| self.admit_next(event, peer, &mut batch));
        self.queue_admitted(batch)
    }

    /// Queues what was admitted and is new, and remembers its traces.
    pub(crate) fn queue_admitted(&self, mut admitted: Admitted) -> Result<Submitted, AuditError> {
        let traces = std::mem::take(&mut admitted.traces);
        let submitted = self.sequence(admitted)?;
        self.traces.note(traces);
        Ok(submitted)
    }

    /// Gives what is new its place, in the order of the ledger.
    fn sequence(&self, admitted: Admitted) -> Result<Submitted, AuditError> {
        let since = Instant::now();
        self.guard.settle()?; // a leaf must not be durable before the key that opens it is
        let mut sequence = self.lock();
        self.prepare(&mut sequence)?;
        let Sequence { window: Some(window), behind, .. } = &mut *sequence else {
            return Err(AuditError::Gone); // prepared above
        };
        self.recall(window, behind, &admitted.ids)?;
        let batch = window.next_batch();
        let foreseen = self.log.size();
        let mut repeats = Vec::new();
        for (at, id) in admitted.ids.iter().enumerate() {
            let index = foreseen + (at - repeats.len()) as u64;
            if let Some(known) = window.insert(*id, Place { index, batch }) {
                repeats.push((at, known));
            }
        }
        self.meter.repeated(repeats.len() as u64);
        self.count_new(&admitted, &repeats);
        let offered = admitted.offered;
        let (leaves, new, others) = separate(admitted, &repeats, window);
        let (count, bytes) = (leaves.len() as u64, leaves.bytes() as u64);
        let ticket =
            self.queue(window, leaves, &new, batch, foreseen).inspect_err(|_| self.meter.failed())?;
        self.meter.accepted(count, bytes);
        Ok(Submitted { ticket, batch, foreseen, offered, new, others, since })
    }

    /// Gives the tap what it noted of the events that are new.
    fn count_new(&self, admitted: &Admitted, repeats: &[(usize, Place)]) {
        let Some(tap) = self.tap.get() else { return };
        for (at, notes) in &admitted.notes {
            if repeats.binary_search_by_key(at, |(repeat, _)| *repeat).is_err() {
                tap.count(notes.clone());
            }
        }
    }

    fn queue(
        &self,
        window: &mut Window,
        leaves: Leaves,
        new: &[EventId],
        batch: u64,
        foreseen: u64,
    ) -> Result<Option<Ticket>, AuditError> {
        if leaves.is_empty() {
            return Ok(None);
        }
        let ticket = self.log.submit_leaves(leaves).inspect_err(|_| window.forget(new, batch))?;
        // A group that failed in between takes the queued indices back.
        if ticket.range().start != foreseen {
            window.shift(new, batch, ticket.range().start);
        }
        window.flying(batch, ticket.clone(), self.log.durable_size());
        Ok(Some(ticket))
    }

    /// Before the first event of this owner: the window, and `LEDGER.OPENED`.
    fn prepare(&self, sequence: &mut Sequence) -> Result<(), AuditError> {
        if sequence.window.is_none() {
            let (window, behind, opened) = self.begin_window()?;
            (sequence.window, sequence.behind) = (Some(window), behind);
            // A shell that records an event a second would otherwise record as many openings.
            if opened.is_some_and(|last| same_hour(last, now())) && !sequence.notable {
                sequence.opening = None;
            }
        }
        if let Some(fact) = &sequence.opening {
            let mut opening = self.admit_own(&[stamp(fact.clone())?.canonical()], &self.me);
            if let Some((_, refusal)) = opening.refused.pop() {
                return Err(refusal.into());
            }
            let _durable_before_the_next = self.log.submit_leaves(opening.leaves)?;
            sequence.opening = None;
        }
        Ok(())
    }

    /// Waits for a batch.
    pub(crate) fn settle(&self, submitted: Submitted) -> Result<Vec<Verdict>, AuditError> {
        let Submitted { ticket, batch, foreseen, offered, new, others, since } = submitted;
        if let Some(ticket) = &ticket
            && let Err(error) = ticket.wait()
        {
            if let Some(window) = self.lock().window.as_mut() {
                window.forget(&new, batch);
            }
            self.meter.failed();
            return Err(error.into());
        }
        self.meter.waited(since.elapsed());
        let indices = ticket.map_or(foreseen..foreseen, |ticket| ticket.range());
        let first = indices.start;
        let mut new = new.into_iter().zip(indices);
        let mut others = others.into_iter().peekable();
        let mut verdicts = Vec::with_capacity(offered);
        for at in 0..offered {
            let verdict = match others.next_if(|(place, _)| *place == at) {
                None => new.next().map(|(id, index)| Ok(Receipt { id, index })),
                Some((_, Other::Refused(refusal))) => Some(Err(refusal)),
                Some((_, Other::Repeat { id, place, ticket, leaf })) => {
                    // Repeated within its own batch, it was placed before the batch had its indices.
                    let index =
                        if place.batch == batch { first + (place.index - foreseen) } else { place.index };
                    Some(self.repeated(Receipt { id, index }, ticket, &leaf)?)
                }
            };
            verdicts.extend(verdict); // every place is one of a new event or of another
        }
        Ok(verdicts)
    }

    /// The first delivery's receipt, once that is durable, if the content is the same.
    fn repeated(&self, first: Receipt, ticket: Option<Ticket>, leaf: &[u8]) -> Result<Verdict, AuditError> {
        if let Some(ticket) = ticket {
            ticket.wait()?;
        }
        let stored = match self.log.read(first.index) {
            // It was recorded, kept for its time, and let go: nothing is left to compare.
            Err(LedgerError::Pruned { .. }) => return Ok(Ok(first)),
            stored => stored?,
        };
        if self.same_content(&stored, leaf) {
            return Ok(Ok(first));
        }
        let message = format!("names an event that is stored with other content, at index {}", first.index);
        let fault = Fault { path: "$.id".into(), rule: Rule::Duplicate, message };
        Ok(Err(InvalidComplianceEvent { faults: vec![fault] }))
    }

    /// Whether two stored forms are of one event, whoever delivered it.
    fn same_content(&self, a: &[u8], b: &[u8]) -> bool {
        let (Ok(mut a), Ok(mut b)) = (read_stored(a), read_stored(b)) else { return false };
        strip(&mut a.ctx);
        strip(&mut b.ctx);
        self.guard.same(&mut a, &mut b)
    }

    fn lock(&self) -> MutexGuard<'_, Sequence> {
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what is known already out of the leaves, and puts it between the refusals by its place among the offered.
fn separate(
    mut admitted: Admitted,
    repeats: &[(usize, Place)],
    window: &Window,
) -> (Leaves, Vec<EventId>, Vec<(usize, Other)>) {
    if repeats.is_empty() {
        let others = admitted.refused.into_iter().map(|(at, refusal)| (at, Other::Refused(refusal)));
        return (admitted.leaves, admitted.ids, others.collect());
    }
    let places: Vec<usize> = admitted.places().collect();
    let mut others: Vec<_> =
        admitted.refused.drain(..).map(|(at, refusal)| (at, Other::Refused(refusal))).collect();
    let (mut leaves, mut new) = (Leaves::new(), Vec::new());
    let mut repeats = repeats.iter().peekable();
    for (at, (leaf, id)) in admitted.leaves.iter().zip(&admitted.ids).enumerate() {
        match repeats.next_if(|(repeat, _)| *repeat == at) {
            None => {
                leaves.push(leaf);
                new.push(*id);
            }
            Some((_, place)) => {
                let (ticket, leaf) = (window.ticket(place.batch), leaf.to_vec());
                others.push((places[at], Other::Repeat { id: *id, place: *place, ticket, leaf }));
            }
        }
    }
    others.sort_by_key(|(at, _)| *at);
    (leaves, new, others)
}

/// Whether two instants lie in one hour of the clock: their text up to the hour is the same.
fn same_hour(a: Timestamp, b: Timestamp) -> bool {
    const HOUR: usize = "2026-11-20T08".len();
    a.as_str()[..HOUR] == b.as_str()[..HOUR]
}

/// A heartbeat: the SM3 root stands in a leaf of the SHA-256 tree, so that whoever cosigns that covers it.
fn opening_fact(act: &'static str, log: &Log, recovery: &Recovery) -> Fact {
    let checkpoint = log.latest_checkpoint();
    let fact = Fact::new(act)
        .subject("svc", "custody")
        .object("origin", checkpoint.checkpoint.origin.clone())
        .context("version", env!("CARGO_PKG_VERSION"))
        .context("host", crate::clock::host())
        .context("size", checkpoint.size().to_string())
        .context("sha256_root", hex::encode(checkpoint.checkpoint.root))
        .context("created", recovery.created.to_string())
        .context("replayed", recovery.replayed.to_string());
    match checkpoint.sm3_root() {
        Some(root) => fact.context("sm3_root", hex::encode(root)),
        None => fact,
    }
}
