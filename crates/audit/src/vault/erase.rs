//! Erasure: what is destroyed now, what waits and for what, and how a destruction gets into the ledger.
//!
//! Order: the vault notes the destruction and is rewritten without the keys, under a new epoch of the key-encryption
//! key; then the leaf `ERASURE.DESTROYED` is recorded; then the vault notes its index. A crash before the leaf is made
//! good when the vault is opened next. A leaf whose keys are in the vault again (a restored copy) destroys them again.

use std::collections::{BTreeMap, BTreeSet};

use event::{Event, Fact, Severity};
use sha2::{Digest as _, Sha256};

use super::VaultError;
use super::calls::{Certified, Erasure};
use super::record::{Destroyed, Id, Queued, Record, Subject};
use super::sealed::{SEALED, SealedField};
use super::store::Vault;
use crate::owner::Owner;
use crate::peer::Peer;
use crate::retention::{RETENTION, Retention};
use crate::{AuditError, clock};

/// How the leaf of a destruction begins.
const DESTROYED_LEAF: &[u8] = b"{\"act\":\"ERASURE.DESTROYED\",";
/// Until which day a key is protected, and by what.
type Floors = BTreeMap<Id, (String, String)>;

/// Keys that one leaf names: with 33 bytes each it stays far below the size of an event.
const MAX_KEYS: usize = 300;

/// What an erasure of a subject would do now.
struct Plan {
    /// The key of the subject's tokens, destroyed with the last of its data keys.
    token: Id,
    now: Vec<Id>,
    /// Key, and the day from which it may be destroyed; the reason stands once.
    later: Vec<Id>,
    due: Option<String>,
    waits_for: String,
}

/// The commitment of a leaf to the subject that was erased.
#[must_use]
pub fn subject_commitment(salt: &[u8], subject: &Subject) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"custody-subject-v1");
    hash.update(salt);
    hash.update(subject.kind.as_bytes());
    hash.update([0]); // no kind holds one
    hash.update(subject.id.as_bytes());
    hash.finalize().into()
}

impl Owner {
    /// Erases a subject as far as nothing forbids it, and queues the rest.
    pub(super) fn erase(
        &self,
        subject: &Subject,
        reason: &str,
        dry_run: bool,
        peer: &Peer,
    ) -> Result<Vec<Erasure>, AuditError> {
        let id = self.vault(|vault| Ok(hex::encode(vault.random.array::<16>()?)))?;
        let plan = self.plan(subject)?;
        let queued = (!plan.waits_for.is_empty()).then(|| Queued {
            id: id.clone(),
            subject: subject.clone(),
            reason: reason.to_owned(),
            requested: clock::now().to_string(),
            waits_for: plan.waits_for.clone(),
            due: plan.due.clone(),
        });
        if dry_run {
            let destroyed = plan.now.len() + usize::from(queued.is_none());
            return Ok(vec![Erasure {
                id,
                subject: subject.clone(),
                destroyed,
                index: None,
                queued,
                dry_run,
            }]);
        }
        self.carry_out(id, subject, reason, plan, queued, peer)
    }

    fn carry_out(
        &self,
        id: String,
        subject: &Subject,
        reason: &str,
        plan: Plan,
        queued: Option<Queued>,
        peer: &Peer,
    ) -> Result<Vec<Erasure>, AuditError> {
        if let Some(queued) = &queued {
            self.queue_erasure(queued, plan.later.len(), peer)?;
        }
        let mut done = Vec::new();
        let keys: Vec<Id> = plan.now.into_iter().chain(queued.is_none().then_some(plan.token)).collect();
        for (round, keys) in keys.chunks(MAX_KEYS).enumerate() {
            let id = if round == 0 { id.clone() } else { format!("{id}-{round}") };
            let count = keys.len();
            let index = self.destroy(&id, subject, reason, keys, peer)?;
            let subject = subject.clone();
            done.push(Erasure {
                id,
                subject,
                destroyed: count,
                index: Some(index),
                queued: None,
                dry_run: false,
            });
        }
        if let Some(queued) = queued {
            match done.last_mut() {
                Some(erasure) => erasure.queued = Some(queued),
                None => {
                    let (id, subject) = (queued.id.clone(), subject.clone());
                    let queued = Some(queued);
                    done.push(Erasure { id, subject, destroyed: 0, index: None, queued, dry_run: false });
                }
            }
        }
        Ok(done)
    }

    /// What may be destroyed, and what waits: for the end of a hold, or for the end of a time that the law sets.
    fn plan(&self, subject: &Subject) -> Result<Plan, AuditError> {
        let (token, keys, hold) = self.vault(|vault| {
            let found = vault.state.row(&vault.state.place(subject));
            let found = found.ok_or_else(|| VaultError::NoSubject { subject: subject.to_string() })?;
            Ok((found.token_id, found.keys.clone(), vault.state.hold_on(subject).cloned()))
        })?;
        let mut plan =
            Plan { token, now: Vec::new(), later: Vec::new(), due: None, waits_for: String::new() };
        if let Some(hold) = hold {
            plan.later = keys;
            plan.waits_for = format!("hold {}: {}", hold.id, hold.reason);
            return Ok(plan);
        }
        let (today, floors) = self.floors(&keys, &subject.kind)?;
        for key in keys {
            match floors.get(&key).filter(|(day, _)| *day > today) {
                None => plan.now.push(key),
                Some((day, regime)) => {
                    if plan.due.as_ref().is_none_or(|due| due < day) {
                        plan.due = Some(day.clone());
                        plan.waits_for.clone_from(regime);
                    }
                    plan.later.push(key);
                }
            }
        }
        Ok(plan)
    }

