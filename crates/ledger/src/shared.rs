//! What the callers, the writer and the integrator share: the queue, the indices, the leaves not yet hashed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::checkpoint::SignedCheckpoint;
use crate::error::LedgerError;
use crate::leaves::Leaves;

/// Cost of a queued leaf beyond its bytes, for the bound on memory.
const OVERHEAD: usize = 32;
/// The integrator is woken to hash when so many bytes of leaves wait for it.
const HASH_AT: usize = 1 << 20;
/// A checkpoint is published without being asked for when so many leaves wait for one: the hashes over them are held
/// in memory.
const PUBLISH_AT: u64 = 1 << 20;

/// Bytes of the newest durable leaves that are kept for whoever follows the log: the disk need not be asked for what was
/// just written to it.
const RECENT_BYTES: usize = 16 << 20;

/// Memory is kept for the next leaves in pieces of such sizes, and so many of them.
const SPARE_BYTES: std::ops::RangeInclusive<usize> = 16 << 10..=512 << 10;
const SPARES: usize = 32;

/// A wait that has no end is a row of these.
const LONG: Duration = Duration::from_secs(3600);

fn cost(leaves: &[Leaves]) -> usize {
    leaves.iter().map(|leaves| leaves.payload().len() + OVERHEAD).sum()
}

fn count(leaves: &[Leaves]) -> u64 {
    leaves.iter().map(|leaves| u64::from(leaves.count())).sum()
}

/// Leaves that are durable and not yet hashed.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) leaves: Vec<Arc<Leaves>>,
    cost: usize,
}

/// Durable leaves, and the index of the first.
pub(crate) type Piece = (u64, Arc<Leaves>);

/// What the integrator is woken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    Hash,
    Publish,
    End,
}

/// Indices are given when a leaf is queued. When a group fails without a trace, the indices of everything queued
/// are taken back: that ends an epoch, and the tickets of that epoch find the reason here.
#[derive(Default, Debug)]
pub(crate) struct Epoch {
    /// Leaves below this index were durable all the same.
    failed: OnceLock<(u64, LedgerError)>,
}

pub(crate) struct State {
    queue: VecDeque<Leaves>,
    /// Cost of `queue`, of what the writer has, and of `pending`.
    held: usize,
    next: u64,
    durable: u64,
    pending: Vec<Batch>,
    /// Cost of `pending`.
    pending_cost: usize,
    /// The newest durable leaves, in order and without a gap up to `durable`.
    recent: VecDeque<Piece>,
    recent_bytes: usize,
    published: Arc<SignedCheckpoint>,
    /// The writer should end its segment before the next group.
    rolling: bool,
    epoch: Arc<Epoch>,
    poisoned: Option<LedgerError>,
    /// Why the last attempt to publish failed.
    unpublished: Option<LedgerError>,
    closing: bool,
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
    /// Memory of leaves that were hashed, for those to come: fresh memory costs a fault for each page of it.
    spare: Mutex<Vec<Leaves>>,
}

/// A place in the log that was given and is not yet durable.
#[derive(Debug, Clone)]
#[must_use = "a leaf is durable only when its ticket says so"]
pub struct Ticket {
    shared: Arc<Shared>,
    epoch: Arc<Epoch>,
    range: Range<u64>,
}

