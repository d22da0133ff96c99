//! Whether the ledger is what its key vouched for, and holds nothing but events. From the files alone.

use std::path::Path;

use event::{InvalidComplianceEvent, read_stored};
use ledger::{Report, VerifyOptions};

use crate::{AuditError, LogKeys};

/// More entries that are no events than this are counted, not kept.
const MAX_KEPT: usize = 100;

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Files, trees and checkpoint.
    pub log: Report,
    /// Entries that are not events in the canonical form, by index; looked for only when the log itself holds.
    pub not_events: Vec<(u64, InvalidComplianceEvent)>,
    /// Their number.
    pub not_events_count: u64,
    /// What is wrong with the vault, if anything is.
    pub vault: Option<String>,
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.log.holds() && self.not_events_count == 0 && self.vault.is_none()
    }
}

/// How often the progress of the events is told, in events.
const EACH: u64 = 4096;

/// Verifies a home: every file under `log/` against the signed checkpoint, an earlier checkpoint when one is given,
/// then every entry against the schema and the canonical form. `progress` gets what is done and how much there is.
///
/// # Errors
/// When the home cannot be read or the earlier checkpoint is not one of this log. Damage is no error.
pub fn verify(
    home: &Path,
    earlier: Option<String>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, AuditError> {
    verify_with(home, VerifyOptions { earlier, ..VerifyOptions::default() }, progress)
}

/// As [`verify`], but only what came after `since`, a checkpoint up to which the ledger was verified before: the time it
/// takes is that of what is new. That the ledger extends it is checked.
///
/// # Errors
/// As there.
pub fn verify_since(
    home: &Path,
    since: String,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, AuditError> {
    verify_with(home, VerifyOptions { since: Some(since), ..VerifyOptions::default() }, progress)
}

fn verify_with(
    home: &Path,
    options: VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, AuditError> {
    let verifier = LogKeys::of(home).verifier()?;
    let mut twice = |done: u64, all: u64| progress(done, all.saturating_mul(2));
    let log = ledger::verify(home, &verifier, &options, &mut twice)?;
    let mut found = Verification { log, not_events: Vec::new(), not_events_count: 0, vault: None };
    found.vault = crate::vault::damage(home)?;
    let size = found.log.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size());
    if found.log.holds() && size > 0 {
        check_events(home, found.log.verified_from..size, &mut found, progress)?;
    }
    Ok(found)
}

fn check_events(
    home: &Path,
    range: std::ops::Range<u64>,
    found: &mut Verification,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), AuditError> {
    let size = range.end;
    let reader = ledger::Reader::open(home, &LogKeys::of(home).verifier()?)?;
    reader.for_each(range, &mut |index, entry| {
        if index.is_multiple_of(EACH) {
            progress(size + index, size * 2);
        }
        if let Err(why) = read_stored(entry) {
            found.not_events_count += 1;
            if found.not_events.len() < MAX_KEPT {
                found.not_events.push((index, why));
            }
        }
        true
    })?;
    Ok(())
}