    /// Today, and for each key that the law still protects: until which day, and by what. Every leaf that was sealed under
    /// it counts, from when the ledger recorded it: a caller's own date neither shortens nor lengthens a protection, and a
    /// clock that is doubted ends none.
    fn floors(&self, keys: &[Id], kind: &str) -> Result<(String, Floors), AuditError> {
        let (mut floors, now) = (Floors::new(), clock::now());
        let Some(table) = self.table()? else { return Ok((String::new(), floors)) };
        let stamps = self.clock(&table, now)?;
        let wanted: BTreeSet<&Id> = keys.iter().collect();
        let mut known: BTreeSet<(Id, String, String)> = BTreeSet::new();
        // What was pruned is under nobody's protection any more.
        let minimum = self.log.minimum();
        for (entry, index) in self.log.entries(minimum..self.log.durable_size()).zip(minimum..) {
            let entry = entry?;
            if !holds(&entry, SEALED.as_bytes()) {
                continue;
            }
            let Ok(event) = event::validate(&entry) else { continue };
            let recorded = stamps.recorded(index).unwrap_or(now);
            for key in keys_of(&event).into_iter().filter(|key| wanted.contains(key)) {
                // Days of one action differ; the floor is asked once for each.
                if !known.insert((key, event.act.to_string(), recorded.as_str()[..10].to_owned())) {
                    continue;
                }
                let Some(floor) = table.floor(&event.act, &[kind], recorded) else { continue };
                let floor = (floor.date.to_string(), floor.regime);
                let longest = floors.entry(key).or_insert_with(|| floor.clone());
                if longest.0 < floor.0 {
                    *longest = floor;
                }
            }
        }
        Ok((stamps.today(now).to_string(), floors))
    }

    fn queue_erasure(&self, queued: &Queued, keys: usize, peer: &Peer) -> Result<(), AuditError> {
        let again = self.vault(|vault| {
            let again = vault.state.queue.iter().any(|known| known == queued);
            vault.add(Record::Queued(queued.clone()));
            vault.flush()?;
            Ok(again)
        })?;
        if again {
            return Ok(());
        }
        let fact = Fact::new("ERASURE.QUEUED")
            .subject("svc", "custody")
            .object("erasure", queued.id.clone())
            .object("subject_kind", queued.subject.kind.clone())
            .context("reason", queued.reason.clone())
            .context("waits_for", queued.waits_for.clone())
            .context("keys", keys.to_string());
        let fact = match &queued.due {
            Some(due) => fact.context("due", due.clone()),
            None => fact,
        };
        self.told(fact, peer).map(|_| ())
    }

    /// Destroys keys: those of data, and with that of its tokens, the subject.
    fn destroy(
        &self,
        id: &str,
        subject: &Subject,
        reason: &str,
        keys: &[Id],
        peer: &Peer,
    ) -> Result<u64, AuditError> {
        let destroyed = self.vault(|vault| {
            let months: BTreeSet<u32> =
                keys.iter().filter_map(|key| vault.state.key(key)).map(|key| key.month).collect();
            let destroyed = Destroyed {
                id: id.to_owned(),
                subject: subject.clone(),
                salt: hex::encode(vault.random.array::<16>()?),
                keys: keys.iter().map(hex::encode).collect(),
                months: months.into_iter().collect(),
                reason: reason.to_owned(),
                epoch: vault.epoch().saturating_add(1),
                by: format!("uid {} pid {}", peer.uid, peer.pid),
                recorded: None,
            };
            vault.state.apply(Record::Destroyed(destroyed.clone()));
            vault.state.forget(keys);
            vault.close_anew()?;
            Ok(destroyed)
        });
        self.guard.door.forget_ready();
        // Between the old and the new, what is on the disk is known only to who reads it anew.
        let destroyed = destroyed.inspect_err(|_| self.guard.door.stop())?;
        self.note_destroyed(&destroyed, peer)
    }

    /// Puts a destruction into the ledger, and its index into the vault.
    fn note_destroyed(&self, destroyed: &Destroyed, peer: &Peer) -> Result<u64, AuditError> {
        let salt = hex::decode(&destroyed.salt).unwrap_or_default(); // written as hexadecimal digits above
        let months: Vec<String> = destroyed.months.iter().map(u32::to_string).collect();
        let fact = Fact::new("ERASURE.DESTROYED")
            .severity(Severity::Warn)
            .subject("svc", "custody")
            .object("erasure", destroyed.id.clone())
            .object("subject_commitment", hex::encode(subject_commitment(&salt, &destroyed.subject)))
            .context("keys", destroyed.keys.join(" "))
            .context("months", months.join(" "))
            .context("epoch", destroyed.epoch.to_string())
            .context("reason", destroyed.reason.clone());
        let index = self.told(fact, peer)?;
        let mut noted = destroyed.clone();
        noted.recorded = Some(index);
        self.vault(|vault| {
            vault.add(Record::Destroyed(noted));
            vault.add(Record::Mark(index + 1));
            vault.flush()
        })?;
        Ok(index)
    }

