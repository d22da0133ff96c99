//! The owner's answers to what is asked of its vault. Each act is an event, recorded with the credentials of who asked.

use event::{Event, Fact, Severity};

use super::VaultError;
use super::calls::{Disclosure, KeysChanged, MAX_REVEALED, Revealed, VaultAnswer, VaultCall, VaultStatus};
use super::record::{Cipher, Destroyed, Hold, Id, Record, Subject};
use super::sealed::SEALED;
use super::store::Vault;
use crate::owner::Owner;
use crate::peer::Peer;
use crate::redact::SEALED_NAME;
use crate::{AuditError, Selector, clock};

/// Longest reason, in bytes.
const MAX_REASON: usize = 1000;
/// Longest identifier of a subject, in bytes.
const MAX_SUBJECT: usize = 1024;

impl Owner {
    /// Answers a call.
    pub(crate) fn vault_call(&self, call: VaultCall, peer: &Peer) -> Result<VaultAnswer, AuditError> {
        check(&call)?;
        match call {
            VaultCall::Status {} => self.vault_status().map(VaultAnswer::Status),
            VaultCall::Create { replace_lost } => self.create_vault(replace_lost, peer),
            VaultCall::RotateKek {} => self.rotate_kek(peer),
            VaultCall::Generate { subject } => self.change_keys("VAULT.KEYS.GENERATED", &subject, peer),
            VaultCall::Rotate { subject } => self.change_keys("VAULT.KEYS.ROTATED", &subject, peer),
            VaultCall::Retire { subject } => self.change_keys("VAULT.KEYS.RETIRED", &subject, peer),
            VaultCall::Erase { subject, reason, dry_run } => {
                self.erase(&subject, &reason, dry_run, peer).map(VaultAnswer::Erasures)
            }
            VaultCall::EraseDue {} => self.erase_due(peer).map(VaultAnswer::Erasures),
            VaultCall::Certificates {} => self.certificates().map(VaultAnswer::Certificates),
            VaultCall::Issued { id } => self.issued(id),
            VaultCall::Hold { subject, reason } => self.hold(subject, reason, peer),
            VaultCall::Release { id, reason } => self.release(&id, &reason, peer),
            VaultCall::Waiting {} => self.waiting(),
            VaultCall::Reveal { reason, indices } => self.reveal(&reason, &indices, peer),
            VaultCall::Disclose { index, field, reason } => self.disclose(index, &field, &reason, peer),
        }
    }

    /// Does something with the vault, which must exist. What a crash or a restored copy left is made good first.
    pub(super) fn vault<T>(
        &self,
        act: impl FnOnce(&mut Vault) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let unrecorded = self.made_good()?;
        self.note_unrecorded(&unrecorded)?;
        self.guard.door.with(act)?.ok_or_else(|| VaultError::Absent.into())
    }

    fn made_good(&self) -> Result<Vec<Destroyed>, AuditError> {
        if !self.guard.door.begin_repair() {
            return Ok(Vec::new());
        }
        let found = self.guard.door.with(|vault| self.make_good(vault));
        if found.is_err() {
            self.guard.door.stop();
        }
        Ok(found?.unwrap_or_default())
    }

    /// Before the first value is sealed by this owner: what a restored copy brought back is destroyed again.
    pub(crate) fn prepare_vault(&self) -> Result<(), AuditError> {
        let unrecorded = self.made_good()?;
        self.note_unrecorded(&unrecorded)
    }

    /// Records one fact of the owner's own, and gives its index.
    pub(crate) fn told(&self, fact: Fact, peer: &Peer) -> Result<u64, AuditError> {
        let fact = if peer.uid.is_empty() { fact } else { fact.subject("uid", peer.uid.clone()) };
        let verdicts = self.record_for(vec![fact], peer)?;
        let first = verdicts.into_iter().next().ok_or_else(|| AuditError::protocol("no verdict"))?;
        Ok(first?.index)
    }

    fn vault_status(&self) -> Result<VaultStatus, AuditError> {
        let policy = self.guard.policy().map(|policy| policy.stamp().to_owned());
        let open = self.guard.door.with(|vault| {
            let count = vault.state.count();
            Ok(VaultStatus {
                exists: true,
                kek: vault.kek.place(),
                token: vault.kek.in_token(),
                epoch: vault.epoch(),
                subjects: count.subjects,
                keys: count.keys,
                retired: count.retired,
                holds: vault.state.holds.len(),
                queued: vault.state.queue.len(),
                policy: policy.clone(),
            })
        })?;
        let kek = self.guard.door.kek()?;
        Ok(open.unwrap_or_else(|| VaultStatus {
            exists: false,
            kek: kek.place(),
            token: kek.in_token(),
            epoch: 0,
            subjects: 0,
            keys: 0,
            retired: 0,
            holds: 0,
            queued: 0,
            policy,
        }))
    }

