//! What stands between admission and the ledger: the policy of the home, and its vault.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use event::{Event, InvalidComplianceEvent, Rule};

use super::apply::{self, Unprotected, fault};
use super::pass::Pass;
use super::pattern::Section;
use super::policy::{MAX_FILE, POLICY, Policy};
use super::tokens::{Tokening, tokens_of};
use super::{SEALED_NAME, STAMP, TOKEN_NAME};
use crate::vault::{Door, Fresh, Live, Need, SEALED, Sealer, Subject, TOKEN};
use crate::{AuditError, clock};

/// The event of a look into the ledger.
const READ: &str = "AUDIT.READ";
/// In the place of what was looked for.
const OMITTED: &str = "omitted";

/// Where the texts of the policies that were ever in force are kept.
pub(super) const KEPT: &str = "redaction";

/// The policy and the vault of a home.
pub(crate) struct Guard {
    pass: Option<Pass>,
    pub(crate) door: Door,
    /// Why the last event could not be protected, when it was the machine's doing.
    failed: Mutex<Option<AuditError>>,
}

/// Reads the policy of a home; nothing when it has none.
pub(crate) fn load(home: &Path) -> Result<Option<(Policy, String)>, AuditError> {
    let path = home.join(POLICY);
    let bad = |why: String| AuditError::Policy { path: path.clone(), why };
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(AuditError::io("read", &path, e)),
        Ok(data) if data.len() > MAX_FILE as u64 => return Err(bad("it is larger than 256 KiB".into())),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(|e| AuditError::io("read", &path, e))?;
    let policy = Policy::parse(&text).map_err(bad)?;
    Ok(Some((policy, text)))
}

impl Guard {
    /// The guard of a home. A policy that was never in force before is kept first.
    pub(crate) fn of(home: &Path, origin: String) -> Result<Self, AuditError> {
        let pass = match load(home)? {
            None => None,
            Some((policy, text)) => {
                keep(home, &policy, &text)?;
                Some(Pass::new(policy))
            }
        };
        Ok(Self { pass, door: Door::new(home, origin), failed: Mutex::default() })
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        self.pass.as_ref().map(|pass| &pass.policy)
    }

