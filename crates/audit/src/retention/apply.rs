//! The table carried out: segments ended, compressed, made immutable, archived; what may go removed; rolled files
//! brought up to date.
//!
//! Order: everything that only changes the form of what is kept comes first; an archive confirms before the plan is
//! made; `LEDGER.PRUNED` is durable before the first file goes. A pass that is interrupted leaves nothing that the next
//! one does not find: what was said to go and is still there goes then.

use std::path::Path;

use event::{Fact, Severity};
use ledger::{Form, Protection, SegmentFacts};
use serde::{Deserialize, Serialize};

use super::archive::{Archive, Closed, sha256};
use super::owner::ARCHIVED;
use super::{Blocked, Compression, Every, Plan, Retention, roll};
use crate::AuditError;
use crate::owner::Owner;
use crate::peer::Peer;

/// What a pass did, or with `dry_run` would do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Nothing was done.
    pub dry_run: bool,
    /// The index at which the segment that was written ended.
    pub ended_at: Option<u64>,
    /// Segments that were compressed.
    pub compressed: u64,
    /// Segments that were made immutable.
    pub protected: u64,
    /// Why others could not be, as the operating system says it.
    pub not_protected: Option<String>,
    /// Archives, and the index before which each confirmed everything.
    pub archived: Vec<(String, u64)>,
    /// Archives that failed, and why.
    pub archives_failed: Vec<(String, String)>,
    /// Plain files that were closed, and those that were let go.
    pub rolled: u64,
    /// As above.
    pub let_go: u64,
    /// What was removed.
    pub pruned: Option<Pruned>,
    /// Why no more may go; nothing when everything may.
    pub blocked: Option<Blocked>,
    /// Where the clock is doubted: time stands still there.
    pub doubt: Option<String>,
}

/// What was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// The first event that went.
    pub from: u64,
    /// The first that stayed.
    pub before: u64,
    /// Segments.
    pub segments: u64,
    /// Their bytes on disk.
    pub bytes: u64,
}

/// What a pass is to do beside keeping the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// Only say what would be removed.
    pub dry_run: bool,
    /// Remove what may go.
    pub prune: bool,
}

impl Owner {
    /// Carries out the table, in the name of `peer`.
    pub(crate) fn apply_retention(
        &self,
        orders: Orders,
        archives: &[&dyn Archive],
        peer: &Peer,
    ) -> Result<Applied, AuditError> {
        let _one_at_a_time = self.keeping.lock();
        let table = Retention::of(&self.home)?;
        let mut applied = Applied { dry_run: orders.dry_run, ..Applied::default() };
        if !orders.dry_run {
            self.keep_segments(&table, &mut applied, peer)?;
            let folders = table.folders.iter().map(|folder| folder as &dyn Archive);
            for archive in folders.chain(archives.iter().copied()) {
                let confirmed = self.archives(&table)?;
                if let Err(why) = self.archive(archive, &confirmed, peer) {
                    applied.archives_failed.push((archive.name().to_owned(), why.full_message()));
                }
            }
        }
        let report = self.retention(false, peer)?;
        if orders.prune {
            applied.pruned = self.prune(&report.plan, orders.dry_run, peer)?;
        }
        applied.archived = report.archives;
        applied.blocked = report.plan.blocked;
        applied.doubt = report.doubt;
        Ok(applied)
    }