    fn create_vault(&self, replace_lost: bool, peer: &Peer) -> Result<VaultAnswer, AuditError> {
        let made = self.guard.door.make(replace_lost)?;
        if !made {
            return Err(VaultError::Exists.into());
        }
        let (kek, epoch) = self.vault(|vault| Ok((vault.kek.place(), vault.epoch())))?;
        let fact = Fact::new("VAULT.CREATED").subject("svc", "custody");
        let fact = fact.context("kek", kek).context("replaces_lost", replace_lost.to_string());
        let index = self.told(fact.context("epoch", epoch.to_string()), peer)?;
        let act = "VAULT.CREATED".to_owned();
        Ok(VaultAnswer::Changed(KeysChanged { act, made: 0, retired: 0, epoch, index }))
    }

    fn rotate_kek(&self, peer: &Peer) -> Result<VaultAnswer, AuditError> {
        let rotated = self.vault(Vault::close_anew);
        let epoch = rotated.inspect_err(|_| self.guard.door.stop())?;
        let fact = Fact::new("VAULT.KEK.ROTATED").subject("svc", "custody");
        let index = self.told(fact.context("epoch", epoch.to_string()), peer)?;
        let act = "VAULT.KEK.ROTATED".to_owned();
        Ok(VaultAnswer::Changed(KeysChanged { act, made: 0, retired: 0, epoch, index }))
    }

    fn change_keys(&self, act: &str, subject: &Subject, peer: &Peer) -> Result<VaultAnswer, AuditError> {
        let month = clock::month();
        let (retire, make) = (act != "VAULT.KEYS.GENERATED", act != "VAULT.KEYS.RETIRED");
        let (made, retired, epoch) = self.vault(|vault| {
            let row = vault.state.place(subject);
            if retire && vault.state.row(&row).is_none() {
                return Err(VaultError::NoSubject { subject: subject.to_string() }.into());
            }
            let old: Vec<Id> = match retire {
                true => vault.state.active(&row).map(|key| key.id).collect(),
                false => Vec::new(),
            };
            old.iter().for_each(|id| vault.add(Record::Retired(*id)));
            let before = vault.state.count().keys;
            if make {
                vault.sealing_key(subject, month, Cipher::Sm4Gcm)?;
                vault.sealing_key(subject, month, Cipher::Sm4Ctr)?;
            }
            vault.flush()?;
            Ok((vault.state.count().keys - before, old.len(), vault.epoch()))
        })?;
        self.guard.door.forget_ready();
        let fact = Fact::new(act.to_owned())
            .subject("svc", "custody")
            .object("subject_kind", subject.kind.clone())
            .context("made", made.to_string())
            .context("retired", retired.to_string())
            .context("month", month.to_string());
        let index = self.told(fact, peer)?;
        Ok(VaultAnswer::Changed(KeysChanged { act: act.to_owned(), made, retired, epoch, index }))
    }

    fn issued(&self, id: String) -> Result<VaultAnswer, AuditError> {
        self.vault(|vault| {
            if !vault.state.destroyed.iter().any(|known| known.id == id) {
                return Err(VaultError::NoSuch { what: "certificate of erasure", id }.into());
            }
            vault.state.apply(Record::Issued(id));
            vault.close_anew().map(|_| VaultAnswer::Done {})
        })
    }

    fn hold(&self, subject: Subject, reason: String, peer: &Peer) -> Result<VaultAnswer, AuditError> {
        let hold = self.vault(|vault| {
            let id = hex::encode(vault.random.array::<16>()?);
            let since = clock::now().to_string();
            let hold = Hold { id, subject, reason, since };
            vault.add(Record::Hold(hold.clone()));
            vault.flush()?;
            Ok(hold)
        })?;
        self.told(hold_fact("HOLD.ADDED", &hold, &hold.reason), peer)?;
        Ok(VaultAnswer::Hold(hold))
    }

    fn release(&self, id: &str, reason: &str, peer: &Peer) -> Result<VaultAnswer, AuditError> {
        let hold = self.vault(|vault| {
            let found = vault.state.holds.iter().find(|hold| hold.id == id).cloned();
            let hold = found.ok_or_else(|| VaultError::NoSuch { what: "hold", id: id.to_owned() })?;
            vault.add(Record::Released(id.to_owned()));
            vault.flush()?;
            Ok(hold)
        })?;
        self.told(hold_fact("HOLD.RELEASED", &hold, reason), peer)?;
        Ok(VaultAnswer::Hold(hold))
    }

    fn waiting(&self) -> Result<VaultAnswer, AuditError> {
        self.vault(|vault| {
            let (holds, queue) = (vault.state.holds.clone(), vault.state.queue.clone());
            Ok(VaultAnswer::Waiting { holds, queue })
        })
    }

