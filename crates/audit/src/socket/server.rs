//! The owner's end: a thread per connection that reads and admits, and one that waits and answers, so that a
//! client's next batch is on its way to the disk while the last one is being synced.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io::{BufReader, BufWriter, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::SOCKET;
use super::ears::{Ears, Input};
use super::path::Folder;
use super::wire::{
    Hello, MAX_BATCH, MAX_BATCH_BYTES, MAX_REQUEST, Reply, Request, read_frame, read_message, write_bytes,
    write_message,
};
use crate::owner::{Owner, Submitted};
use crate::peer::Peer;
use crate::query::Filter;
use crate::{AuditError, LedgerError};

/// Connections beyond this many are turned away.
const MAX_CONNECTIONS: usize = 256;
/// Batches of one connection that may be on their way to the disk.
const IN_FLIGHT: usize = 32;
/// A peer that does not say hello in this time is turned away.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// How long peers may take to read their last answers when the owner leaves.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often refusals are recorded.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);

struct State {
    owner: Arc<Owner>,
    stopping: AtomicBool,
    streams: Mutex<HashMap<u64, UnixStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicU64,
    stopped: (Mutex<bool>, Condvar),
    /// Milliseconds that a batch waits for room while the disk is full; 0 refuses it at once.
    block: AtomicU64,
}

/// The listening socket and its threads.
pub(crate) struct Server {
    state: Arc<State>,
    socket: PathBuf,
    folder: Folder,
    accepting: Option<JoinHandle<()>>,
    ticking: Option<JoinHandle<()>>,
}

