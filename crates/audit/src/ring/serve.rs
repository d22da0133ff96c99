//! The owner's end of a ring. The connection's own thread waits for the producer to leave, one reads and admits, one
//! waits for the disk and gives the room back.

use std::io::{BufWriter, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use event::{Fault, MAX_OFFERED, Rule};
use ledger::{Leaves, LedgerError};
use shmring::{Memory, Reader, RingError, Settler, consume};

use super::WhenDiskFull;
use crate::AuditError;
use crate::admitting::Admitted;
use crate::owner::{Owner, Submitted};
use crate::peer::Peer;
use crate::pending::Verdict;
use crate::socket::ears::Input;
use crate::socket::wire::{MAX_BATCH, Reply, Request, write_message};

const _: () = assert!(shmring::MAX_RECORD == MAX_OFFERED);

/// Bytes of events that are submitted together.
const BATCH_BYTES: usize = 1 << 20;
/// Events for which room is made at first.
const FEW: usize = 256;
/// Batches on their way to the disk.
const IN_FLIGHT: usize = 16;
/// The first nap when the ring is empty, and the longest. A producer that fills an eighth of it, or waits, ends a nap.
const NAP: Duration = Duration::from_micros(200);
const LONGEST_NAP: Duration = Duration::from_millis(10);
/// How often the producer's count of drops is read.
const COUNT_EVERY: Duration = Duration::from_millis(250);
/// Between two attempts while the disk is full.
const AGAIN: Duration = Duration::from_millis(250);

/// Events on their way to the disk, in the order of the ring.
#[derive(Default)]
struct Batch {
    /// Where each of them ends in the ring.
    ends: Vec<u64>,
    /// Where records end whose checksum does not fit.
    damaged: Vec<u64>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.damaged.is_empty()
    }

    /// Where it ends.
    fn position(&self) -> u64 {
        self.ends.last().max(self.damaged.last()).copied().unwrap_or(0)
    }
}

/// Where the records end that were refused, and why.
type Refused = Vec<(u64, Vec<Fault>)>;

/// What is needed to store a batch in another way when the disk is full.
struct Kept {
    when_full: WhenDiskFull,
    leaves: Leaves,
    /// Where the records of the leaves end.
    ends: Vec<u64>,
    refused: Refused,
}

impl Kept {
    /// Nothing where the operator wants no other way.
    fn of(owner: &Owner, admitted: &Admitted, batch: &Batch) -> Option<Self> {
        let when_full = owner.rings.when_full();
        if matches!(when_full, WhenDiskFull::Refuse) {
            return None;
        }
        let refused = admitted.refused.iter().map(|(at, refusal)| (batch.ends[*at], refusal.faults.clone()));
        let ends = admitted.places().map(|at| batch.ends[at]).collect();
        Some(Self { when_full, leaves: admitted.leaves.clone(), ends, refused: refused.collect() })
    }

    /// Whether others wait already, behind whom these have to.
    fn must_wait(&self) -> bool {
        matches!(&self.when_full, WhenDiskFull::Spill(spill) if spill.holds())
    }
}

/// What the settling thread has to do.
enum Job {
    /// Without what was submitted, there was no room for it.
    Settle(Option<Box<Submitted>>, Batch, Option<Kept>),
    End(Reply),
}

/// Serves a ring until its producer leaves and everything that it had written is settled.
pub(crate) fn serve(
    owner: &Owner,
    stream: &UnixStream,
    input: &mut Input<'_>,
    peer: &Peer,
    request: &Request,
    offered: Option<OwnedFd>,
    stopping: &AtomicBool,
) -> Result<(), AuditError> {
    let (memory, made, tell) = memory(request, offered)?;
    let capacity = memory.capacity();
    let _seat = owner.rings.seat(capacity)?;
    let (reader, settler) = consume(memory).map_err(|e| unusable(&e))?;
    let _ = stream.set_read_timeout(None); // a ring's producer is silent
    answer(stream, capacity, made.as_ref())?;
    drop(made);
    let leaving = AtomicBool::new(false);
    let (jobs, todo) = sync_channel(IN_FLIGHT);
    std::thread::scope(|scope| {
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let settling = thread("audit-ring-disk").spawn_scoped(scope, || {
            settle(owner, settler, stream, tell, todo, stopping);
            let _ = stream.shutdown(Shutdown::Both); // it ended by itself
        });
        let reading = thread("audit-ring").spawn_scoped(scope, || read(owner, reader, peer, jobs, &leaving));
        if settling.is_ok() && reading.is_ok() {
            // Whether the producer leaves or breaks the rule that it says nothing, what it wrote is taken.
            let _ = input.read(&mut [0u8; 1]);
        }
        leaving.store(true, Ordering::SeqCst);
    });
    Ok(())
}

