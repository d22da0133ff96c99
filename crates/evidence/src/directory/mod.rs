//! A directory: every entry below it, none of it through a symbolic link.
//!
//! `sys` supplies `walk(root, visit)`: it opens the directory and calls `visit` for everything below, parents
//! first, names in the order of their bytes, each file opened relative to its parent and never through a link.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use seal::{Entry, EntryPath, Observation, ObservedKind, escape};

use crate::Progress;
use crate::budget::check_entries;
use crate::collector::Collector;
use crate::content;
use crate::error::EvidenceError;
use crate::file::{mode, stamp};
use crate::options::Options;

#[cfg(not(unix))]
#[path = "other.rs"]
mod sys;
#[cfg(unix)]
#[path = "unix.rs"]
mod sys;

/// Files opened and waiting to be hashed.
const QUEUE: usize = 32;

/// What a walk meets.
pub(crate) enum Met {
    /// A regular file, open.
    File(File),
    /// A symbolic link and its target.
    Symlink(String),
    /// A directory and its mode. Its content follows.
    Directory(u32),
}

pub(crate) fn observe(
    root: &Path,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Observation, EvidenceError> {
    let shared = Shared {
        collector: Mutex::new(Collector::new(options)),
        failure: Mutex::new(None),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
        progress,
    };
    let (sender, receiver) = sync_channel(QUEUE);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        for _ in 0..options.workers() {
            scope.spawn(|| shared.work(&receiver));
        }
        let mut walk = Walk { options, shared: &shared, sender };
        if let Err(error) = sys::walk(root, &mut walk) {
            shared.fail(error);
        }
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
    file: File,
}

/// What the walking thread and the hashing threads have in common. The first failure ends them all.
struct Shared<'a> {
    collector: Mutex<Collector<'static>>,
    failure: Mutex<Option<EvidenceError>>,
    stop: AtomicBool,
    done: AtomicU64,
    progress: Progress<'a>,
}

impl Shared<'_> {
    fn fail(&self, error: EvidenceError) {
        self.stop.store(true, Ordering::Relaxed);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn take(&self, path: &str, found: Result<Entry, EvidenceError>) {
        let taken = self.collector.lock().unwrap_or_else(PoisonError::into_inner).take(path, found);
        if let Err(error) = taken {
            self.fail(error);
        }
    }

    fn work(&self, jobs: &Mutex<Receiver<Job>>) {
        let mut buffer = vec![0; content::CHUNK];
        loop {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            if self.stop.load(Ordering::Relaxed) {
                continue; // drain, so that the walker is not left waiting
            }
            let found = self.hash(&job, &mut buffer);
            self.take(job.path.as_str(), found);
        }
    }

    fn hash(&self, job: &Job, buffer: &mut [u8]) -> Result<Entry, EvidenceError> {
        let failed = |e| EvidenceError::from_io(e, |e| EvidenceError::read(Path::new(job.path.as_str()), e));
        let before = job.file.metadata().map_err(failed)?;
        let mut reader = &job.file;
        let (size, digest) = content::hash(&mut reader, buffer, |piece| {
            let done = self.done.fetch_add(piece.len() as u64, Ordering::Relaxed) + piece.len() as u64;
            (self.progress)(done, None);
            Ok(())
        })
        .map_err(failed)?;
        let after = job.file.metadata().map_err(failed)?;
        if stamp(&before) != stamp(&after) || size != before.len() {
            return Err(EvidenceError::Unstable { path: job.path.to_string() });
        }
        Ok(Entry::file(job.path.clone(), mode(&before), size, digest))
    }
}

/// The walking thread's side.
pub(crate) struct Walk<'a, 'p> {
    options: &'a Options,
    shared: &'a Shared<'p>,
    sender: SyncSender<Job>,
}

impl Walk<'_, '_> {
    /// Whether something failed and the walk may end.
    pub(crate) fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
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
            Ok(Met::File(file)) => {
                // The workers outlive the walk; if they are gone all the same, there is a failure to report already.
                let _ = self.sender.send(Job { path, file });
                return;
            }
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
