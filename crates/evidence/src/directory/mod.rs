//! A directory: every entry below it, none of it through a symbolic link.
//!
//! `sys` supplies `walk(root, visit)`: it opens the directory and calls `visit` for everything below, parents
//! first, names in the order of their bytes. A file comes as `Pending`, which a hashing thread opens: relative to its
//! parent and never through a link.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use gm::DualDigest;
use seal::{Entry, EntryPath, ObservedKind, escape};

use self::content::Content;
use self::sys::Pending;
use crate::Progress;
use crate::budget::check_entries;
use crate::collector::{Collector, Found};
use crate::engine::{self, Next, Supply};
use crate::error::EvidenceError;
use crate::image::{Image, Images};
use crate::meter::Meter;
use crate::options::Options;

mod content;
#[cfg(not(unix))]
#[path = "other.rs"]
mod sys;
#[cfg(unix)]
#[path = "unix.rs"]
mod sys;

/// Files that wait to be opened. Each holds its folder open, so with the depth of a path and the lanes this stays
/// below the thousand descriptors that a process usually has.
const QUEUE: usize = 384;

/// Files that are worth waking a thread for.
const BATCH: usize = 32;

/// What a walk meets.
pub(crate) enum Met {
    /// A regular file.
    File(Pending),
    /// A symbolic link and its target.
    Symlink(String),
    /// A directory and its mode. Its content follows.
    Directory(u32),
}

pub(crate) fn observe(
    root: &Path,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Found, EvidenceError> {
    let shared = Shared {
        queue: Mutex::default(),
        changed: Condvar::new(),
        room: Condvar::new(),
        collector: Mutex::new(Collector::new(options)),
        failure: Mutex::new(None),
        stop: AtomicBool::new(false),
        meter: Meter::new(progress, None),
        images: options.images,
    };
    engine::run(&&shared, (options.workers(), options.sm3.as_deref()), || {
        let mut walk = Walk { options, shared: &shared };
        if let Err(error) = sys::walk(root, &mut walk) {
            shared.fail(error);
        }
        shared.close();
    });
    let Shared { collector, failure, .. } = shared;
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => {
            let collector = collector.into_inner().unwrap_or_else(PoisonError::into_inner);
            Ok(collector.finish(ObservedKind::Directory, None, None))
        }
    }
}

struct Job {
    path: EntryPath,
    pending: Pending,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
    /// Threads that wait for a job: to wake nobody costs a system call too.
    waiting: usize,
    /// Whether the walker waits for room.
    full: bool,
}

/// What the walking thread and the hashing threads have in common. The first failure ends them all.
struct Shared<'a> {
    queue: Mutex<Queue>,
    /// The queue has something, or is closed.
    changed: Condvar,
    /// The queue is shorter.
    room: Condvar,
    collector: Mutex<Collector<'static>>,
    failure: Mutex<Option<EvidenceError>>,
    stop: AtomicBool,
    meter: Meter<'a>,
    images: Images,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared<'_> {
    fn fail(&self, error: EvidenceError) {
        self.stop.store(true, Ordering::Relaxed);
        lock(&self.failure).get_or_insert(error);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn take(&self, path: &str, found: Result<Entry, EvidenceError>) {
        self.take_with(path, found, None);
    }

    fn take_with(&self, path: &str, found: Result<Entry, EvidenceError>, image: Option<Image>) {
        let mut collector = lock(&self.collector);
        collector.image(image);
        let taken = collector.take(path, found);
        drop(collector);
        if let Err(error) = taken {
            self.fail(error);
        }
    }

    /// Waits for room; what comes after a failure is dropped.
    fn push(&self, job: Job) {
        let mut queue = lock(&self.queue);
        while queue.jobs.len() >= QUEUE && !self.stopped() {
            queue.full = true;
            // A failing thread may end without a word, hence the time.
            let waited = self.room.wait_timeout(queue, std::time::Duration::from_millis(50));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !self.stopped() {
            queue.jobs.push_back(job);
            // One job is no reason to wake up, unless none follows: see `close`.
            let wake = queue.waiting > 0 && queue.jobs.len() >= BATCH;
            drop(queue);
            if wake {
                self.changed.notify_one();
            }
        }
    }

    fn close(&self) {
        lock(&self.queue).closed = true;
        self.changed.notify_all();
    }

    fn pop(&self, idle: bool) -> Next<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if self.stopped() {
                return Next::Never;
            }
            if let Some(job) = queue.jobs.pop_front() {
                let room = queue.full && queue.jobs.len() <= QUEUE / 2;
                queue.full &= !room;
                drop(queue);
                if room {
                    self.room.notify_one();
                }
                return Next::Task(job);
            }
            match (queue.closed, idle) {
                (true, _) => return Next::Never,
                (false, false) => return Next::Later,
                (false, true) => {
                    queue.waiting += 1;
                    queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    queue.waiting -= 1;
                }
            }
        }
    }
}