/// The memory that is asked for or offered, the descriptor of a new one, and whether refusals are told.
fn memory(
    request: &Request,
    offered: Option<OwnedFd>,
) -> Result<(Memory, Option<OwnedFd>, bool), AuditError> {
    match (request, offered) {
        (Request::Ring { capacity, refusals }, _) => {
            let (memory, file) = Memory::create(*capacity).map_err(|e| unusable(&e))?;
            Ok((memory, Some(file), *refusals))
        }
        (Request::RingOffer { refusals }, Some(file)) => {
            Ok((Memory::adopt(&file).map_err(|e| unusable(&e))?, None, *refusals))
        }
        _ => Err(AuditError::protocol("no descriptor came with the offer of a ring")),
    }
}

fn unusable(error: &RingError) -> AuditError {
    match error {
        RingError::Io { what, source } => {
            let source = std::io::Error::new(source.kind(), source.to_string());
            AuditError::io(what, std::path::Path::new("the memory of a ring"), source)
        }
        other => AuditError::protocol(other.to_string()),
    }
}

fn answer(stream: &UnixStream, capacity: u64, made: Option<&OwnedFd>) -> Result<(), AuditError> {
    let mut frame = Vec::new();
    write_message(&mut frame, &Reply::Ring { capacity }).map_err(|_| AuditError::Gone)?;
    let sent = match made {
        None => 0,
        Some(file) => shmring::send(stream, &frame, file).map_err(|_| AuditError::Gone)?,
    };
    (&*stream).write_all(&frame[sent..]).map_err(|_| AuditError::Gone)
}

/// Reads and admits. Ends when the producer left and the ring is empty, or when nothing more can be done for it.
fn read(owner: &Owner, mut reader: Reader, peer: &Peer, jobs: SyncSender<Job>, leaving: &AtomicBool) {
    let mut nap = NAP;
    let mut counted = Instant::now();
    // A producer that goes on writing while the owner leaves is followed for one round of the ring.
    let mut rest = None;
    loop {
        let left = leaving.load(Ordering::SeqCst); // before reading: what it wrote before it left is read
        let mut batch = Batch::default();
        // An empty ring is the usual one: room is made when there is something.
        let mut admitted = Admitted::default();
        let drained = reader.drain(MAX_BATCH, BATCH_BYTES, |record| match record.content {
            Some(event) => {
                if batch.ends.is_empty() {
                    admitted = owner.batch(FEW, FEW * event.len());
                }
                // The reader's own copy: the producer cannot change it any more.
                owner.admit_next(event, peer, &mut admitted);
                batch.ends.push(record.end);
            }
            None => batch.damaged.push(record.end),
        });
        if left || counted.elapsed() > COUNT_EVERY {
            owner.rings.lost(peer, reader.newly_dropped(), 0);
            counted = Instant::now();
        }
        owner.rings.lost(peer, 0, batch.damaged.len() as u64);
        let empty = batch.is_empty();
        let position = batch.position();
        owner.count_admitted(&admitted, peer);
        if !empty && submit(owner, admitted, batch, &jobs).is_err() {
            return;
        }
        if let Err(error) = drained {
            owner.rings.broken(peer, error.to_string());
            let _ = jobs.send(end(&unusable(&error))); // the other thread ended first
            return;
        }
        if left {
            let limit = *rest.get_or_insert(position.saturating_add(reader.capacity()));
            if empty || position > limit {
                return;
            }
        } else if empty {
            reader.sleep(nap);
            nap = (nap * 2).min(LONGEST_NAP);
        } else {
            nap = NAP;
        }
    }
}