impl Server {
    /// Puts the socket into the home. It is bound aside, made owner-only and then given its name, so that nobody
    /// can connect before it is ready, and one that a dead owner left is replaced. The caller holds the lock.
    pub(crate) fn start(home: &Path, owner: &Arc<Owner>) -> Result<Self, AuditError> {
        let fail = |e| AuditError::io("open the socket", &home.join(SOCKET), e);
        let folder = Folder::open(home).map_err(fail)?;
        let (aside, socket) = (folder.join("custody.new"), folder.join(SOCKET));
        let _ = std::fs::remove_file(&aside); // left by an owner that died here
        let listener = UnixListener::bind(&aside).map_err(fail)?;
        std::fs::set_permissions(&aside, Permissions::from_mode(0o600)).map_err(fail)?;
        std::fs::rename(&aside, &socket).map_err(fail)?;
        let state = Arc::new(State {
            owner: Arc::clone(owner),
            stopping: AtomicBool::new(false),
            streams: Mutex::default(),
            threads: Mutex::default(),
            next: AtomicU64::new(0),
            stopped: Default::default(),
            block: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&state);
        let accepting = spawn("audit-socket", move || accept(&listener, &accepting)).map_err(fail)?;
        let ticking = Arc::clone(&state);
        let ticking = spawn("audit-refusals", move || tick(&ticking)).map_err(fail)?;
        Ok(Self { state, socket, folder, accepting: Some(accepting), ticking: Some(ticking) })
    }

    /// Has batches wait so long for room while the disk is full.
    pub(crate) fn block_when_full(&self, for_: Duration) {
        self.state.block.store(u64::try_from(for_.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// No new connections; what was received is answered; every connection ends.
    pub(crate) fn stop(&mut self) {
        if self.state.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        *lock(&self.state.stopped.0) = true;
        self.state.stopped.1.notify_all();
        // The connection that wakes `accept` is the only way to end it without unsafe code.
        let woken = UnixStream::connect(&self.socket).is_ok();
        let _ = std::fs::remove_file(&self.socket); // already gone is as good
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            let _ = accepting.join(); // a panic there was reported by the hook
        }
        for stream in lock(&self.state.streams).values() {
            let _ = stream.shutdown(Shutdown::Read); // it ended by itself
        }
        let threads = std::mem::take(&mut *lock(&self.state.threads));
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline && !threads.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(2));
        }
        for stream in lock(&self.state.streams).values() {
            let _ = stream.shutdown(Shutdown::Both); // wakes who still waits for a peer to read
        }
        for thread in threads.into_iter().chain(self.ticking.take()) {
            let _ = thread.join(); // as above
        }
        let _ = &self.folder; // open as long as the socket's name may go through it
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tick(state: &State) {
    let mut stopped = lock(&state.stopped.0);
    while !*stopped {
        stopped =
            state.stopped.1.wait_timeout(stopped, REFUSALS_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        drop(stopped);
        state.owner.record_refusals();
        stopped = lock(&state.stopped.0);
    }
}

fn accept(listener: &UnixListener, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.stopping.load(Ordering::SeqCst) {
            return;
        }
        match stream {
            Ok(stream) => welcome(stream, state),
            // Out of descriptors, most likely: the connections that are there may end.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn welcome(stream: UnixStream, state: &Arc<State>) {
    lock(&state.threads).retain(|thread| !thread.is_finished());
    let full = lock(&state.streams).len() >= MAX_CONNECTIONS;
    let Ok(kept) = stream.try_clone() else { return };
    if full {
        let message = "the owner has no room for another connection".to_owned();
        let _ = write_message(&mut &stream, &Reply::Error { kind: crate::ErrorKind::Environment, message });
        return;
    }
    let number = state.next.fetch_add(1, Ordering::Relaxed);
    lock(&state.streams).insert(number, kept);
    let inner = Arc::clone(state);
    let thread = spawn("audit-peer", move || {
        let _ = converse(&stream, &inner); // the peer was told, or is gone
        lock(&inner.streams).remove(&number);
        let _ = stream.shutdown(Shutdown::Both); // it ended by itself
    });
    match thread {
        Ok(thread) => lock(&state.threads).push(thread),
        Err(_) => drop(lock(&state.streams).remove(&number)),
    }
}

/// What the answering thread has to do, in the order of the requests.
enum Job {
    Reply(Reply),
    Settle(Result<Submitted, AuditError>, Vec<Vec<u8>>),
    Stream(Box<Filter>, bool),
}

fn converse(stream: &UnixStream, state: &Arc<State>) -> Result<(), AuditError> {
    let peer = Peer::of(stream).map_err(|_| AuditError::Gone)?;
    let mut input = BufReader::with_capacity(64 * 1024, Ears::new(stream));
    greet(stream, &mut input)?;
    let first = match read_message(&mut input, MAX_REQUEST) {
        Err(AuditError::Gone) => return Ok(()),
        Err(error) => {
            let _ = write_message(&mut &*stream, &failure(&error)); // the peer may be gone
            return Err(error);
        }
        Ok(request) => request,
    };
    let file = input.get_mut().deaf();
    if let Request::Ring { .. } | Request::RingOffer { .. } = &first {
        let served =
            crate::ring::serve(&state.owner, stream, &mut input, &peer, &first, file, &state.stopping);
        if let Err(error) = &served {
            let _ = write_message(&mut &*stream, &failure(error)); // as above
        }
        return served;
    }
    let (jobs, todo) = sync_channel(IN_FLIGHT);
    let leaving = Arc::new(AtomicBool::new(false));
    let output = stream.try_clone().map_err(|_| AuditError::Gone)?;
    let (inner, gone, theirs) = (Arc::clone(state), Arc::clone(&leaving), peer.clone());
    let answering = spawn("audit-answers", move || {
        let _ = answer(&inner, &theirs, &output, &todo, &gone); // the peer does not listen any more
        let _ = output.shutdown(Shutdown::Both); // and it is told that nobody else does
    });
    let answering = answering.map_err(|_| AuditError::Gone)?;
    let ended = serve(first, &mut input, &state.owner, &peer, &jobs);
    leaving.store(true, Ordering::SeqCst);
    if let Err(error @ AuditError::Protocol { .. }) = &ended {
        let _ = jobs.send(Job::Reply(failure(error))); // the answering thread ended first
    }
    drop(jobs);
    let _ = answering.join(); // a panic there was reported by the hook
    ended
}

/// Both ends say who they are; another version is told so and turned away.
fn greet(stream: &UnixStream, input: &mut Input<'_>) -> Result<(), AuditError> {
    let _ = stream.set_read_timeout(Some(HELLO_TIME)); // without one, the peer merely may take longer
    let hello: Result<Hello, AuditError> = read_message(input, 1024);
    let wrong = match hello {
        Ok(hello) if hello == Hello::ours() => None,
        Ok(_) => Some(AuditError::protocol("it speaks another protocol or version")),
        Err(error) => Some(error),
    };
    let reply = wrong.as_ref().map_or_else(|| Reply::Hello(Hello::ours()), failure);
    write_message(&mut &*stream, &reply).map_err(|_| AuditError::Gone)?;
    let _ = stream.set_read_timeout(None); // as above
    wrong.map_or(Ok(()), Err)
}

fn failure(error: &AuditError) -> Reply {
    let kind = error.told_kind();
    Reply::Error { kind, message: error.full_message() }
}

/// Reads requests until the peer leaves or breaks the protocol.
fn serve(
    first: Request,
    input: &mut Input<'_>,
    owner: &Owner,
    peer: &Peer,
    jobs: &SyncSender<Job>,
) -> Result<(), AuditError> {
    let told = |result: Result<Reply, AuditError>| Job::Reply(result.unwrap_or_else(|e| failure(&e)));
    let mut next = Some(first);
    loop {
        let request = match next.take().map_or_else(|| read_message(input, MAX_REQUEST), Ok) {
            Err(AuditError::Gone) => return Ok(()),
            request => request?,
        };
        let job = match request {
            Request::Record { count } => {
                let batch = read_batch(input, count)?;
                let submitted = owner.submit(&batch, peer);
                Job::Settle(submitted, batch)
            }
            Request::Status {} => Job::Reply(Reply::Status(owner.status())),
            Request::Checkpoint {} => told(owner.checkpoint().map(Reply::Note)),
            Request::Prove { selector } => told(owner.prove(&selector).map(Reply::Proof)),
            Request::Consistency { old } => told(owner.prove_consistency(old).map(Reply::Note)),
            Request::Retention { confirm_clock } => {
                told(owner.retention(confirm_clock, peer).map(|report| Reply::Retention(Box::new(report))))
            }
            Request::RetentionApply { orders } => {
                let applied = owner.apply_retention(orders, &[], peer);
                told(applied.map(|applied| Reply::Applied(Box::new(applied))))
            }
            Request::Vault { ask } => {
                told(owner.vault_call(*ask, peer).map(|answer| Reply::Vault(Box::new(answer))))
            }
            Request::Query { filter, follow } => Job::Stream(filter, follow),
            Request::TraceSeen { id, within_ms } => {
                let seen = owner.trace_seen(&id, Duration::from_millis(within_ms));
                told(seen.map(|seen| Reply::Trace { seen }))
            }
            Request::Ring { .. } | Request::RingOffer { .. } => {
                return Err(AuditError::protocol("a ring is asked for first, or not at all"));
            }
        };
        jobs.send(job).map_err(|_| AuditError::Gone)?;
    }
}

fn read_batch(input: &mut Input<'_>, count: usize) -> Result<Vec<Vec<u8>>, AuditError> {
    if count == 0 || count > MAX_BATCH {
        return Err(AuditError::protocol(format!("a batch has 1 to {MAX_BATCH} events")));
    }
    let mut room = MAX_BATCH_BYTES;
    (0..count)
        .map(|_| {
            let event = read_frame(input, MAX_REQUEST)?;
            room = room.checked_sub(event.len()).ok_or_else(|| {
                AuditError::protocol(format!("a batch has at most {MAX_BATCH_BYTES} bytes of events"))
            })?;
            Ok(event)
        })
        .collect()
}

/// The answering thread. It writes to the socket when there is nothing more to answer at once.
fn answer(
    state: &State,
    peer: &Peer,
    output: &UnixStream,
    todo: &Receiver<Job>,
    leaving: &AtomicBool,
) -> std::io::Result<()> {
    let owner = &*state.owner;
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    loop {
        let job = match todo.try_recv() {
            Ok(job) => job,
            Err(_) => {
                output.flush()?;
                let Ok(job) = todo.recv() else { return Ok(()) };
                job
            }
        };
        let reply = match job {
            Job::Reply(reply) => reply,
            Job::Settle(submitted, batch) => match settle(state, peer, submitted, &batch) {
                Ok(verdicts) => Reply::Recorded(verdicts.into_iter().map(Into::into).collect()),
                Err(error) => failure(&error),
            },
            Job::Stream(filter, follow) => stream(owner, &mut output, &filter, follow, leaving),
        };
        write_message(&mut output, &reply)?;
    }
}

/// Between two attempts when the disk is full.
const AGAIN: Duration = Duration::from_millis(500);

/// Waits for a batch; offers it again while the disk is full and the operator wants it to wait. Nothing of a batch that
/// was refused for want of space is in the ledger.
fn settle(
    state: &State,
    peer: &Peer,
    submitted: Result<Submitted, AuditError>,
    batch: &[Vec<u8>],
) -> Result<Vec<crate::Verdict>, AuditError> {
    let deadline = Instant::now() + Duration::from_millis(state.block.load(Ordering::Relaxed).min(3_600_000));
    let mut settled = submitted.and_then(|submitted| state.owner.settle(submitted));
    while matches!(&settled, Err(AuditError::Ledger(LedgerError::Full { .. })))
        && Instant::now() < deadline
        && !state.stopping.load(Ordering::SeqCst)
    {
        std::thread::sleep(AGAIN);
        let again = state.owner.submit_again(batch, peer);
        settled = again.and_then(|submitted| state.owner.settle(submitted));
    }
    settled
}

/// Writes what is found; the last reply is given back.
fn stream(
    owner: &Owner,
    output: &mut BufWriter<&UnixStream>,
    filter: &Filter,
    follow: bool,
    leaving: &AtomicBool,
) -> Reply {
    let output = std::cell::RefCell::new(output);
    let mut sink = |found: crate::query::Found| {
        let output = &mut *output.borrow_mut();
        write_message(output, &Reply::Entry { index: found.index })
            .and_then(|()| write_bytes(output, &found.stored))
            .map_err(|_| AuditError::Gone)
    };
    let mut idle = || {
        let output = &mut *output.borrow_mut();
        write_message(output, &Reply::Idle).and_then(|()| output.flush()).map_err(|_| AuditError::Gone)
    };
    let wanted = || !leaving.load(Ordering::SeqCst);
    let ended = if follow {
        owner.follow(filter, &wanted, &mut sink, &mut idle)
    } else {
        owner.query(filter, &mut sink)
    };
    ended.map_or_else(|e| failure(&e), |()| Reply::End)
}
