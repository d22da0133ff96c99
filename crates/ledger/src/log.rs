//! The open log: one writer thread, one integrator thread, any number of callers.

use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tlog::{ConsistencyProof, Hash, InclusionProof, Sha256, Sm3, TILE_WIDTH};

use crate::checkpoint::SignedCheckpoint;
use crate::error::LedgerError;
use crate::integrate::Integrator;
use crate::leaves::Leaves;
use crate::options::Options;
use crate::read::{StoredTree, read_resource};
use crate::recover::{Recovery, recover};
use crate::segment::map::Map;
use crate::segment::writer::{Failure, Writer};
use crate::shared::{Piece, Shared, Ticket, Turn};
use crate::storage::{Disk, Storage};
use crate::tree::Place;

/// The file whose lock makes its holder the owner of the home.
pub const LOCK: &str = "lock";

/// A log that this process owns. Dropping it publishes what is durable and lets the home go.
pub struct Log {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) map: Arc<Map>,
    pub(crate) integrator: Arc<Mutex<Integrator>>,
    group_bytes: usize,
    /// Held while segments are compressed or pruned.
    pub(crate) keeping: Mutex<()>,
    threads: Vec<JoinHandle<()>>,
    /// Held, not read: closing the file gives the lock back, so it must be dropped last.
    _lock: Option<File>,
}

