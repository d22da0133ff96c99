//! Keeps the index of an open ledger: reads what has become durable behind admission's back, never in its way.
//!
//! A file counts only as far as `bound` says, which names a size and the root of the log at that size: an index of
//! another history, of a log that was put back, or of one that was never published is not used. Nothing is synced: what
//! a crash leaves has a wrong checksum or no `bound`, and is made again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ledger::{Leaves, Log};
use tlog::{Hash, Sha256};

use super::format::Head;
use super::segment::{self, Tail};
use super::{Candidates, SEGMENT, View, Wanted, facts};

/// Name of the folder in the home.
pub(crate) const FOLDER: &str = "index";
const BOUND: &str = "bound";
/// First line of `bound`.
const BOUND_TITLE: &str = "custody-index 1";

/// A command that is over sooner does not begin.
const DELAY: Duration = Duration::from_millis(250);
/// How long nothing may come before the thread looks whether it should end.
const LOOK_UP: Duration = Duration::from_millis(250);
/// Entries that are taken at a time.
const CHUNK: u64 = 2048;
/// While events come faster than they are taken, so many parts of the time are admission's for one of ours.
const YIELD: u32 = 4;
/// How long the end of a process may be put off for entries that nobody indexed yet.
const FAREWELL: Duration = Duration::from_millis(500);
/// Fewer entries than this are read again rather than written at the end.
const WORTH: u64 = 4096;

/// What is known of the index.
pub(crate) struct Index {
    folder: PathBuf,
    state: Mutex<State>,
    stop: Mutex<bool>,
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    loaded: bool,
    segments: BTreeMap<u64, Arc<Head>>,
    /// The segment that grows; segments before it that are missing are scanned.
    tail: Option<Tail>,
    /// Entries of the tail that stand in its file.
    saved: u32,
    /// How far `bound` reaches, and how far files do.
    bound: u64,
    written: u64,
}

impl Index {
    pub(crate) fn of(home: &Path) -> Self {
        Self {
            folder: home.join(FOLDER),
            state: Mutex::default(),
            stop: Mutex::default(),
            stopped: Condvar::new(),
        }
    }

    /// Reads what is there, as far as it is of this log.
    pub(crate) fn load(&self, log: &Log) {
        let mut state = self.lock();
        if state.loaded {
            return;
        }
        state.loaded = true;
        let bound = read_bound(&self.folder).filter(|(size, root)| extends(log, *size, *root));
        let bound = bound.map_or(0, |(size, _)| size);
        state.bound = bound;
        state.written = bound;
        let mut first = 0;
        while first < bound {
            let path = segment::path(&self.folder, first);
            let head = segment::read_head(&path).filter(|head| head.first == first);
            let Some(head) = head else { break };
            let end = first + u64::from(head.count);
            if end > bound {
                break;
            }
            if u64::from(head.count) < SEGMENT {
                state.tail = Tail::read(&path);
                state.saved = state.tail.as_ref().map_or(0, Tail::count);
                break;
            }
            state.segments.insert(first, Arc::new(head));
            first += SEGMENT;
        }
        if state.tail.is_none() {
            state.tail = Some(Tail::new(first));
        }
    }

    /// The first entry that is not indexed.
    pub(crate) fn end(&self) -> u64 {
        self.lock().tail.as_ref().map_or(0, |tail| tail.first + u64::from(tail.count()))
    }

    /// Takes entries behind those it has, up to the end of the segment; writes the segment when it is full. Entries that
    /// cannot be read end it: `audit verify` names them, and searches read them themselves.
    fn take(&self, log: &Log, end: u64) -> Option<()> {
        let first = self.end();
        let end = end.min(first + CHUNK).min((first / SEGMENT + 1) * SEGMENT);
        let mut taken = Leaves::new();
        let kept = log.minimum().clamp(first, end.max(first));
        log.for_each(kept..end, &mut |_, entry| {
            taken.push(entry);
            true
        })
        .ok()?;
        // Outside the lock: a search must not wait for it. Pruned entries have no facts.
        let pruned = (first..kept).map(|_| None);
        let facts: Vec<_> = pruned.chain(taken.iter().map(facts)).collect();
        let mut state = self.lock();
        let tail = state.tail.as_mut()?;
        facts.iter().for_each(|facts| tail.push(facts.as_ref()));
        if tail.is_full() {
            self.close_segment(&mut state)?;
        }
        Some(())
    }

    fn close_segment(&self, state: &mut State) -> Option<()> {
        let tail = state.tail.as_ref()?;
        let path = segment::path(&self.folder, tail.first);
        let next = tail.first + SEGMENT;
        let written = write(&self.folder, &path, &tail.encode()).and_then(|()| segment::read_head(&path));
        if let Some(head) = written {
            state.segments.insert(tail.first, Arc::new(head));
            state.written = next;
        }
        // What could not be written is scanned from now on, and indexed at the next opening.
        state.tail = Some(Tail::new(next));
        state.saved = 0;
        Some(())
    }