impl<'a> Supply for &'a Shared<'a> {
    type Task = Content<'a>;

    fn next(&self, idle: bool) -> Next<Content<'a>> {
        loop {
            let job = match self.pop(idle) {
                Next::Task(job) => job,
                Next::Later => return Next::Later,
                Next::Never => return Next::Never,
            };
            let opened = job
                .pending
                .open(&job.path)
                .and_then(|file| Content::new(job.path.clone(), file, (&self.meter, self.images)));
            match opened {
                Ok(content) => return Next::Task(content),
                Err(error) => self.take(job.path.as_str(), Err(error)),
            }
        }
    }

    fn done(&self, task: Content<'a>, digest: Result<DualDigest, EvidenceError>) {
        let found = digest.map(|digest| task.entry(digest));
        let path = task.path.clone();
        let image = found.is_ok().then(|| task.into_image()).flatten();
        self.take_with(path.as_str(), found, image);
    }
}

/// The walking thread's side.
pub(crate) struct Walk<'a, 'p> {
    options: &'a Options,
    shared: &'a Shared<'p>,
}

impl Walk<'_, '_> {
    /// Whether something failed and the walk may end.
    pub(crate) fn stopped(&self) -> bool {
        self.shared.stopped()
    }

    /// Holds the names of one folder to the limit before they are looked at: they are kept in memory.
    pub(crate) fn check_count(&self, count: usize) -> Result<(), EvidenceError> {
        check_entries(&self.options.limits, count)
    }

    /// The path of `name` below `parent`, unless it is left out or cannot be sealed (which is noted).
    pub(crate) fn path(&self, parent: Option<&EntryPath>, name: &[u8]) -> Option<EntryPath> {
        let checked = std::str::from_utf8(name)
            .map_err(|_| EvidenceError::Name { name: escape(&joined(parent, name)) })
            .and_then(|name| {
                let text = parent.map_or_else(|| name.to_owned(), |p| format!("{}/{name}", p.as_str()));
                Ok(EntryPath::new(&text)?)
            });
        match checked {
            Ok(path) => (!self.options.exclude.matches(path.as_str())).then_some(path),
            Err(error) => {
                self.shared.take(&escape(&joined(parent, name)), Err(error));
                None
            }
        }
    }

    pub(crate) fn meet(&self, path: EntryPath, met: Result<Met, EvidenceError>) {
        let found = match met {
            Ok(Met::File(pending)) => return self.shared.push(Job { path, pending }),
            Ok(Met::Directory(mode)) => Ok(Entry::directory(path.clone(), mode)),
            Ok(Met::Symlink(target)) => Ok(Entry::symlink(path.clone(), &target)),
            Err(error) => Err(error),
        };
        self.shared.take(path.as_str(), found);
    }
}

fn joined(parent: Option<&EntryPath>, name: &[u8]) -> Vec<u8> {
    match parent {
        Some(parent) => [parent.as_str().as_bytes(), b"/", name].concat(),
        None => name.to_vec(),
    }
}