    /// Opens what can be opened. The event that says so is durable before anything is shown.
    fn reveal(&self, reason: &str, indices: &[u64], peer: &Peer) -> Result<VaultAnswer, AuditError> {
        let mut shown = Vec::with_capacity(indices.len());
        for &index in indices {
            let stored = self.log.read(index)?;
            let event = event::validate(&stored).map_err(|source| AuditError::Entry { index, source })?;
            let mut opened = self.vault(|vault| Ok(open_all(vault, index, event)))?;
            opened.index = index;
            shown.push(opened);
        }
        let fields: usize = shown.iter().map(|revealed| revealed.opened.len()).sum();
        let list: Vec<String> = indices.iter().map(u64::to_string).collect();
        let fact = Fact::new("AUDIT.REVEALED")
            .severity(Severity::Warn)
            .subject("svc", "custody")
            .object("indices", list.join(" "))
            .context("reason", reason.to_owned())
            .context("fields", fields.to_string());
        self.told(fact, peer)?;
        Ok(VaultAnswer::Revealed(shown))
    }

    fn disclose(
        &self,
        index: u64,
        field: &str,
        reason: &str,
        peer: &Peer,
    ) -> Result<VaultAnswer, AuditError> {
        let proved = self.prove(&Selector::Index(index))?;
        let bad = |why| VaultError::Field { path: field.to_owned(), index, why };
        let event =
            event::validate(proved.event.as_bytes()).map_err(|source| AuditError::Entry { index, source })?;
        let (section, name, value) =
            super::disclosure::find(&event, field).ok_or_else(|| bad("is not sealed"))?;
        let opened = self.vault(|vault| Ok(vault.opened(&event, section, name, value)))?;
        let opened = opened.ok_or_else(|| bad("cannot be opened: its key is gone"))?;
        let fact = Fact::new("AUDIT.DISCLOSED")
            .severity(Severity::Warn)
            .subject("svc", "custody")
            .object("index", index.to_string())
            .object("field", field.to_owned())
            .context("reason", reason.to_owned());
        self.told(fact, peer)?;
        Ok(VaultAnswer::Disclosed(Disclosure {
            version: 1,
            field: field.to_owned(),
            value: opened.value.to_string(),
            salt: hex::encode(opened.salt),
            index,
            event: proved.event,
            proof: proved.proof,
        }))
    }
}

/// The event with every sealed value opened that the vault can open.
fn open_all(vault: &Vault, index: u64, mut event: Event<'_>) -> Revealed {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for section in ["sub", "obj", "ctx"] {
        let fields = super::disclosure::section(&event, section);
        let sealed: Vec<(String, String)> = fields
            .iter()
            .filter(|(_, value)| value.starts_with(SEALED))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in sealed {
            let own = name.strip_suffix(SEALED_NAME).unwrap_or(&name).to_owned();
            let path = format!("{section}.{own}");
            let Some(found) = vault.opened(&event, section, &name, &value) else {
                closed.push(path);
                continue;
            };
            opened.push(path);
            let fields = match section {
                "sub" => &mut event.sub,
                "obj" => &mut event.obj,
                _ => &mut event.ctx,
            };
            fields.retain(|key| key != name);
            fields.set(own, found.value.to_string());
        }
    }
    let event = String::from_utf8_lossy(&event.canonical()).into_owned();
    Revealed { index, event, opened, closed }
}

fn hold_fact(act: &'static str, hold: &Hold, reason: &str) -> Fact {
    Fact::new(act)
        .subject("svc", "custody")
        .object("hold", hold.id.clone())
        .object("subject_kind", hold.subject.kind.clone())
        .context("reason", reason.to_owned())
}

/// Limits of what comes over the socket.
fn check(call: &VaultCall) -> Result<(), AuditError> {
    let bad = |what, value: &str, why| {
        Err(AuditError::Request { what, value: value.chars().take(80).collect(), why })
    };
    let (subject, reason) = match call {
        VaultCall::Erase { subject, reason, .. } | VaultCall::Hold { subject, reason } => {
            (Some(subject), Some(reason))
        }
        VaultCall::Generate { subject } | VaultCall::Rotate { subject } | VaultCall::Retire { subject } => {
            (Some(subject), None)
        }
        VaultCall::Release { reason, .. } | VaultCall::Reveal { reason, .. } => (None, Some(reason)),
        VaultCall::Disclose { reason, .. } => (None, Some(reason)),
        _ => (None, None),
    };
    if let Some(subject) = subject {
        let first = subject.kind.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let plain = subject.kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if !first || !plain || subject.kind.len() > 64 {
            return bad("subject", &subject.kind, "is not a kind of subject");
        }
        if subject.id.is_empty() || subject.id.len() > MAX_SUBJECT {
            return bad("subject", &subject.id, "must have 1 to 1024 bytes");
        }
    }
    if let Some(reason) = reason.filter(|text| text.trim().is_empty() || text.len() > MAX_REASON) {
        return bad("reason", reason, "must have 1 to 1000 bytes");
    }
    match call {
        VaultCall::Reveal { indices, .. } if indices.len() > MAX_REVEALED => {
            bad("reveal", "", "may name 256 events at a time")
        }
        _ => Ok(()),
    }
}