    /// Says how far the files can be trusted, once a checkpoint covers them.
    fn bind(&self, log: &Log) {
        let checkpoint = log.latest_checkpoint();
        let mut state = self.lock();
        if state.written <= state.bound || checkpoint.size() < state.written {
            return;
        }
        let root = hex::encode(checkpoint.checkpoint.root);
        let text = format!("{BOUND_TITLE}\n{} {root}\n", checkpoint.size());
        if write(&self.folder, &self.folder.join(BOUND), text.as_bytes()).is_some() {
            state.bound = checkpoint.size();
        }
    }

    /// Writes what has grown since, so that the next owner need not read it again.
    fn save_tail(&self, log: &Log) {
        let mut state = self.lock();
        let Some(tail) = &state.tail else { return };
        if u64::from(tail.count().saturating_sub(state.saved)) < WORTH {
            return;
        }
        let end = tail.first + u64::from(tail.count());
        if write(&self.folder, &segment::path(&self.folder, tail.first), &tail.encode()).is_some() {
            state.saved = tail.count();
            state.written = end;
            drop(state);
            if log.publish().is_ok() {
                self.bind(log);
            }
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self, time: Duration) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopped.wait_timeout_while(stop, time, |stop| !*stop);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, log: &Log) {
        if !self.pause(DELAY) {
            self.load(log);
            self.follow(log);
        }
        let known = if self.lock().loaded { self.end() } else { read_bound(&self.folder).map_or(0, |b| b.0) };
        if log.durable_size().saturating_sub(known) >= SEGMENT {
            self.load(log);
            let until = Instant::now() + FAREWELL;
            while Instant::now() < until && self.end() < log.durable_size() {
                if self.take(log, log.durable_size()).is_none() {
                    break;
                }
            }
        }
        if self.lock().loaded {
            self.save_tail(log);
        }
    }

    fn follow(&self, log: &Log) {
        let mut before = log.size();
        loop {
            let end = self.end();
            let Ok(durable) = log.wait_durable(end, LOOK_UP) else { return };
            if self.is_stopping() {
                return;
            }
            self.bind(log);
            if durable <= end {
                continue;
            }
            let begun = Instant::now();
            if self.take(log, durable).is_none() {
                return;
            }
            let (busy, now) = (log.size() != before, log.size());
            before = now;
            if busy && durable - end > CHUNK && self.pause(begun.elapsed() * YIELD) {
                return;
            }
        }
    }
}

impl View for Index {
    fn candidates(&self, segment: u64, wanted: &Wanted) -> (Candidates, u32) {
        let first = segment * SEGMENT;
        if wanted.is_anything() {
            return (Candidates::All, 0);
        }
        let state = self.lock();
        if let Some(tail) = state.tail.as_ref().filter(|tail| tail.first == first) {
            return (tail.candidates(wanted), tail.count());
        }
        let Some(head) = state.segments.get(&first).cloned() else { return (Candidates::All, 0) };
        drop(state);
        let path = segment::path(&self.folder, first);
        if let Some(candidates) = segment::candidates(&path, &head, wanted) {
            return (candidates, head.count);
        }
        self.lock().segments.remove(&first);
        let _ = std::fs::remove_file(path); // so that the next owner makes it anew
        (Candidates::All, 0)
    }
}

/// The thread that keeps the index.
pub(crate) struct Keeper {
    index: Arc<Index>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// `with_log` runs what it is given with the log that the index is of.
    pub(crate) fn start(
        index: &Arc<Index>,
        with_log: impl FnOnce(&dyn Fn(&Log)) + Send + 'static,
    ) -> std::io::Result<Self> {
        let kept = Arc::clone(index);
        let thread = std::thread::Builder::new()
            .name("audit-index".into())
            .spawn(move || with_log(&|log| kept.run(log)))?;
        Ok(Self { index: Arc::clone(index), thread: Some(thread) })
    }

    /// Ends the thread; it may first write what it has.
    pub(crate) fn stop(&mut self) {
        *self.index.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.index.stopped.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported by the hook
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether the log, as it is published, had this root when it had this size.
fn extends(log: &Log, size: u64, root: Hash) -> bool {
    let now = log.latest_checkpoint();
    if size > now.size() {
        return false;
    }
    let new = now.checkpoint.root;
    log.consistency(size, now.size())
        .is_ok_and(|path| tlog::verify_consistency::<Sha256>(size, now.size(), &path, &root, &new).is_ok())
}

/// Size and root.
fn read_bound(folder: &Path) -> Option<(u64, Hash)> {
    let path = folder.join(BOUND);
    if path.metadata().ok()?.len() > 1024 {
        return None;
    }
    parse_bound(&std::fs::read_to_string(path).ok()?)
}

pub(crate) fn parse_bound(text: &str) -> Option<(u64, Hash)> {
    let (size, root) =
        text.strip_prefix(BOUND_TITLE)?.strip_prefix('\n')?.strip_suffix('\n')?.split_once(' ')?;
    let mut hash: Hash = [0; 32];
    hex::decode_to_slice(root, &mut hash).ok()?;
    Some((size.parse().ok().filter(|size| *size > 0)?, hash))
}

/// Writes a file aside and gives it its name; what goes wrong costs speed only.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> Option<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).ok()?;
    let aside = path.with_extension("new");
    std::fs::write(&aside, bytes).ok()?;
    std::fs::rename(&aside, path).ok()
}
