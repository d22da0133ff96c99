//! What the callers, the writer and the integrator share: the queue, the indices, the leaves not yet in tiles.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::checkpoint::SignedCheckpoint;
use crate::error::LedgerError;
use crate::wal::writer::Retired;

/// Cost of a queued leaf beyond its bytes, for the bound on memory.
const OVERHEAD: usize = 32;

/// A wait that has no end is a row of these.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn cost(leaves: &[Vec<u8>]) -> usize {
    leaves.iter().map(|leaf| leaf.len() + OVERHEAD).sum()
}

/// Leaves that are durable in the write-ahead log and not yet under a checkpoint.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) first: u64,
    pub(crate) leaves: Vec<Vec<u8>>,
    cost: usize,
}

impl Batch {
    pub(crate) fn end(&self) -> u64 {
        self.first + self.leaves.len() as u64
    }
}

/// Indices are given when a leaf is queued. When a group fails without a trace, the indices of everything queued
/// are taken back: that ends an epoch, and the tickets of that epoch find the reason here.
#[derive(Default, Debug)]
pub(crate) struct Epoch {
    /// Leaves below this index were durable all the same.
    failed: OnceLock<(u64, LedgerError)>,
}

pub(crate) struct State {
    queue: Vec<Vec<u8>>,
    /// Cost of `queue` and of `pending`.
    held: usize,
    next: u64,
    durable: u64,
    pending: VecDeque<Arc<Batch>>,
    published: Arc<SignedCheckpoint>,
    retired: Vec<Retired>,
    epoch: Arc<Epoch>,
    poisoned: Option<LedgerError>,
    /// Why the last attempt to publish failed.
    unpublished: Option<LedgerError>,
    closing: bool,
    /// The integrator should not wait for its time.
    hurried: bool,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    /// The writer has work, or must end.
    work: Condvar,
    /// Something became durable, published, failed or closed.
    progress: Condvar,
    /// The integrator should not wait for its second.
    hurry: Condvar,
    limit: usize,
}

/// A place in the log that was given and is not yet durable.
#[derive(Debug, Clone)]
#[must_use = "a leaf is durable only when its ticket says so"]
pub struct Ticket {
    shared: Arc<Shared>,
    epoch: Arc<Epoch>,
    range: Range<u64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Ticket {
    /// Waits until the leaf is durable; answers its index (of several leaves, the first one's).
    ///
    /// # Errors
    /// The reason why it is not, or may not be, in the log.
    pub fn wait(&self) -> Result<u64, LedgerError> {
        self.shared.wait(self)?;
        Ok(self.range.start)
    }

    /// The indices the leaves will have, if they become durable.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }
}

impl Shared {
    pub(crate) fn new(published: SignedCheckpoint, limit: usize) -> Self {
        let size = published.size();
        let state = State {
            queue: Vec::new(),
            held: 0,
            next: size,
            durable: size,
            pending: VecDeque::new(),
            published: Arc::new(published),
            retired: Vec::new(),
            epoch: Arc::default(),
            poisoned: None,
            unpublished: None,
            closing: false,
            hurried: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: Condvar::new(),
            hurry: Condvar::new(),
            limit,
        }
    }

    /// A panic elsewhere leaves the state whole: every change of it is made of assignments that cannot fail.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues leaves, in order and next to each other. Waits while too much is held.
    pub(crate) fn offer(self: &Arc<Self>, mut leaves: Vec<Vec<u8>>) -> Result<Ticket, LedgerError> {
        if let Some(leaf) = leaves.iter().find(|leaf| leaf.len() > tlog::bundle::MAX_ENTRY) {
            return Err(LedgerError::TooLong { length: leaf.len() });
        }
        let cost = cost(&leaves);
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.poisoned {
                return Err(error.clone());
            }
            if state.closing {
                return Err(LedgerError::Closed);
            }
            if state.held == 0 || state.held + cost <= self.limit {
                break;
            }
            if let Some(error) = &state.unpublished {
                return Err(error.clone());
            }
            state.hurried = true;
            self.hurry.notify_one();
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let range = state.next..state.next + leaves.len() as u64;
        state.next = range.end;
        state.held += cost;
        if state.queue.is_empty() {
            state.queue = leaves;
        } else {
            state.queue.append(&mut leaves);
        }
        self.work.notify_one();
        Ok(Ticket { shared: Arc::clone(self), epoch: Arc::clone(&state.epoch), range })
    }