    /// Replaces what is personal in an event that a caller offered. `prepare` makes the vault fit for use, once.
    pub(crate) fn protect<'a>(
        &'a self,
        event: &mut Event<'a>,
        prepare: impl FnOnce() -> Result<(), AuditError>,
    ) -> Result<(), InvalidComplianceEvent> {
        if event.ctx.get(STAMP).is_some() {
            let message = "is written by Custody: it names the policy";
            return self.refused(fault(Section::Ctx, STAMP, Rule::Reserved, message));
        }
        let Some(pass) = &self.pass else { return Ok(()) };
        if pass.needs_vault
            && let Err(error) = prepare()
        {
            return self.refused(error.into());
        }
        apply::protect(pass, self, event).or_else(|why| self.refused(why))?;
        if event.act == READ {
            self.cover(pass, event);
        }
        Ok(())
    }

    /// What somebody looked for is as personal as what was found. Where the policy would not leave it in plain in an event,
    /// it does not stand in plain in the record of the look: a token, if it is that of a known subject, by which the record can
    /// be found again; otherwise nothing of it. A text that was looked for may be a part of anything.
    fn cover(&self, pass: &Pass, event: &mut Event<'_>) {
        let tokenings: BTreeSet<Tokening> = pass.policy.rules.iter().filter_map(Tokening::of).collect();
        let covered = |(name, value): (&str, &str)| {
            if value.starts_with(SEALED) || value.starts_with(TOKEN) {
                return None;
            }
            // Who asks who was looked for leaves `filter.obj.filter.sub.customer`.
            let (mut section, mut own) = (Section::Obj, name);
            while let Some(asked) = own.strip_prefix("filter.") {
                if asked == "text" {
                    return Some((name.to_owned(), OMITTED.to_owned()));
                }
                (section, own) = Section::split(asked)?;
            }
            if own == name || !pass.touches(section, own, value) {
                return None;
            }
            // As the field itself would hold it; else as the value stands wherever it names its subject.
            let as_field: BTreeSet<Tokening> = pass.tokening(section, own).into_iter().collect();
            let of =
                |tokenings| self.door.with(|vault| Ok(tokens_of(vault, tokenings, value))).ok().flatten();
            let token = [&as_field, &tokenings].into_iter().filter_map(of).flatten().next();
            Some((name.to_owned(), token.unwrap_or_else(|| OMITTED.to_owned())))
        };
        let changes: Vec<(String, String)> = event.obj.iter().filter_map(covered).collect();
        for (name, value) in changes {
            event.obj.set(name, value);
        }
    }

    /// Names the policy in an event of Custody's own, which holds nothing personal.
    pub(crate) fn stamp<'a>(&'a self, event: &mut Event<'a>) {
        if let Some(pass) = &self.pass {
            event.ctx.set(STAMP, pass.policy.stamp());
        }
    }

    /// What cannot be sealed is not stored. Whose fault it was is told by [`Guard::settle`], before anything is queued.
    fn refused(&self, why: Unprotected) -> Result<(), InvalidComplianceEvent> {
        match why {
            Unprotected::Refused(refusal) => Err(refusal),
            Unprotected::Failed(error) => {
                let refusal = InvalidComplianceEvent::whole(Rule::Form, "cannot be sealed now");
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(refusal)
            }
        }
    }

    /// Makes new keys durable, before any leaf that needs them is queued.
    pub(crate) fn settle(&self) -> Result<(), AuditError> {
        if self.pass.is_none() {
            return Ok(());
        }
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => self.door.flush(),
        }
    }

    /// Whether two events are one, each perhaps protected on its own: sealed values are compared by what they hold,
    /// where the vault can still say so.
    pub(crate) fn same(&self, a: &mut Event<'_>, b: &mut Event<'_>) -> bool {
        let policies = (a.ctx.get(STAMP).map(str::to_owned), b.ctx.get(STAMP).map(str::to_owned));
        a.ctx.retain(|key| key != STAMP);
        b.ctx.retain(|key| key != STAMP);
        let (a, b): (&Event<'_>, &Event<'_>) = (a, b);
        if a == b {
            return true;
        }
        if (a.id, a.ts, a.severity, &a.act) != (b.id, b.ts, b.severity, &b.act) {
            return false;
        }
        // Under two policies the same value looks different, and nothing here can tell what it was.
        if policies.0 != policies.1 {
            return names(a) == names(b);
        }
        Section::ALL.into_iter().all(|section| {
            let (of_a, of_b) = (section.of(a), section.of(b));
            of_a.len() == of_b.len()
                && of_a.iter().zip(of_b.iter()).all(|((name_a, value_a), (name_b, value_b))| {
                    name_a == name_b
                        && (value_a == value_b
                            || self.same_sealed(section, name_a, (a, value_a), (b, value_b)))
                })
        })
    }

    fn same_sealed(
        &self,
        section: Section,
        name: &str,
        (a, value_a): (&Event<'_>, &str),
        (b, value_b): (&Event<'_>, &str),
    ) -> bool {
        if !value_a.starts_with(SEALED) || !value_b.starts_with(SEALED) {
            return false;
        }
        let open = |event: &Event<'_>, value: &str| {
            let opened = self.door.with(|vault| Ok(vault.opened(event, section.as_str(), name, value)));
            opened.ok().flatten().flatten().map(|opened| opened.value)
        };
        match (open(a, value_a), open(b, value_b)) {
            (Some(a), Some(b)) => a == b,
            _ => true, // erased meanwhile: nobody can say that they differ
        }
    }
}

/// The names of an event's fields as the caller gave them.
fn names(event: &Event<'_>) -> Vec<(Section, String)> {
    let own = |name: &str| {
        let name = name.strip_suffix(SEALED_NAME).or_else(|| name.strip_suffix(TOKEN_NAME)).unwrap_or(name);
        name.to_owned()
    };
    let of = |section: Section| section.of(event).iter().map(move |(name, _)| (section, own(name)));
    let mut names: Vec<_> = Section::ALL.into_iter().flat_map(of).collect();
    names.sort();
    names
}

impl Sealer for Guard {
    fn live(&self, subject: &Subject, need: Need) -> Result<Arc<Live>, AuditError> {
        self.door.live_in(subject, clock::month(), need)
    }

    fn fresh(&self) -> Result<Fresh, AuditError> {
        self.door.fresh()
    }
}

/// Keeps the text under its own hash, so that it can be shown which rules an event met.
fn keep(home: &Path, policy: &Policy, text: &str) -> Result<(), AuditError> {
    let folder = home.join(KEPT);
    let path = folder.join(format!("{}.toml", hex::encode(policy.sha256())));
    if path.exists() {
        return Ok(());
    }
    crate::home::make_private_folder(&folder)?;
    crate::keys::write_aside(&path, text.as_bytes(), 0o600)
}