    /// What must be made good when a vault is opened: destructions that a crash kept from the ledger, and leaves of
    /// destructions whose keys are there again.
    pub(super) fn make_good(&self, vault: &mut Vault) -> Result<Vec<Destroyed>, AuditError> {
        let durable = self.log.durable_size();
        let mut again: BTreeSet<Id> = BTreeSet::new();
        // Of destructions that were pruned nothing can be replayed, nor need it be: a vault from before one of them was
        // closed under an epoch that it destroyed.
        for entry in self.log.entries(vault.state.mark.max(self.log.minimum()).min(durable)..durable) {
            let entry = entry?;
            if !entry.starts_with(DESTROYED_LEAF) {
                continue;
            }
            let Ok(event) = event::validate(&entry) else { continue };
            let keys = event.ctx.get("keys").unwrap_or_default().split(' ');
            again.extend(keys.filter_map(parse_id).filter(|id| vault.state.knows(id)));
        }
        if !again.is_empty() {
            vault.state.forget(&again.into_iter().collect::<Vec<_>>());
            vault.state.apply(Record::Mark(durable));
            vault.close_anew()?;
        } else if vault.state.mark < durable {
            vault.add(Record::Mark(durable));
            vault.flush()?;
        }
        Ok(vault.state.destroyed.iter().filter(|known| known.recorded.is_none()).cloned().collect())
    }

    /// Records the destructions that a crash kept from the ledger.
    pub(super) fn note_unrecorded(&self, unrecorded: &[Destroyed]) -> Result<(), AuditError> {
        unrecorded.iter().try_for_each(|destroyed| self.note_destroyed(destroyed, &self.me).map(|_| ()))
    }

    /// Carries out what waits for nothing any more.
    pub(super) fn erase_due(&self, peer: &Peer) -> Result<Vec<Erasure>, AuditError> {
        let queue = self.vault(|vault| Ok(vault.state.queue.clone()))?;
        let mut done = Vec::new();
        for queued in queue {
            let plan = match self.plan(&queued.subject) {
                Ok(plan) => plan,
                // Erased meanwhile: nothing is left to wait for.
                Err(AuditError::Vault(VaultError::NoSubject { .. })) => {
                    self.unqueue(&queued.id)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if plan.now.is_empty() && !plan.waits_for.is_empty() {
                continue;
            }
            let still = (!plan.waits_for.is_empty()).then(|| Queued {
                waits_for: plan.waits_for.clone(),
                due: plan.due.clone(),
                ..queued.clone()
            });
            let ended = still.is_none();
            let id = self.vault(|vault| Ok(hex::encode(vault.random.array::<16>()?)))?;
            done.extend(self.carry_out(id, &queued.subject, &queued.reason, plan, still, peer)?);
            if ended {
                self.unqueue(&queued.id)?;
            }
        }
        Ok(done)
    }

    fn unqueue(&self, id: &str) -> Result<(), AuditError> {
        self.vault(|vault| {
            vault.add(Record::Unqueued(id.to_owned()));
            vault.flush()
        })
    }

    /// The certificates that were not handed out yet, with their proofs.
    pub(super) fn certificates(&self) -> Result<Vec<Certified>, AuditError> {
        let destroyed = self.vault(|vault| Ok(vault.state.destroyed.clone()))?;
        let certified = |(destroyed, index): (Destroyed, u64)| {
            let proof = self.prove(&crate::Selector::Index(index))?;
            Ok(Certified {
                version: 1,
                erasure: destroyed.id,
                subject: destroyed.subject,
                salt: destroyed.salt,
                keys: destroyed.keys,
                origin: self.status().origin,
                index,
                event: proof.event,
                proof: proof.proof,
            })
        };
        let recorded = destroyed.into_iter().filter_map(|known| known.recorded.map(|index| (known, index)));
        recorded.map(certified).collect()
    }

    /// What the operator's table of retention says, where there is one: the known regimes alone do not put off what a
    /// person may ask for.
    fn table(&self) -> Result<Option<Retention>, AuditError> {
        let written = self.home.join(RETENTION).exists();
        written.then(|| Retention::of(&self.home)).transpose()
    }
}

fn holds(entry: &[u8], needle: &[u8]) -> bool {
    entry.windows(needle.len()).any(|window| window == needle)
}

fn keys_of(event: &Event<'_>) -> Vec<Id> {
    let values = [&event.sub, &event.obj, &event.ctx].into_iter().flat_map(|fields| fields.iter());
    values.filter_map(|(_, value)| SealedField::parse(value)).map(|field| field.key_id).collect()
}

fn parse_id(text: &str) -> Option<Id> {
    hex::decode(text).ok()?.try_into().ok()
}