    fn wait(&self, ticket: &Ticket) -> Result<(), LedgerError> {
        let mut state = self.lock();
        loop {
            if let Some((durable, error)) = ticket.epoch.failed.get() {
                return if ticket.range.end <= *durable { Ok(()) } else { Err(error.clone()) };
            }
            if state.durable >= ticket.range.end {
                return Ok(());
            }
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writer: everything queued up to `most` bytes, with the index of its first leaf. `None` when closed.
    pub(crate) fn take_group(&self, most: usize) -> Option<(u64, Vec<Vec<u8>>)> {
        let mut state = self.lock();
        while state.queue.is_empty() || state.poisoned.is_some() {
            if state.closing || state.poisoned.is_some() {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = 0;
        let fits = state.queue.iter().take_while(|leaf| {
            taken += leaf.len() + OVERHEAD;
            taken <= most
        });
        let count = fits.count().max(1);
        let rest = if count < state.queue.len() { state.queue.split_off(count) } else { Vec::new() };
        let group = std::mem::replace(&mut state.queue, rest);
        Some((state.durable, group))
    }

    /// Writer: the group is durable.
    pub(crate) fn acknowledge(&self, first: u64, leaves: Vec<Vec<u8>>) {
        let batch = Batch { first, cost: cost(&leaves), leaves };
        let mut state = self.lock();
        state.durable = batch.end();
        state.pending.push_back(Arc::new(batch));
        if state.held > self.limit / 2 {
            state.hurried = true;
            self.hurry.notify_one();
        }
        drop(state);
        self.progress.notify_all();
    }

    /// Writer: the group left no trace. Everything queued fails with it, because its indices are gone.
    pub(crate) fn refuse(&self, leaves: &[Vec<u8>], error: LedgerError) {
        let mut state = self.lock();
        let queued = std::mem::take(&mut state.queue);
        state.held -= cost(leaves) + cost(&queued);
        state.next = state.durable;
        Self::end_epoch(&mut state, error);
        drop(state);
        self.progress.notify_all();
    }

    /// Anyone: the disk's state is unknown, nothing more may be accepted.
    pub(crate) fn poison(&self, error: LedgerError) {
        let error = LedgerError::poisoned_by(error);
        let mut state = self.lock();
        state.poisoned.get_or_insert_with(|| error.clone());
        Self::end_epoch(&mut state, error);
        drop(state);
        self.work.notify_all();
        self.progress.notify_all();
    }

    fn end_epoch(state: &mut State, error: LedgerError) {
        let durable = state.durable;
        let _ = state.epoch.failed.set((durable, error)); // an epoch that already failed keeps its first reason
        state.epoch = Arc::default();
    }

    pub(crate) fn retire(&self, segment: Retired) {
        self.lock().retired.push(segment);
    }

    /// Integrator: what is durable and not yet under the checkpoint.
    pub(crate) fn pending(&self) -> (Arc<SignedCheckpoint>, Vec<Arc<Batch>>) {
        let state = self.lock();
        (Arc::clone(&state.published), state.pending.iter().cloned().collect())
    }

    /// Integrator: a checkpoint is durable. Answers the segments that nothing needs any more.
    pub(crate) fn published_now(&self, checkpoint: &Arc<SignedCheckpoint>) -> Vec<Retired> {
        let size = checkpoint.size();
        let mut state = self.lock();
        while state.pending.front().is_some_and(|batch| batch.end() <= size) {
            if let Some(batch) = state.pending.pop_front() {
                state.held -= batch.cost;
            }
        }
        state.published = Arc::clone(checkpoint);
        state.unpublished = None;
        let (free, kept) = state.retired.drain(..).partition(|segment| segment.end <= size);
        state.retired = kept;
        drop(state);
        self.progress.notify_all();
        free
    }

    /// Integrator: publishing failed and will be tried again.
    pub(crate) fn publishing_failed(&self, error: LedgerError) {
        self.lock().unpublished = Some(error);
        self.progress.notify_all();
    }

    /// Integrator: waits for its next turn, without a time until too much is held. `false` when closed.
    pub(crate) fn next_turn(&self, every: Option<Duration>) -> bool {
        let mut state = self.lock();
        let end = every.and_then(|every| Instant::now().checked_add(every));
        while !state.closing && !state.hurried {
            let left = end.map_or(LONG, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = self.hurry.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.hurried = false;
        !state.closing
    }

    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_all();
        self.hurry.notify_all();
        self.progress.notify_all();
    }

    pub(crate) fn published(&self) -> Arc<SignedCheckpoint> {
        Arc::clone(&self.lock().published)
    }

    /// Assigned, durable, published.
    pub(crate) fn sizes(&self) -> (u64, u64, u64) {
        let state = self.lock();
        (state.next, state.durable, state.published.size())
    }

    /// Waits until more than `beyond` leaves are durable, or the time is over; answers how many are.
    pub(crate) fn wait_durable(&self, beyond: u64, timeout: Duration) -> Result<u64, LedgerError> {
        let end = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while state.durable <= beyond && state.poisoned.is_none() && !state.closing {
            let left = end.map_or(LONG, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = self.progress.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        match &state.poisoned {
            Some(error) if state.durable <= beyond => Err(error.clone()),
            _ => Ok(state.durable),
        }
    }

    /// A durable leaf that is not yet under the checkpoint; `Err` gives the checkpoint that covers it.
    pub(crate) fn recent(&self, index: u64) -> Result<Option<Vec<u8>>, Arc<SignedCheckpoint>> {
        let state = self.lock();
        if index < state.published.size() {
            return Err(Arc::clone(&state.published));
        }
        let at = state.pending.partition_point(|batch| batch.end() <= index);
        let leaf = state.pending.get(at).and_then(|batch| {
            let within = usize::try_from(index.checked_sub(batch.first)?).ok()?;
            batch.leaves.get(within).cloned()
        });
        Ok(leaf)
    }
}