impl State {
    /// Leaves became durable. Answers those that are not remembered any more.
    fn remember(&mut self, leaves: &[Arc<Leaves>]) -> Vec<Arc<Leaves>> {
        for piece in leaves {
            self.recent.push_back((self.durable, Arc::clone(piece)));
            self.recent_bytes += piece.room();
            self.durable += u64::from(piece.count());
        }
        let mut old = Vec::new();
        while self.recent_bytes > RECENT_BYTES
            && let Some((_, piece)) = self.recent.pop_front()
        {
            self.recent_bytes -= piece.room();
            old.push(piece);
        }
        old
    }
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
            queue: VecDeque::new(),
            held: 0,
            next: size,
            durable: size,
            pending: Vec::new(),
            pending_cost: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            published: Arc::new(published),
            rolling: false,
            epoch: Arc::default(),
            poisoned: None,
            unpublished: None,
            closing: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: Condvar::new(),
            hurry: Condvar::new(),
            limit,
            spare: Mutex::default(),
        }
    }

    /// A panic elsewhere leaves the state whole: every change of it is made of assignments that cannot fail.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues leaves, in order and next to each other. Waits while too much is held.
    pub(crate) fn offer(self: &Arc<Self>, leaves: Leaves, most: usize) -> Result<Ticket, LedgerError> {
        if let Some(length) = leaves.too_long() {
            return Err(LedgerError::TooLong { length });
        }
        if leaves.is_empty() {
            let state = self.lock();
            let at = state.durable; // nothing to wait for
            return Ok(Ticket { shared: Arc::clone(self), epoch: Arc::clone(&state.epoch), range: at..at });
        }
        let leaves = leaves.split(most);
        let cost = cost(&leaves);
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.poisoned {
                return Err(error.clone());
            }
            if state.closing {
                return Err(LedgerError::Closed);
            }
            let far = state.durable.saturating_sub(state.published.size()) > 2 * PUBLISH_AT;
            if let Some(error) = state.unpublished.as_ref().filter(|_| far) {
                return Err(error.clone());
            }
            if state.held == 0 || state.held + cost <= self.limit {
                break;
            }
            self.hurry.notify_one();
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let range = state.next..state.next + count(&leaves);
        state.next = range.end;
        state.held += cost;
        state.queue.extend(leaves);
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

    /// Writer: everything queued up to `most` bytes, with the index of its first leaf, and whether a new segment is to
    /// be begun. `None` when closed.
    pub(crate) fn take_group(&self, most: usize) -> Option<(u64, Vec<Leaves>, bool)> {
        let mut state = self.lock();
        while (state.queue.is_empty() && !state.rolling) || state.poisoned.is_some() {
            if state.closing || state.poisoned.is_some() {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let rolling = state.rolling;
        let (mut taken, mut count) = (0, 0);
        while let Some(next) = state.queue.get(count) {
            taken += next.payload().len();
            if count > 0 && taken > most {
                break;
            }
            count += 1;
        }
        let rest = state.queue.split_off(count);
        let group = std::mem::replace(&mut state.queue, rest);
        Some((state.durable, group.into(), rolling))
    }

    /// Writer: the group is durable.
    pub(crate) fn acknowledge(&self, leaves: Vec<Leaves>) {
        let cost = cost(&leaves);
        let leaves: Vec<Arc<Leaves>> = leaves.into_iter().map(Arc::new).collect();
        let mut state = self.lock();
        let old = state.remember(&leaves);
        state.pending.push(Batch { cost, leaves });
        state.pending_cost += cost;
        if state.pending_cost >= HASH_AT || state.pending_cost * 2 > self.limit {
            self.hurry.notify_one();
        }
        drop(state);
        self.progress.notify_all();
        self.let_go(old);
    }

    /// The durable leaves from `first` on, when they are remembered; the first piece holds that index.
    pub(crate) fn recent(&self, first: u64) -> Option<Vec<Piece>> {
        let state = self.lock();
        let begin = state.recent.front().filter(|(begin, _)| *begin <= first).map(|_| {
            state.recent.partition_point(|(begin, leaves)| begin + u64::from(leaves.count()) <= first)
        })?;
        Some(state.recent.range(begin..).cloned().collect())
    }

    /// Keeps the memory of leaves that nobody holds any more.
    fn let_go(&self, leaves: impl IntoIterator<Item = Arc<Leaves>>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let free = leaves.into_iter().filter_map(Arc::into_inner);
        for leaves in free.filter(|leaves| SPARE_BYTES.contains(&leaves.room())) {
            if spare.len() < SPARES {
                spare.push(leaves.emptied());
            }
        }
    }

    /// Writer: the group left no trace. Everything queued fails with it, because its indices are gone.
    pub(crate) fn refuse(&self, leaves: &[Leaves], error: LedgerError) {
        let mut state = self.lock();
        let queued: Vec<Leaves> = std::mem::take(&mut state.queue).into();
        state.held -= cost(leaves) + cost(&queued);
        state.next = state.durable;
        Self::end_epoch(&mut state, error);
        drop(state);
        self.progress.notify_all();
    }

    /// Asks the writer to begin a new segment before it writes again; waits until it has seen that.
    pub(crate) fn roll(&self) -> Result<(), LedgerError> {
        let mut state = self.lock();
        state.rolling = true;
        self.work.notify_one();
        while state.rolling {
            if let Some(error) = &state.poisoned {
                return Err(error.clone());
            }
            if state.closing {
                return Err(LedgerError::Closed);
            }
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Writer: it has ended its segment.
    pub(crate) fn rolled(&self) {
        self.lock().rolling = false;
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

    /// Integrator: takes what is durable and not yet hashed.
    pub(crate) fn take_pending(&self) -> Vec<Batch> {
        let mut state = self.lock();
        state.pending_cost = 0;
        std::mem::take(&mut state.pending)
    }

    /// Integrator: so much was hashed and is let go.
    pub(crate) fn hashed(&self, batches: Vec<Batch>) {
        self.lock().held -= batches.iter().map(|batch| batch.cost).sum::<usize>();
        self.progress.notify_all();
        self.let_go(batches.into_iter().flat_map(|batch| batch.leaves));
    }

    /// No leaves, with room for about so many bytes of them.
    pub(crate) fn room(&self, bytes: usize) -> Leaves {
        if SPARE_BYTES.contains(&bytes) {
            let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if let Some(spare) = spare {
                return spare;
            }
        }
        Leaves::with_capacity(bytes)
    }

    /// Integrator: a checkpoint is durable.
    pub(crate) fn published_now(&self, checkpoint: &Arc<SignedCheckpoint>) {
        let mut state = self.lock();
        state.published = Arc::clone(checkpoint);
        state.unpublished = None;
        drop(state);
        self.progress.notify_all();
    }

    /// Integrator: publishing failed and will be tried again.
    pub(crate) fn publishing_failed(&self, error: LedgerError) {
        self.lock().unpublished = Some(error);
        self.progress.notify_all();
    }

    /// Integrator: waits for its next turn; a checkpoint is due at `due`.
    pub(crate) fn next_turn(&self, due: Option<Instant>) -> Turn {
        let mut state = self.lock();
        loop {
            let due = due.filter(|_| state.poisoned.is_none()); // nothing is published any more
            let left = due.map_or(LONG, |due| due.saturating_duration_since(Instant::now()));
            let waiting = state.durable - state.published.size();
            if state.closing {
                return Turn::End;
            }
            // After a failure the next attempt waits for its time.
            if left.is_zero()
                || (waiting >= PUBLISH_AT && state.unpublished.is_none() && state.poisoned.is_none())
            {
                return Turn::Publish;
            }
            if state.pending_cost >= HASH_AT || state.pending_cost * 2 > self.limit {
                return Turn::Hash;
            }
            state = self.hurry.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
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
}
