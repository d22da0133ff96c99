//! Whole segments: rolled, compressed, made immutable, pruned. What is kept for how long is the caller's policy; here
//! are the acts, each of which leaves the log verifiable at every moment.

use std::io;
use std::sync::PoisonError;

use crate::error::{IoContext as _, LedgerError};
use crate::integrate::write_aside;
use crate::log::Log;
use crate::segment::map::{Segment, Stage};
use crate::segment::packed::Packer;
use crate::segment::{DIR, Form, segment_path};
use crate::storage::Site;

/// What is known of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentFacts {
    /// Index of its first entry, by which it is named.
    pub first: u64,
    /// Index after its last entry.
    pub end: u64,
    /// How it stands on disk.
    pub form: Form,
    /// Its file, below the home: what an archive copies once it is closed.
    pub path: String,
    /// Bytes of the file that are in use.
    pub bytes: u64,
    /// When it was begun, in seconds since 1970 by this machine's clock.
    pub begun: u64,
    /// When it was closed; nothing while it is written or not yet wholly under a checkpoint.
    pub closed: Option<u64>,
}

/// Whether a closed segment could be made immutable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Nobody changes or removes it before the attribute is taken away.
    Immutable {
        /// Whether it was not so before.
        newly: bool,
    },
    /// It is as it was; why.
    Refused {
        /// The operating system's answer: no privilege (CAP_LINUX_IMMUTABLE), or a file system without the attribute.
        why: String,
    },
}

impl Log {
    /// The segments that are kept, in order.
    ///
    /// # Errors
    /// When a file cannot be looked at.
    pub fn segments(&self) -> Result<Vec<SegmentFacts>, LedgerError> {
        self.map.all().iter().map(|segment| self.facts(segment)).collect()
    }

    fn facts(&self, segment: &Segment) -> Result<SegmentFacts, LedgerError> {
        let (state, path) = (segment.snapshot(), segment.path());
        let closed = state.stage == Stage::Closed;
        let bytes =
            if closed { self.storage.length(&path).attempt("read", &path)? } else { state.records_end };
        let (first, closed) = (segment.first, closed.then_some(state.closed));
        Ok(SegmentFacts { first, end: state.end, form: state.form, path, bytes, begun: state.begun, closed })
    }

    /// Ends the segment that is written, puts it under a checkpoint and closes it; the next entry begins another. A
    /// segment without entries goes on.
    ///
    /// # Errors
    /// As [`Log::publish`].
    pub fn roll(&self) -> Result<(), LedgerError> {
        self.shared.roll()?;
        let mut integrator = self.integrator.lock().unwrap_or_else(PoisonError::into_inner);
        integrator.run(&self.shared)?;
        integrator.close_all()
    }

    /// Writes a closed segment in a compressed form, in the place of the plain one. Entries, proofs and indices stay
    /// as they are.
    ///
    /// # Errors
    /// [`LedgerError::Segment`] when it is not a closed plain segment; [`LedgerError::Full`].
    pub fn compress(&self, first: u64, form: Form) -> Result<SegmentFacts, LedgerError> {
        let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let segment = self.closed(first)?;
        let state = segment.snapshot();
        if state.form != Form::Plain || form == Form::Plain {
            return Err(LedgerError::Segment {
                first,
                why: "only plain segments are compressed, and none is made plain",
            });
        }
        let (plain, path) = (segment.path(), segment_path(first, form));
        let mut packer = Packer::new(form, first, state.begun, state.closed);
        let mut failed = Ok(());
        segment.read(&*self.storage, first, state.end, &mut |_, entry| {
            failed = packer.push(entry);
            failed.is_ok()
        })?;
        let (index, bytes) = failed.and_then(|()| packer.finish()).attempt("compress", &path)?;
        if index.end != state.end {
            return Err(LedgerError::Segment { first, why: "its entries cannot all be read" });
        }
        let aside = format!("{path}.new");
        let written = write_aside(&*self.storage, &aside, &bytes, Site::PackedContents)
            .and_then(|()| self.storage.rename(&aside, &path))
            .and_then(|()| self.storage.sync_dir(Site::PackedName, DIR));
        written.attempt("write", &path)?;
        segment.replaced(form, index);
        self.remove(&plain)?;
        self.facts(&segment)
    }

    /// Removes entries below `before`, in whole closed segments, and answers the new minimum index: the first entry
    /// that is kept (c2sp.org/tlog-tiles, "Pruning"). The minimum is signed into a checkpoint first. The hashes of both
    /// trees stay, so that every proof stays valid and can still be made.
    ///
    /// # Errors
    /// As [`Log::publish`]; when a file cannot be removed.
    pub fn prune(&self, before: u64) -> Result<u64, LedgerError> {
        let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.map.all();
        let old: Vec<_> =
            all.iter().take_while(|s| s.stage() == Stage::Closed && s.end() <= before).collect();
        let mut integrator = self.integrator.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(minimum) = old.last().map(|segment| segment.end()) else { return Ok(integrator.minimum) };
        let kept = std::mem::replace(&mut integrator.minimum, minimum);
        if let Err(error) = integrator.run(&self.shared) {
            integrator.minimum = kept;
            return Err(error);
        }
        drop(integrator);
        for segment in old {
            self.map.remove(segment.first);
            self.remove(&segment.path())?;
        }
        Ok(minimum)
    }

    /// Makes a closed segment immutable for everyone, root included, where the file system and the privileges of this
    /// process allow it.
    ///
    /// # Errors
    /// [`LedgerError::Segment`] when there is no such closed segment.
    pub fn protect(&self, first: u64) -> Result<Protection, LedgerError> {
        let path = self.closed(first)?.path();
        Ok(match self.storage.protect(&path, true) {
            Ok(newly) => Protection::Immutable { newly },
            Err(error) => Protection::Refused { why: error.to_string() },
        })
    }

    fn closed(&self, first: u64) -> Result<std::sync::Arc<Segment>, LedgerError> {
        let found = self.map.all().into_iter().find(|segment| segment.first == first);
        let closed = found.filter(|segment| segment.stage() == Stage::Closed);
        closed.ok_or(LedgerError::Segment { first, why: "there is no closed segment that begins here" })
    }

    /// Removes a file of a segment, also one that was made immutable.
    fn remove(&self, path: &str) -> Result<(), LedgerError> {
        let removed = match self.storage.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.storage.protect(path, false).and_then(|_| self.storage.remove(path))
            }
            removed => removed,
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.attempt("remove", path),
        }
    }
}
