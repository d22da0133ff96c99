//! The thread that records, and the queue before it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use audit::{AuditError, Session, document};
use event::{Fact, Severity};

/// Events that are offered together.
const BATCH: usize = 512;
/// How often drops are recorded, and how long to wait before a failed batch is offered again.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a batch is offered again once the program wants to end.
const LAST_TRIES: u32 = 8;

/// What became of the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Durable.
    pub recorded: u64,
    /// Not admitted: another action or subject kind than the catalogue knows, most likely.
    pub refused: u64,
    /// Found the queue full, or could not be recorded until the program ended.
    pub dropped: u64,
}

#[derive(Default)]
struct Shared {
    recorded: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    ending: AtomicBool,
}

enum Message {
    Event(Vec<u8>, Option<SyncSender<()>>),
    End,
}

/// The sending end.
pub(crate) struct Worker {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

impl Worker {
    pub(crate) fn start(session: Arc<Session>, queue: usize) -> Result<(Self, Guard), AuditError> {
        let (sender, receiver) = sync_channel(queue);
        let shared = Arc::new(Shared::default());
        let counted = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("audit-tracing".into())
            .spawn(move || work(&session, &receiver, &counted))
            .map_err(|source| AuditError::Io {
                what: "start a thread for",
                path: Path::new("audit-tracing").into(),
                source,
            })?;
        let guard =
            Guard { queue: sender.clone(), shared: Arc::clone(&shared), thread: Mutex::new(Some(thread)) };
        Ok((Self { queue: sender, shared }, guard))
    }

    /// Queues an event; waits until it is answered only when asked to.
    pub(crate) fn send(&self, fact: Fact, wait: bool) {
        let Ok(document) = document(fact) else { return self.drop_one() };
        if !wait {
            match self.queue.try_send(Message::Event(document, None)) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.drop_one(),
            }
            return;
        }
        let (answer, answered) = sync_channel(1);
        match self.queue.send(Message::Event(document, Some(answer))) {
            Ok(()) => {
                let _ = answered.recv(); // an error is the answer: the sender went with the batch
            }
            Err(_) => self.drop_one(),
        }
    }

    fn drop_one(&self) {
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Keeps the thread. Dropped, it waits until what is queued was recorded.
#[must_use = "dropped at once, it ends the recording at once"]
pub struct Guard {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Guard {
    /// What became of the events so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { recorded, refused, dropped, .. } = &*self.shared;
        Counts { recorded: load(recorded), refused: load(refused), dropped: load(dropped) }
    }

    /// Waits until what is queued was recorded, and ends. Later events are dropped.
    pub fn finish(self) -> Counts {
        self.end();
        self.counts()
    }

    fn end(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            self.shared.ending.store(true, Ordering::SeqCst);
            let _ = self.queue.send(Message::End); // it ended by itself
            let _ = thread.join(); // a panic there was reported by the hook
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

fn work(session: &Session, queue: &Receiver<Message>, shared: &Shared) {
    let mut told = 0;
    let mut ended = false;
    while !ended {
        let mut next = match queue.recv_timeout(PAUSE) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let (mut events, mut waiting) = (Vec::new(), Vec::new());
        while let Some(message) = next {
            match message {
                Message::Event(event, answer) => {
                    events.push(event);
                    waiting.extend(answer);
                }
                Message::End => ended = true,
            }
            next = if events.len() < BATCH { queue.try_recv().ok() } else { None };
        }
        if !events.is_empty() {
            record(session, events, shared);
        }
        drop(waiting); // answers everyone who waits
        let dropped = shared.dropped.load(Ordering::Relaxed);
        if dropped > told && tell(session, dropped - told).is_ok() {
            told = dropped;
        }
    }
}

/// Offers a batch until it is answered: its ids make that safe.
fn record(session: &Session, events: Vec<Vec<u8>>, shared: &Shared) {
    let mut last = 0;
    loop {
        match session.offer(events.clone()) {
            Ok(verdicts) => {
                let refused = verdicts.iter().filter(|verdict| verdict.is_err()).count() as u64;
                shared.refused.fetch_add(refused, Ordering::Relaxed);
                shared.recorded.fetch_add(events.len() as u64 - refused, Ordering::Relaxed);
                return;
            }
            Err(_) if last < LAST_TRIES => {
                last += u32::from(shared.ending.load(Ordering::SeqCst));
                std::thread::sleep(PAUSE);
            }
            Err(_) => {
                shared.dropped.fetch_add(events.len() as u64, Ordering::Relaxed);
                return;
            }
        }
    }
}

fn tell(session: &Session, dropped: u64) -> Result<(), AuditError> {
    let fact = Fact::new("AUDIT.DROPPED")
        .severity(Severity::Warn)
        .subject("pid", std::process::id().to_string())
        .context("dropped", dropped.to_string());
    session.offer(vec![document(fact)?]).map(|_| ())
}
