//! Decoding and hashing on several threads, while one thread reads the container.
//!
//! The reading thread copies the packed data of an entry and goes on; what waits is bounded in bytes, so memory is
//! too. The bytes that are decoded are those that were hashed as the container: nothing is read twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use seal::Entry;

use super::Record;
use super::walk::{Decoder, read_entry};
use crate::budget::Budget;
use crate::error::EvidenceError;

/// Packed bytes that wait for a thread or are being decoded.
const WAITING: usize = 12 << 20;
/// An entry with more packed bytes is decoded by the reading thread.
pub(super) const LARGE: u64 = 4 << 20;
/// Entries that wait: small ones cost more in bookkeeping than in bytes.
const QUEUE: usize = 256;

type Outcome<'r> = (&'r Record, Result<Entry, EvidenceError>);

struct Job<'r> {
    record: &'r Record,
    data: Vec<u8>,
}

/// What the threads have in common.
pub(super) struct Pool<'r> {
    jobs: Mutex<Receiver<Job<'r>>>,
    outcomes: Mutex<Vec<Outcome<'r>>>,
    waiting: Mutex<usize>,
    less_waits: Condvar,
    stop: AtomicBool,
    tolerant: bool,
}

/// The reading thread's side. Dropping it ends the workers once they have done what waits.
pub(super) struct Intake<'p, 'r> {
    pool: &'p Pool<'r>,
    sender: SyncSender<Job<'r>>,
}

/// A worker that panicked has poisoned the lock and will end the process when it is joined; until then the data
/// is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `read` on this thread and `workers` beside it; gives what they found, in the order of the records.
pub(super) fn run<'r>(
    workers: usize,
    tolerant: bool,
    budget: &Budget,
    read: impl FnOnce(&Intake<'_, 'r>),
) -> Vec<Outcome<'r>> {
    let (sender, receiver) = sync_channel(QUEUE);
    let pool = Pool {
        jobs: Mutex::new(receiver),
        outcomes: Mutex::default(),
        waiting: Mutex::new(0),
        less_waits: Condvar::new(),
        stop: AtomicBool::new(false),
        tolerant,
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| pool.work(budget))).collect();
        read(&Intake { pool: &pool, sender });
        // The end of a scope waits for the closures alone: a thread could still be on its way out after it.
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let mut outcomes = pool.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(record, _)| record.offset);
    outcomes
}

impl<'r> Pool<'r> {
    fn work(&self, budget: &Budget) {
        let mut decoder = Decoder::new(budget);
        loop {
            let job = lock(&self.jobs).recv();
            let Ok(Job { record, data }) = job else { return };
            if !self.stopped() {
                self.put(record, read_entry(&mut decoder, record, &mut data.as_slice(), &mut |_| Ok(())));
            }
            *lock(&self.waiting) -= data.len();
            self.less_waits.notify_one();
        }
    }

    fn put(&self, record: &'r Record, found: Result<Entry, EvidenceError>) {
        if found.as_ref().is_err_and(|e| !self.tolerant || !e.is_damage()) {
            self.stop.store(true, Ordering::Relaxed);
        }
        lock(&self.outcomes).push((record, found));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl<'r> Intake<'_, 'r> {
    /// Whether an error makes the rest pointless.
    pub(super) fn stopped(&self) -> bool {
        self.pool.stopped()
    }

    /// Takes what the reading thread found itself.
    pub(super) fn put(&self, record: &'r Record, found: Result<Entry, EvidenceError>) {
        self.pool.put(record, found);
    }

    /// Hands packed data to the workers; waits while too much of it waits already.
    pub(super) fn send(&self, record: &'r Record, data: Vec<u8>) {
        let mut waiting = lock(&self.pool.waiting);
        while *waiting > 0 && *waiting + data.len() > WAITING {
            waiting = self.pool.less_waits.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        *waiting += data.len();
        drop(waiting);
        // The pool holds the receiver, so this cannot fail while there is an intake.
        let _ = self.sender.send(Job { record, data });
    }
}
