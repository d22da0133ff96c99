//! A spill: where admitted events wait while the ledger's disk is full. Bounded, owner-only, its space taken when it
//! is opened, so that writing into it needs none; replayed in order, once there is room.
//!
//! What is spilled is the stored form, as admission made it: nothing that policy sealed or masked lies open here. A
//! spilled event is durable (one sync), but has no index yet. Format (all numbers big-endian): `docs/formats/spill.md`.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{EventId, InvalidComplianceEvent, MAX_EVENT};
use ledger::Leaves;

use crate::AuditError;
use crate::caller::Caller;
use crate::owner::Owner;
use crate::peer::Peer;
use crate::session::Session;

const MAGIC: &[u8; 16] = b"custody-spill-1\n";
/// The magic and the generation.
const HEADER: u64 = 24;
/// A record's length and its check sum.
const RECORD_HEADER: usize = 8;
/// Bytes of a spill: from one event to fewer events than the window of repeated ids, so that a replay that was
/// interrupted and begins anew stores nothing twice.
const BOUNDS: std::ops::RangeInclusive<u64> = 64 * 1024..=64 << 20;
/// Events that are replayed together.
const BATCH: usize = 512;

/// A spill.
pub struct Spill {
    path: PathBuf,
    size: u64,
    state: Mutex<State>,
    /// Whether anything waits: looked at by everyone who records, without the lock.
    holding: AtomicBool,
}

struct State {
    file: File,
    generation: [u8; 8],
    end: u64,
    events: u64,
}

/// What became of an event that was offered while the disk was full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spilled {
    /// It waits in the spill, durable.
    Waiting(EventId),
    /// It was refused.
    Refused(InvalidComplianceEvent),
}

impl Spill {
    /// Opens a spill, or makes one of so many bytes. What waits in it is kept.
    ///
    /// # Errors
    /// When its space cannot be had, or the file is not a spill.
    pub fn open(path: &Path, bytes: u64) -> Result<Self, AuditError> {
        let fail = |e| AuditError::io("open the spill", path, e);
        let size = bytes.clamp(*BOUNDS.start(), *BOUNDS.end());
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(fail)?;
        let there = file.metadata().map_err(fail)?.len();
        if there < size {
            fill(&mut file, there, size).map_err(fail)?;
        }
        let mut header = [0u8; 24];
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut header)).map_err(fail)?;
        if header == [0; 24] {
            header = new_header()?;
            write_at(&mut file, 0, &header).map_err(fail)?;
        }
        let (magic, generation) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(fail(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not a spill")));
        }
        let generation: [u8; 8] = generation.try_into().unwrap_or_default(); // 24 - 16 bytes
        let state = State { file, generation, end: HEADER, events: 0 };
        let spill = Self {
            path: path.to_owned(),
            size: size.max(there),
            state: Mutex::new(state),
            holding: AtomicBool::new(false),
        };
        {
            let mut state = spill.lock();
            let (end, events) = spill.walk(&mut state, &mut |_| Ok(()))?;
            (state.end, state.events) = (end, events);
            spill.holding.store(events > 0, Ordering::SeqCst);
        }
        Ok(spill)
    }

    /// Whether events wait. Then others of the same source have to wait behind them.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holding.load(Ordering::SeqCst)
    }

    /// Events that wait.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.lock().events
    }

    /// Puts leaves behind those that wait; durable when this returns, all or none.
    pub(crate) fn push(&self, leaves: &Leaves) -> Result<(), AuditError> {
        let mut state = self.lock();
        let mut records = Vec::new();
        for leaf in leaves.iter() {
            records.extend_from_slice(&record(&state.generation, leaf));
        }
        let length = records.len() as u64;
        // The length of nothing ends the records, whatever an earlier generation left behind them.
        records.extend_from_slice(&[0; 4]);
        if state.end + records.len() as u64 > self.size {
            let full = std::io::Error::new(std::io::ErrorKind::StorageFull, "the spill is full");
            return Err(AuditError::io("write to the spill", &self.path, full));
        }
        let at = state.end;
        write_at(&mut state.file, at, &records)
            .map_err(|e| AuditError::io("write to the spill", &self.path, e))?;
        state.end += length;
        state.events += leaves.len() as u64;
        self.holding.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Gives every record to `take`, up to the first that is not whole; where they end, and how many there are.
    fn walk(
        &self,
        state: &mut State,
        take: &mut dyn FnMut(Vec<u8>) -> Result<(), AuditError>,
    ) -> Result<(u64, u64), AuditError> {
        let fail = |e| AuditError::io("read the spill", &self.path, e);
        state.file.seek(SeekFrom::Start(HEADER)).map_err(fail)?;
        let mut input = std::io::BufReader::with_capacity(1 << 16, (&state.file).take(self.size - HEADER));
        let (mut end, mut events) = (HEADER, 0);
        while let Some(leaf) = next_record(&mut input, &state.generation) {
            end += (RECORD_HEADER + leaf.len()) as u64;
            events += 1;
            take(leaf)?;
        }
        Ok((end, events))
    }

    /// Forgets everything that waits: a new generation, under which no old record is whole.
    fn clear(&self, state: &mut State) -> Result<(), AuditError> {
        let header = new_header()?;
        write_at(&mut state.file, 0, &header)
            .map_err(|e| AuditError::io("clear the spill", &self.path, e))?;
        state.generation.copy_from_slice(&header[MAGIC.len()..]);
        (state.end, state.events) = (HEADER, 0);
        self.holding.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one record; nothing where none is whole.
pub(crate) fn next_record(input: &mut impl std::io::Read, generation: &[u8; 8]) -> Option<Vec<u8>> {
    let mut header = [0u8; RECORD_HEADER];
    input.read_exact(&mut header).ok()?;
    let (length, sum) = header.split_at(4);
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    if length == 0 || length > MAX_EVENT {
        return None;
    }
    let mut leaf = vec![0; length];
    input.read_exact(&mut leaf).ok()?;
    (sum_of(generation, &leaf).to_be_bytes() == sum).then_some(leaf)
}

fn record(generation: &[u8; 8], leaf: &[u8]) -> Vec<u8> {
    let length = u32::try_from(leaf.len()).unwrap_or(u32::MAX); // a leaf has at most 16 KiB
    [&length.to_be_bytes(), &sum_of(generation, leaf).to_be_bytes(), leaf].concat()
}

/// CRC-32C over the generation and the leaf.
fn sum_of(generation: &[u8; 8], leaf: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(generation), leaf)
}

fn new_header() -> Result<[u8; 24], AuditError> {
    let mut header = [0u8; 24];
    header[..16].copy_from_slice(MAGIC);
    getrandom::fill(&mut header[16..]).map_err(|e| AuditError::Randomness { why: e.to_string() })?;
    Ok(header)
}

/// Takes the space now: bytes that were written are there when the disk is full.
fn fill(file: &mut File, from: u64, to: u64) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    std::io::copy(&mut std::io::repeat(0).take(to - from), file)?;
    file.sync_all()
}

