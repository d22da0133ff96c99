//! The owner of a home: admits, names the peer, recognises repetitions, and hands leaves to the ledger.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use event::{
    Catalogue, EventId, Fact, Fault, InvalidComplianceEvent, MAX_EVENT, Rule, Timestamp, admit, read_stored,
    stored_id, validate,
};
use ledger::{Log, Recovery, Ticket};

use crate::clock::{documents, now, stamp};
use crate::error::AuditError;
use crate::index::Index;
use crate::metrics::Meter;
use crate::peer::{Peer, strip};
use crate::pending::{Receipt, Verdict};
use crate::redact::Guard;
use crate::refusals::Refusals;
use crate::ring::Rings;
use crate::tap::{Note, Tap};
use crate::traces::Traces;
use crate::window::{Place, WINDOW, Window};

pub(crate) struct Owner {
    pub(crate) log: Log,
    pub(crate) me: Peer,
    pub(crate) home: PathBuf,
    /// Which entries a condition can mean.
    pub(crate) index: Arc<Index>,
    catalogue: Catalogue,
    refusals: Refusals,
    pub(crate) guard: Guard,
    pub(crate) meter: Meter,
    pub(crate) tap: OnceLock<Arc<dyn Tap>>,
    sequence: Mutex<Sequence>,
    pub(crate) traces: Traces,
    pub(crate) rings: Rings,
}

const OPENED: &str = "LEDGER.OPENED";
/// How the stored form of one begins.
const OPENED_LEAF: &[u8] = b"{\"act\":\"LEDGER.OPENED\",";
/// What only the owner says: a caller's word about the ledger itself is refused.
const OWN_ACTIONS: [&str; 6] =
    ["LEDGER.", "VAULT.", "ERASURE.", "HOLD.", "AUDIT.REVEALED\"", "AUDIT.DISCLOSED\""];

/// Where the action's code stands in the stored form, `{"act":"…`.
const ACT_AT: usize = 8;

/// An admitted event's id and leaf, and what the tap noted of it.
pub(crate) type Admitted = Result<(EventId, Vec<u8>, Vec<Note>), InvalidComplianceEvent>;

/// What must be decided in the order of the ledger.
struct Sequence {
    /// Built from the ledger's newest entries when the first event is offered.
    window: Option<Window>,
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
    new: Vec<EventId>,
    items: Vec<Item>,
    since: Instant,
}

enum Item {
    /// The next of the new leaves.
    New(EventId),
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
            sequence: Mutex::new(Sequence { window: None, opening: Some(opening), notable }),
            traces: Traces::default(),
            rings: Rings::default(),
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
        let admitted = documents(facts)?.iter().map(|bytes| self.admit(bytes, peer, true)).collect();
        self.settle(self.sequence(admitted)?)
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

    /// Admits a batch that comes from a peer. Refusals are counted.
    pub(crate) fn admit_all(&self, offered: &[Vec<u8>], peer: &Peer) -> Vec<Admitted> {
        let admitted: Vec<Admitted> = offered.iter().map(|bytes| self.admit_from(bytes, peer)).collect();
        for refusal in admitted.iter().filter_map(|a| a.as_ref().err()) {
            self.refusals.note(peer, refusal);
            self.meter.refused(refusal);
            if let Some(tap) = self.tap.get() {
                tap.refused(refusal);
            }
        }
        if peer.pid != self.me.pid || peer.caller.is_some() {
            self.meter.came_from_outside(admitted.iter().filter(|admitted| admitted.is_ok()).count() as u64);
        }
        admitted
    }

    /// Queues what was admitted and is new, and remembers its traces.
    pub(crate) fn queue_admitted(&self, admitted: Vec<Admitted>) -> Result<Submitted, AuditError> {
        let traces = self
            .traces
            .of(admitted.iter().filter_map(|a| a.as_ref().ok()).map(|(_, leaf, ..)| leaf.as_slice()));
        let submitted = self.sequence(admitted)?;
        self.traces.note(traces);
        Ok(submitted)
    }

    /// Gives what is new its place, in the order of the ledger.
    fn sequence(&self, admitted: Vec<Admitted>) -> Result<Submitted, AuditError> {
        let since = Instant::now();
        self.guard.settle()?; // a leaf must not be durable before the key that opens it is
        let mut sequence = self.lock();
        self.prepare(&mut sequence)?;
        let Some(window) = sequence.window.as_mut() else { return Err(AuditError::Gone) }; // prepared above
        let batch = window.next_batch();
        let foreseen = self.log.size();
        let mut new = Vec::with_capacity(admitted.len());
        let mut leaves = Vec::with_capacity(admitted.len());
        let mut items = Vec::with_capacity(admitted.len());
        for admitted in admitted {
            let (id, leaf, notes) = match admitted {
                Ok(admitted) => admitted,
                Err(refusal) => {
                    items.push(Item::Refused(refusal));
                    continue;
                }
            };
            match window.insert(id, Place { index: foreseen + leaves.len() as u64, batch }) {
                None => {
                    new.push(id);
                    leaves.push(leaf);
                    items.push(Item::New(id));
                    if let Some(tap) = self.tap.get().filter(|_| !notes.is_empty()) {
                        tap.count(notes);
                    }
                }
                Some(place) => {
                    items.push(Item::Repeat { id, place, ticket: window.ticket(place.batch), leaf });
                }
            }
        }
        let (count, bytes) = (leaves.len() as u64, leaves.iter().map(|leaf| leaf.len() as u64).sum());
        self.meter.repeated(items.iter().filter(|item| matches!(item, Item::Repeat { .. })).count() as u64);
        let ticket =
            self.queue(window, leaves, &new, batch, foreseen).inspect_err(|_| self.meter.failed())?;
        self.meter.accepted(count, bytes);
        Ok(Submitted { ticket, batch, foreseen, new, items, since })
    }