fn submit(owner: &Owner, admitted: Admitted, batch: Batch, jobs: &SyncSender<Job>) -> Result<(), ()> {
    let kept = Kept::of(owner, &admitted, &batch);
    if kept.as_ref().is_some_and(Kept::must_wait) {
        return jobs.send(Job::Settle(None, batch, kept)).map_err(|_| ());
    }
    match owner.queue_admitted(admitted) {
        Ok(submitted) => jobs.send(Job::Settle(Some(Box::new(submitted)), batch, kept)).map_err(|_| ()),
        Err(error) if kept.is_some() && is_full(&error) => {
            jobs.send(Job::Settle(None, batch, kept)).map_err(|_| ())
        }
        Err(error) => {
            let _ = jobs.send(end(&error)); // as above
            Err(())
        }
    }
}

fn is_full(error: &AuditError) -> bool {
    matches!(error, AuditError::Ledger(LedgerError::Full { .. }))
}

fn end(error: &AuditError) -> Job {
    let kind = error.told_kind();
    Job::End(Reply::Error { kind, message: error.full_message() })
}

/// Waits for the disk, tells refusals, gives the room back. What fails ends the ring's service here; the producer has
/// its events still, and offers them to the next owner or to this one again.
fn settle(
    owner: &Owner,
    mut settler: Settler,
    stream: &UnixStream,
    tell: bool,
    todo: Receiver<Job>,
    stopping: &AtomicBool,
) {
    let mut output = BufWriter::new(stream);
    for job in todo {
        let (submitted, batch, kept) = match job {
            Job::Settle(submitted, batch, kept) => (submitted, batch, kept),
            Job::End(reply) => {
                let _ = write_message(&mut output, &reply).and_then(|()| output.flush()); // it may be gone
                return;
            }
        };
        let settled = submitted.map(|submitted| {
            owner.settle(*submitted).map(|verdicts| refused(&batch.ends, verdicts).collect::<Refused>())
        });
        let settled = match (settled, kept) {
            (Some(Err(error)), Some(kept)) if is_full(&error) => elsewhere(owner, kept, stopping),
            (None, Some(kept)) => elsewhere(owner, kept, stopping),
            (Some(settled), _) => settled,
            (None, None) => Ok(Refused::new()), // nothing is kept back without being kept
        };
        let mut refused = match settled {
            Ok(refused) => refused,
            Err(error) => {
                let Job::End(reply) = end(&error) else { return };
                let _ = write_message(&mut output, &reply).and_then(|()| output.flush()); // as above
                return;
            }
        };
        refused.extend(batch.damaged.iter().map(|end| (*end, vec![damaged()])));
        refused.sort_by_key(|(end, _)| *end);
        let count = refused.len() as u64;
        if tell {
            for ((position, faults), total) in refused.into_iter().zip(settler.refused() + 1..) {
                // A producer that left is not told any more.
                let _ = write_message(&mut output, &Reply::Refused { position, total, faults });
            }
            let _ = output.flush(); // as above
        }
        settler.settle(batch.position(), count);
    }
}

/// Of records that end there, those that were refused.
fn refused(ends: &[u64], verdicts: Vec<Verdict>) -> impl Iterator<Item = (u64, Vec<Fault>)> {
    ends.iter().zip(verdicts).filter_map(|(end, verdict)| Some((*end, verdict.err()?.faults)))
}

/// Stores a batch that found the disk full as the operator wants it.
fn elsewhere(owner: &Owner, kept: Kept, stopping: &AtomicBool) -> Result<Refused, AuditError> {
    let Kept { when_full, leaves, ends, refused: mut all } = kept;
    let patience = match when_full {
        WhenDiskFull::Spill(spill) => {
            if !leaves.is_empty() {
                owner.guard.settle()?; // a sealed leaf must not be durable before the key that opens it is
                spill.push(&leaves)?;
            }
            return Ok(all);
        }
        WhenDiskFull::Wait(time) => time,
        WhenDiskFull::Refuse => Duration::ZERO,
    };
    let deadline = Instant::now() + patience;
    let leaves: Vec<Vec<u8>> = leaves.iter().map(<[u8]>::to_vec).collect();
    loop {
        std::thread::sleep(AGAIN);
        let again = owner.queue_admitted(owner.admitted_before(&leaves));
        match again.and_then(|submitted| owner.settle(submitted)) {
            Err(error)
                if is_full(&error) && Instant::now() < deadline && !stopping.load(Ordering::SeqCst) => {}
            settled => {
                all.extend(refused(&ends, settled?));
                return Ok(all);
            }
        }
    }
}

fn damaged() -> Fault {
    Fault {
        path: "$".into(),
        rule: Rule::Json,
        message: "was changed in the ring: its checksum does not fit".into(),
    }
}