impl Log {
    /// Takes the home's lock, recovers, and starts.
    ///
    /// # Errors
    /// [`LedgerError::Owned`] when someone else has the home; what recovery finds wrong with the files.
    pub fn open(home: &Path, options: Options) -> Result<(Self, Recovery), LedgerError> {
        let lock = take_lock(home)?;
        let opened = Self::start(Arc::new(Disk::new(home)), options, Some(lock))?;
        crate::reserve::make(home);
        Ok(opened)
    }

    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        options: Options,
        lock: Option<File>,
    ) -> Result<(Self, Recovery), LedgerError> {
        let (segment_bytes, group_bytes) = (options.segment_bytes, options.group_bytes.clamp(1, 32 << 20));
        let (held_bytes, publish_every) = (options.held_bytes, options.publish_every);
        let recovered = recover(Arc::clone(&storage), options)?;
        let map = recovered.map;
        let shared = Arc::new(Shared::new(recovered.published, held_bytes));
        let writer = Writer::new(Arc::clone(&storage), Arc::clone(&map), segment_bytes, recovered.open);
        let integrator = Arc::new(Mutex::new(recovered.integrator));
        let mut log = Self {
            storage,
            shared,
            map,
            integrator,
            group_bytes,
            keeping: Mutex::new(()),
            threads: Vec::new(),
            _lock: lock,
        };
        let shared = Arc::clone(&log.shared);
        log.spawn("ledger-writer", move || write_groups(&shared, writer, group_bytes))?;
        let (shared, integrator) = (Arc::clone(&log.shared), Arc::clone(&log.integrator));
        log.spawn("ledger-integrator", move || take_turns(&shared, &integrator, publish_every))?;
        Ok((log, recovered.recovery))
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), LedgerError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        self.threads.push(thread.map_err(|e| LedgerError::io("start a thread for", name, e))?);
        Ok(())
    }

    /// Appends leaves next to each other and waits until they are durable. A crash keeps all of them or none, unless
    /// together they are larger than [`Options::group_bytes`].
    ///
    /// # Errors
    /// [`LedgerError::TooLong`], [`LedgerError::Full`] (try again), [`LedgerError::Poisoned`] (open again).
    pub fn append(&self, leaves: Vec<Vec<u8>>) -> Result<Range<u64>, LedgerError> {
        let ticket = self.submit_all(leaves)?;
        ticket.wait()?;
        Ok(ticket.range())
    }

    /// Queues one leaf; its ticket waits for durability. Blocks while the queue is full.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn submit(&self, leaf: Vec<u8>) -> Result<Ticket, LedgerError> {
        self.submit_all(vec![leaf])
    }

    /// Queues leaves next to each other; one ticket for all of them.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn submit_all(&self, leaves: Vec<Vec<u8>>) -> Result<Ticket, LedgerError> {
        self.submit_leaves(leaves.into_iter().collect())
    }

    /// As [`Log::submit_all`], for leaves that stand in one piece of memory already: the way that costs least.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn submit_leaves(&self, leaves: Leaves) -> Result<Ticket, LedgerError> {
        self.shared.offer(leaves, self.group_bytes)
    }

    /// No leaves, with room for about so many bytes of them: memory that this log used before, where it has some.
    #[must_use]
    pub fn room(&self, bytes: usize) -> Leaves {
        self.shared.room(bytes)
    }

    /// Leaves that have an index, durable or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.sizes().0
    }

    /// Leaves that are durable.
    #[must_use]
    pub fn durable_size(&self) -> u64 {
        self.shared.sizes().1
    }

    /// Index of the first entry that is kept; those before it were pruned.
    #[must_use]
    pub fn minimum(&self) -> u64 {
        self.map.begin().unwrap_or_else(|| self.durable_size())
    }

    /// Waits until more than `beyond` leaves are durable, or until `timeout`; answers how many are. Follow the log
    /// with `let mut seen = log.durable_size(); loop { let now = log.wait_durable(seen, …)?; … seen = now; }`.
    ///
    /// # Errors
    /// The reason why nothing more will become durable.
    pub fn wait_durable(&self, beyond: u64, timeout: Duration) -> Result<u64, LedgerError> {
        self.shared.wait_durable(beyond, timeout)
    }

    /// The newest published checkpoint.
    #[must_use]
    pub fn latest_checkpoint(&self) -> Arc<SignedCheckpoint> {
        self.shared.published()
    }

    /// Puts everything that is durable under a checkpoint, now.
    ///
    /// # Errors
    /// [`LedgerError::Full`] (try again), [`LedgerError::Poisoned`] (open again).
    pub fn publish(&self) -> Result<Arc<SignedCheckpoint>, LedgerError> {
        integrate(&self.shared, &self.integrator)
    }

    /// A durable leaf.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`] when it is not durable (yet).
    pub fn read(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let mut bundle = self.entries(index..index.saturating_add(1));
        bundle.next().unwrap_or(Err(LedgerError::OutOfRange { index, size: self.durable_size() }))
    }

    /// The durable leaves of a range, in order; ends at the last durable one. Bundles are read one at a time.
    pub fn entries(&self, range: Range<u64>) -> Entries<'_> {
        Entries { log: self, next: range.start, end: range.end, bundle: Vec::new().into_iter() }
    }

    /// Gives the durable leaves of a range to `sink`, in order, without a copy of each, until it answers `false`;
    /// answers the index after the last one given.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`], or a segment that cannot be read.
    pub fn for_each(
        &self,
        range: Range<u64>,
        sink: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<u64, LedgerError> {
        let end = range.end.min(self.durable_size());
        self.check_kept(range.start, end)?;
        match self.shared.recent(range.start).filter(|_| range.start < end) {
            Some(pieces) => Ok(give(&pieces, range.start..end, sink)),
            None => self.map.read(&*self.storage, range.start..end, sink),
        }
    }

    /// That an entry below `end` is not pruned.
    fn check_kept(&self, index: u64, end: u64) -> Result<(), LedgerError> {
        let minimum = self.minimum();
        if index < minimum && index < end { Err(LedgerError::Pruned { index, minimum }) } else { Ok(()) }
    }

    /// A resource of c2sp.org/tlog-tiles by its path below the log's prefix: `checkpoint`, `tile/<L>/<N>[.p/<W>]` or
    /// `tile/entries/<N>[.p/<W>]`. `None` when there is none, or its entries were pruned. Partial tiles of every size
    /// that was ever published are there.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read_resource(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        let published = self.latest_checkpoint();
        if path == "checkpoint" {
            return Ok(Some(published.note.clone().into_bytes()));
        }
        read_resource(&*self.storage, &self.map, path, published.size())
    }

    /// Size and roots of the newest checkpoint, for a leaf that repeats them.
    #[must_use]
    pub fn heads(&self) -> tlog::Checkpoint {
        self.latest_checkpoint().checkpoint.clone()
    }

    /// Inclusion path of a leaf in the SHA-256 tree of `size` leaves: any size up to the newest checkpoint's.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`], or a tile that cannot be read.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        tlog::inclusion_path::<Sha256, _>(&mut self.tree::<Sha256>(size)?, index, size)
    }

    /// Consistency path between two sizes, up to the newest checkpoint's, in the SHA-256 tree.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`], or a tile that cannot be read.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        tlog::consistency_path::<Sha256, _>(&mut self.tree::<Sha256>(new)?, old, new)
    }

    /// The stored tree, of which the first `size` leaves are asked for. Its partial tiles are those of the newest
    /// checkpoint: there are none for sizes that were never published.
    fn tree<H: Place>(&self, size: u64) -> Result<StoredTree<'_, H>, LedgerError> {
        let published = self.shared.sizes().2;
        if size > published {
            return Err(LedgerError::OutOfRange { index: size, size: published });
        }
        Ok(StoredTree::new(&*self.storage, published))
    }

    /// The `.tlog-proof` of a durable leaf, under a checkpoint that is published now if none covers it yet.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`] when the leaf is not durable, and those of [`Log::publish`].
    pub fn prove(&self, index: u64) -> Result<InclusionProof, LedgerError> {
        let latest = self.latest_checkpoint();
        let checkpoint = if index < latest.size() { latest } else { self.publish()? };
        let path = self.inclusion(index, checkpoint.size())?;
        Ok(InclusionProof { extra: None, index, path, note: checkpoint.note.clone() })
    }

    /// That the newest checkpoint extends the log as it was at `old` leaves, in both trees.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`] when `old` is larger than the newest checkpoint.
    pub fn prove_consistency(&self, old: u64) -> Result<ConsistencyProof, LedgerError> {
        let checkpoint = self.latest_checkpoint();
        let new = checkpoint.size();
        let path = self.consistency(old, new)?;
        let sm3_path = match checkpoint.sm3_root() {
            Some(_) => tlog::consistency_path::<Sm3, _>(&mut self.tree::<Sm3>(new)?, old, new)?,
            None => Vec::new(),
        };
        Ok(ConsistencyProof { old, new, path, sm3_path, note: checkpoint.note.clone() })
    }

    /// Waits for what is queued, publishes it, and lets the home go.
    ///
    /// # Errors
    /// Why the last checkpoint could not be published. What was acknowledged is durable all the same.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), LedgerError> {
        self.shared.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a panic there has been reported by the panic hook
        }
        integrate(&self.shared, &self.integrator).map(|_| ())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.shut_down(); // what is not published now is replayed at the next opening
    }
}