fn write_at(file: &mut File, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)?;
    file.sync_data()
}

impl Session {
    /// Admits events and puts them into the spill, for a caller whose name was checked.
    ///
    /// # Errors
    /// When this process is not the owner, or the spill is full.
    pub fn spill_for(
        &self,
        spill: &Spill,
        offered: &[Vec<u8>],
        caller: &Caller,
    ) -> Result<Vec<Spilled>, AuditError> {
        let owned = self.as_owner()?;
        let peer = Peer::remote(caller.clone());
        let admitted = owned.owner.admit_all(offered, &peer);
        if !admitted.leaves.is_empty() {
            owned.owner.guard.settle()?; // a sealed leaf must not be durable before the key that opens it is
            spill.push(&admitted.leaves)?;
        }
        let (mut waiting, mut refused) = (admitted.ids.into_iter(), admitted.refused.into_iter().peekable());
        let spilled =
            (0..admitted.offered).filter_map(|at| match refused.next_if(|(place, _)| *place == at) {
                Some((_, refusal)) => Some(Spilled::Refused(refusal)),
                None => waiting.next().map(Spilled::Waiting),
            });
        Ok(spilled.collect())
    }

    /// Records what waits in a spill, in its order, and clears it; how many there were. While it runs, nothing can be
    /// spilled: what is offered meanwhile comes behind.
    ///
    /// # Errors
    /// When there is no room yet, or the spill cannot be read. Everything waits on then.
    pub fn replay(&self, spill: &Spill) -> Result<u64, AuditError> {
        let owned = self.as_owner()?;
        let mut state = spill.lock();
        if state.events == 0 {
            return Ok(0);
        }
        let mut batch = Vec::with_capacity(BATCH);
        let (_, events) = spill.walk(&mut state, &mut |leaf| {
            batch.push(leaf);
            if batch.len() == BATCH { store(&owned.owner, std::mem::take(&mut batch)) } else { Ok(()) }
        })?;
        store(&owned.owner, batch)?;
        spill.clear(&mut state)?;
        Ok(events)
    }
}

/// Stores leaves that were admitted once. One that is no event any more was not written by us, and is left out.
fn store(owner: &Owner, leaves: Vec<Vec<u8>>) -> Result<(), AuditError> {
    let admitted = owner.admitted_before(&leaves);
    if !admitted.leaves.is_empty() {
        let _verdicts = owner.settle(owner.queue_admitted(admitted)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(spill: &Spill) -> Vec<Vec<u8>> {
        let mut leaves = Vec::new();
        let mut state = spill.lock();
        spill
            .walk(&mut state, &mut |leaf| {
                leaves.push(leaf);
                Ok(())
            })
            .unwrap();
        leaves
    }

    #[test]
    fn what_was_pushed_waits_through_a_reopening_and_ends_with_its_generation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spill");
        let spill = Spill::open(&path, 0).unwrap();
        assert!(!spill.holds());
        spill.push(&[b"one".to_vec(), b"two".to_vec()].iter().collect()).unwrap();
        spill.push(&[b"three".to_vec()].iter().collect()).unwrap();
        drop(spill);
        let spill = Spill::open(&path, 0).unwrap();
        assert!(spill.holds());
        assert_eq!((spill.events(), leaves(&spill).concat()), (3, b"onetwothree".to_vec()));
        {
            let mut state = spill.lock();
            spill.clear(&mut state).unwrap();
        }
        spill.push(&[b"1".to_vec()].iter().collect()).unwrap();
        drop(spill);
        assert_eq!(leaves(&Spill::open(&path, 0).unwrap()), [b"1".to_vec()]);
    }

    #[test]
    fn a_torn_record_ends_the_spill_and_a_full_one_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spill");
        let spill = Spill::open(&path, 0).unwrap();
        spill.push(&[b"whole".to_vec()].iter().collect()).unwrap();
        spill.push(&[b"torn".to_vec()].iter().collect()).unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        let full: Leaves = vec![vec![b'x'; MAX_EVENT]; 4].iter().collect();
        assert!(spill.push(&full).is_err());
        assert_eq!(spill.events(), 2);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), size, "it never grows");
        drop(spill);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[24 + 8 + 5 + 8] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(leaves(&Spill::open(&path, 0).unwrap()), [b"whole".to_vec()]);
        std::fs::write(&path, b"something else of more than a few bytes").unwrap();
        assert!(Spill::open(&path, 0).is_err());
    }
}