    /// What changes the form of the files, and nothing of what they hold.
    fn keep_segments(&self, table: &Retention, applied: &mut Applied, peer: &Peer) -> Result<(), AuditError> {
        let wanted = &table.segments;
        if let Some(open) = self.log.segments()?.last().filter(|segment| is_over(segment, wanted.every)) {
            applied.ended_at = Some(open.end);
            self.log.roll()?;
        }
        let form = match wanted.compression {
            Compression::Gzip => Some(Form::Gzip),
            Compression::Zstd => Some(Form::Zstd),
            Compression::None => None,
        };
        for segment in self.log.segments()?.into_iter().filter(|segment| segment.closed.is_some()) {
            if let Some(form) = form.filter(|_| segment.form == Form::Plain) {
                self.log.compress(segment.first, form)?;
                applied.compressed += 1;
            }
            if wanted.protect {
                match self.log.protect(segment.first)? {
                    Protection::Immutable { newly } => applied.protected += u64::from(newly),
                    Protection::Refused { why } => applied.not_protected = Some(why),
                }
            }
        }
        if let Some(folder) = &table.rolling.folder {
            let origin = self.status().origin;
            let rolled = self.with_durable(|source| roll(source, &origin, folder, &table.rolling))?;
            applied.rolled = rolled.closed.len() as u64;
            applied.let_go = rolled.removed.len() as u64;
        }
        match rolled_fact(applied) {
            Some(fact) => self.told(fact, peer).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Offers an archive what it has not confirmed yet, the oldest first.
    fn archive(&self, archive: &dyn Archive, known: &[(String, u64)], peer: &Peer) -> Result<(), AuditError> {
        let confirmed =
            known.iter().find(|(name, _)| name == archive.name()).map_or(0, |(_, before)| *before);
        let segments = self.log.segments()?;
        for segment in segments.iter().filter(|segment| segment.closed.is_some() && segment.end > confirmed) {
            let file = self.home.join(&segment.path);
            let read = sha256(&file).map_err(|e| AuditError::io("read", &file, e))?;
            let name =
                Path::new(&segment.path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let checkpoint = self.log.latest_checkpoint();
            let closed = Closed {
                origin: &checkpoint.checkpoint.origin,
                first: segment.first,
                end: segment.end,
                name,
                file: &file,
                sha256: read,
                checkpoint: &checkpoint.note,
            };
            let place = archive.keep(&closed).map_err(|e| AuditError::io("archive", &file, e))?;
            let fact = own(ARCHIVED)
                .object("archive", archive.name().to_owned())
                .object("from", segment.first.to_string())
                .object("before", segment.end.to_string())
                .context("place", place.chars().take(512).collect::<String>())
                .context("bytes", segment.bytes.to_string())
                .context("sha256", hex::encode(read));
            self.told(fact, peer)?;
        }
        Ok(())
    }

    /// Removes whole segments before the plan's first event that must stay.
    fn prune(&self, plan: &Plan, dry_run: bool, peer: &Peer) -> Result<Option<Pruned>, AuditError> {
        let segments = self.log.segments()?;
        let old: Vec<&SegmentFacts> = segments
            .iter()
            .take_while(|segment| segment.closed.is_some() && segment.end <= plan.keep_from)
            .collect();
        let (Some(first), Some(last)) = (old.first(), old.last()) else { return Ok(None) };
        let bytes = old.iter().map(|segment| segment.bytes).sum();
        let pruned = Pruned { from: first.first, before: last.end, segments: old.len() as u64, bytes };
        if dry_run {
            return Ok(Some(pruned));
        }
        // What went is bound by the head that the event names: its proofs can be checked against that for ever.
        let head = self.log.publish()?;
        let fact = own("LEDGER.PRUNED")
            .severity(Severity::Warn)
            .object("from", pruned.from.to_string())
            .object("before", pruned.before.to_string())
            .context("segments", pruned.segments.to_string())
            .context("bytes", pruned.bytes.to_string())
            .context("size", head.size().to_string())
            .context("sha256_root", hex::encode(head.checkpoint.root));
        let fact = match head.sm3_root() {
            Some(root) => fact.context("sm3_root", hex::encode(root)),
            None => fact,
        };
        self.told(fact, peer)?;
        self.log.prune(pruned.before)?;
        Ok(Some(pruned))
    }
}

fn own(act: &'static str) -> Fact {
    Fact::new(act).subject("svc", "custody")
}

/// What is recorded of a pass over the files; nothing when nothing changed.
fn rolled_fact(applied: &Applied) -> Option<Fact> {
    let counts = [
        ("compressed", applied.compressed),
        ("protected", applied.protected),
        ("files_closed", applied.rolled),
        ("files_let_go", applied.let_go),
    ];
    let changed = applied.ended_at.is_some() || counts.iter().any(|(_, count)| *count > 0);
    let mut fact = own("LEDGER.ROLLED");
    for (name, count) in counts {
        fact = fact.context(name, count.to_string());
    }
    if let Some(index) = applied.ended_at {
        fact = fact.object("ended_at", index.to_string());
    }
    changed.then_some(fact)
}

/// Whether the time of a segment that is written is over. One without entries goes on.
fn is_over(segment: &SegmentFacts, every: Every) -> bool {
    let seconds = match every {
        Every::Hour => 3600,
        Every::Day => 86_400,
        Every::Never => return false,
    };
    // Another hour or day, before or after: a clock that was set back must not keep a segment open for years.
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    segment.closed.is_none() && segment.end > segment.first && segment.begun / seconds != now / seconds
}