/// Gives the leaves of a range out of memory; answers the index after the last one given.
fn give(pieces: &[Piece], range: Range<u64>, sink: &mut dyn FnMut(u64, &[u8]) -> bool) -> u64 {
    let leaves = pieces.iter().flat_map(|(first, leaves)| (*first..).zip(leaves.iter()));
    let mut next = range.start;
    for (index, leaf) in leaves.skip_while(|(index, _)| *index < range.start) {
        if index >= range.end {
            break;
        }
        next = index + 1;
        if !sink(index, leaf) {
            break;
        }
    }
    next
}

/// Durable leaves, in order.
pub struct Entries<'a> {
    log: &'a Log,
    next: u64,
    end: u64,
    bundle: std::vec::IntoIter<Vec<u8>>,
}

impl Entries<'_> {
    fn fetch(&mut self) -> Result<Option<Vec<u8>>, LedgerError> {
        if let Some(entry) = self.bundle.next() {
            return Ok(Some(entry));
        }
        // To the end of the bundle, so that the next one is found by its mark.
        let end = self.end.min((self.next / TILE_WIDTH + 1) * TILE_WIDTH);
        let mut entries = Vec::new();
        self.log.for_each(self.next..end, &mut |_, entry| {
            entries.push(entry.to_vec());
            true
        })?;
        self.bundle = entries.into_iter();
        Ok(self.bundle.next())
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Vec<u8>, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let fetched = self.fetch().transpose();
        // After a fault there is nothing to continue from.
        self.next = if matches!(fetched, Some(Ok(_))) { self.next + 1 } else { self.end };
        fetched
    }
}

/// Answers those who wait when the writer thread ends by a panic.
struct LastWords<'a>(&'a Shared);

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(LedgerError::Poisoned { source: None });
        }
    }
}

/// The writer thread.
fn write_groups(shared: &Shared, mut writer: Writer, group_bytes: usize) {
    let _last_words = LastWords(shared);
    while let Some((first, leaves, roll)) = shared.take_group(group_bytes) {
        if roll {
            writer.roll();
            shared.rolled();
        }
        if leaves.is_empty() {
            continue;
        }
        match writer.append(first, &leaves) {
            Ok(()) => shared.acknowledge(leaves),
            Err(Failure::Clean(error)) => shared.refuse(&leaves, error),
            Err(Failure::Unknown(error)) => shared.poison(error),
        }
    }
    writer.trim();
}

/// The integrator thread.
fn take_turns(shared: &Shared, integrator: &Mutex<Integrator>, every: Option<Duration>) {
    let _last_words = LastWords(shared);
    let next = || every.and_then(|every| Instant::now().checked_add(every));
    let mut due = next();
    loop {
        match shared.next_turn(due) {
            Turn::End => return,
            // The reason of a failure is kept for those who wait.
            Turn::Hash => drop(report(shared, lock(integrator).hash(shared))),
            Turn::Publish => {
                let _ = integrate(shared, integrator);
                due = next();
            }
        }
    }
}

fn lock(integrator: &Mutex<Integrator>) -> MutexGuard<'_, Integrator> {
    integrator.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a failure where callers find it.
fn report<T>(shared: &Shared, done: Result<T, LedgerError>) -> Result<T, LedgerError> {
    if let Err(error) = &done {
        if error.may_pass() {
            shared.publishing_failed(error.clone());
        } else {
            shared.poison(error.clone());
        }
    }
    done
}

pub(crate) fn integrate(
    shared: &Shared,
    integrator: &Mutex<Integrator>,
) -> Result<Arc<SignedCheckpoint>, LedgerError> {
    report(shared, lock(integrator).run(shared))
}

fn take_lock(home: &Path) -> Result<File, LedgerError> {
    let path = home.join(LOCK);
    let shown = path.display().to_string(); // whole: the first thing that fails in a home that may not be written
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| LedgerError::io("open the lock", &shown, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::Owned { home: home.to_owned() }),
        Err(TryLockError::Error(error)) => Err(LedgerError::io("take the lock", shown, error)),
    }
}