    fn admit_from(&self, offered: &[u8], peer: &Peer) -> Admitted {
        let admitted = self.admit(offered, peer, false)?;
        if OWN_ACTIONS.iter().any(|own| admitted.1[ACT_AT..].starts_with(own.as_bytes())) {
            let message = "is recorded by the ledger's owner only".to_owned();
            let fault = Fault { path: "$.act".into(), rule: Rule::Reserved, message };
            return Err(InvalidComplianceEvent { faults: vec![fault] });
        }
        Ok(admitted)
    }

    /// What is the owner's `own` holds nothing personal, and is not searched for it.
    fn admit(&self, offered: &[u8], peer: &Peer, own: bool) -> Admitted {
        let mut event = admit(offered, &self.catalogue)?;
        if own {
            self.guard.stamp(&mut event);
        } else {
            self.guard.protect(&mut event, || self.prepare_vault())?;
        }
        peer.sign(&mut event);
        let mut leaf = Vec::with_capacity(offered.len() + 192); // the peer's fields and a longer fraction
        event.canonical_into(&mut leaf);
        if leaf.len() > MAX_EVENT {
            let message =
                format!("is {} bytes long as it would be stored; it may have {MAX_EVENT}", leaf.len());
            return Err(InvalidComplianceEvent::whole(Rule::Size, message));
        }
        let notes = self.tap.get().map(|tap| tap.look(&event)).unwrap_or_default();
        Ok((event.id, leaf, notes))
    }

    fn queue(
        &self,
        window: &mut Window,
        leaves: Vec<Vec<u8>>,
        new: &[EventId],
        batch: u64,
        foreseen: u64,
    ) -> Result<Option<Ticket>, AuditError> {
        if leaves.is_empty() {
            return Ok(None);
        }
        let ticket = self.log.submit_all(leaves).inspect_err(|_| window.forget(new, batch))?;
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
            let (window, opened) = self.rebuild()?;
            sequence.window = Some(window);
            // A shell that records an event a second would otherwise record as many openings.
            if opened.is_some_and(|last| same_hour(last, now())) && !sequence.notable {
                sequence.opening = None;
            }
        }
        if let Some(fact) = &sequence.opening {
            let (_, leaf, _) = self.admit(&stamp(fact.clone())?.canonical(), &self.me, true)?;
            let _durable_before_the_next = self.log.submit(leaf)?;
            sequence.opening = None;
        }
        Ok(())
    }

    /// The window, from the newest entries, and when the last `LEDGER.OPENED` among them was. An entry that is no
    /// event is `audit verify`'s to report.
    fn rebuild(&self) -> Result<(Window, Option<Timestamp>), AuditError> {
        let end = self.log.durable_size();
        let start = end.saturating_sub(WINDOW as u64).max(self.log.minimum());
        let mut window = Window::new(WINDOW);
        let mut opened = None;
        for (entry, index) in self.log.entries(start..end).zip(start..) {
            let entry = entry?;
            if let Some(id) = stored_id(&entry) {
                window.insert(id, Place { index, batch: 0 });
            }
            if entry.starts_with(OPENED_LEAF) {
                opened = validate(&entry).ok().map(|event| event.ts).or(opened);
            }
        }
        Ok((window, opened))
    }

    /// Waits for a batch.
    pub(crate) fn settle(&self, submitted: Submitted) -> Result<Vec<Verdict>, AuditError> {
        let Submitted { ticket, batch, foreseen, new, items, since } = submitted;
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
        let mut indices = ticket.map_or(foreseen..foreseen, |ticket| ticket.range());
        let first = indices.start;
        let verdict = |item| match item {
            Item::New(id) => Ok(Ok(Receipt { id, index: indices.next().unwrap_or(u64::MAX) })),
            Item::Refused(refusal) => Ok(Err(refusal)),
            Item::Repeat { id, place, ticket, leaf } => {
                // Repeated within its own batch, it was placed before the batch had its indices.
                let index = if place.batch == batch { first + (place.index - foreseen) } else { place.index };
                self.repeated(Receipt { id, index }, ticket, &leaf)
            }
        };
        items.into_iter().map(verdict).collect()
    }

    /// The first delivery's receipt, once that is durable, if the content is the same.
    fn repeated(&self, first: Receipt, ticket: Option<Ticket>, leaf: &[u8]) -> Result<Verdict, AuditError> {
        if let Some(ticket) = ticket {
            ticket.wait()?;
        }
        let stored = self.log.read(first.index)?;
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
        .context("size", checkpoint.size().to_string())
        .context("sha256_root", hex::encode(checkpoint.checkpoint.root))
        .context("created", recovery.created.to_string())
        .context("replayed", recovery.replayed.to_string());
    match checkpoint.sm3_root() {
        Some(root) => fact.context("sm3_root", hex::encode(root)),
        None => fact,
    }
}
