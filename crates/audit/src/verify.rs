//! Whether the ledger is what its key vouched for, and holds nothing but events. From the files alone.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event::{InvalidComplianceEvent, read_stored_with};
use ledger::{Reader, Report, VerifyOptions};

use signing::note::Sm2NoteVerifier;

use crate::{AuditError, LedgerSettings, LogKeys};

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
    /// The keys that must sign each checkpoint beside the log's own, and why one of them has not.
    pub signers: Vec<(String, Option<String>)>,
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.log.holds()
            && self.not_events_count == 0
            && self.vault.is_none()
            && self.signers.iter().all(|(_, fault)| fault.is_none())
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
    let mut found =
        Verification { log, not_events: Vec::new(), not_events_count: 0, vault: None, signers: Vec::new() };
    found.vault = crate::vault::damage(home)?;
    if let Some(checkpoint) = &found.log.checkpoint {
        let signers = LedgerSettings::of(home)?.verifiers(home, verifier.name())?;
        let judged = |(name, key): (String, Sm2NoteVerifier)| {
            (name, key.verify(&checkpoint.note).err().map(|why| why.to_string()))
        };
        found.signers = signers.into_iter().map(judged).collect();
    }
    let size = found.log.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size());
    if found.log.holds() && size > 0 {
        check_events(home, found.log.verified_from..size, &mut found, progress)?;
    }
    Ok(found)
}

/// Entries that one thread checks at a time.
const SHARE: u64 = 1 << 15;
/// More threads than this gain nothing: reading becomes the limit.
const MOST_THREADS: usize = 8;

/// Every entry against the schema and the canonical form, on as many threads as the machine has.
fn check_events(
    home: &Path,
    range: Range<u64>,
    found: &mut Verification,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), AuditError> {
    let reader = Reader::open(home, &LogKeys::of(home).verifier()?)?;
    let (next, done) = (AtomicU64::new(range.start), AtomicU64::new(range.start));
    let shares = (range.end - range.start).div_ceil(SHARE);
    let most = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS) as u64;
    let parts: Result<Vec<Part>, AuditError> = std::thread::scope(|scope| {
        let check = || -> Result<Part, AuditError> {
            let mut part = Part::default();
            loop {
                let first = next.fetch_add(SHARE, Ordering::Relaxed);
                if first >= range.end {
                    return Ok(part);
                }
                part.check(&reader, first..range.end.min(first.saturating_add(SHARE)), &done)?;
            }
        };
        let threads: Vec<_> = (0..shares.min(most)).map(|_| scope.spawn(check)).collect();
        while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            progress(range.end + done.load(Ordering::Relaxed), range.end * 2);
            std::thread::sleep(Duration::from_millis(2));
        }
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let mut parts = parts?;
    found.not_events_count = parts.iter().map(|part| part.count).sum();
    found.not_events = parts.iter_mut().flat_map(|part| part.kept.drain(..)).collect();
    found.not_events.sort_by_key(|(index, _)| *index);
    found.not_events.truncate(MAX_KEPT);
    Ok(())
}

/// What one thread found.
#[derive(Default)]
struct Part {
    kept: Vec<(u64, InvalidComplianceEvent)>,
    count: u64,
    scratch: Vec<u8>,
}

impl Part {
    fn check(&mut self, reader: &Reader, share: Range<u64>, done: &AtomicU64) -> Result<(), AuditError> {
        reader.for_each(share, &mut |index, entry| {
            if let Err(why) = read_stored_with(entry, &mut self.scratch) {
                self.count += 1;
                // Each thread takes its shares in order, so that the first ones of all are among these.
                if self.kept.len() < MAX_KEPT {
                    self.kept.push((index, why));
                }
            }
            if index.is_multiple_of(EACH) {
                done.fetch_add(EACH, Ordering::Relaxed);
            }
            true
        })?;
        Ok(())
    }
}
