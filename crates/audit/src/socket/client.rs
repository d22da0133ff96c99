//! Everyone else's end. One thread reads the replies, so that neither end can wait for the other to read.

use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, BufWriter, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::MAX_OFFERED;

use super::SOCKET;
use super::path::Folder;
use super::wire::{
    Hello, MAX_BATCH, MAX_BATCH_BYTES, MAX_REPLY, Reply, Request, read_frame, read_message, write_bytes,
    write_message,
};
use crate::AuditError;
use crate::pending::Verdict;
use crate::proof::{Proof, Selector, Status};
use crate::query::{Filter, Found, Sink};
use crate::retention::{Applied, Orders, Report};
use crate::vault::{VaultAnswer, VaultCall};

/// Replies that may be outstanding before a request waits: bounds what the owner's answers can take here.
const MAX_WAITING: usize = 64;

/// A connection to the owner.
pub(crate) struct Client {
    home: PathBuf,
    output: Mutex<BufWriter<UnixStream>>,
    inbox: Arc<Inbox>,
}

/// Replies come in the order of the requests; each is kept under its request's number until it is fetched.
#[derive(Default)]
struct Inbox {
    state: Mutex<Replies>,
    arrived: Condvar,
}

#[derive(Default)]
struct Replies {
    sent: u64,
    waiting: VecDeque<u64>,
    here: HashMap<u64, Reply>,
    ended: bool,
}

impl Client {
    /// Connects; nothing when nobody serves the home.
    pub(crate) fn connect(home: &Path) -> Result<Option<Self>, AuditError> {
        let Some(stream) = dial(home)? else { return Ok(None) };
        let Some(input) = greet(&stream)? else { return Ok(None) };
        let inbox = Arc::new(Inbox::default());
        let filled = Arc::clone(&inbox);
        std::thread::Builder::new()
            .name("audit-replies".into())
            .spawn(move || filled.fill(input))
            .map_err(|e| AuditError::io("start a thread for", home, e))?;
        let output = Mutex::new(BufWriter::with_capacity(64 * 1024, stream));
        Ok(Some(Self { home: home.to_owned(), output, inbox }))
    }

    /// Sends events, in as many batches as the limits ask for.
    pub(crate) fn submit(&self, offered: &[Vec<u8>]) -> Result<Vec<u64>, AuditError> {
        let mut slots = Vec::new();
        let mut rest = offered;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(MAX_BATCH).take_while(|event| {
                bytes += within_frame(event).len();
                bytes <= MAX_BATCH_BYTES
            });
            let (batch, after) = rest.split_at(fits.count());
            slots.push(self.send(&Request::Record { count: batch.len() }, batch)?);
            rest = after;
        }
        Ok(slots)
    }

    /// The verdicts of batches, in order.
    pub(crate) fn verdicts(&self, slots: &[u64]) -> Result<Vec<Verdict>, AuditError> {
        let mut verdicts = Vec::new();
        for slot in slots {
            match self.inbox.fetch(*slot)? {
                Reply::Recorded(batch) => {
                    verdicts.extend(batch.into_iter().map(Verdict::try_from).collect::<Result<Vec<_>, _>>()?);
                }
                other => return Err(unexpected(other)),
            }
        }
        Ok(verdicts)
    }

    pub(crate) fn status(&self) -> Result<Status, AuditError> {
        match self.ask(&Request::Status {})? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) fn checkpoint(&self) -> Result<String, AuditError> {
        self.note(&Request::Checkpoint {})
    }

    pub(crate) fn prove(&self, selector: &Selector) -> Result<Proof, AuditError> {
        match self.ask(&Request::Prove { selector: selector.clone() })? {
            Reply::Proof(proof) => Ok(proof),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) fn prove_consistency(&self, old: u64) -> Result<String, AuditError> {
        self.note(&Request::Consistency { old })
    }

    pub(crate) fn retention(&self, confirm_clock: bool) -> Result<Report, AuditError> {
        match self.ask(&Request::Retention { confirm_clock })? {
            Reply::Retention(report) => Ok(*report),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) fn apply_retention(&self, orders: Orders) -> Result<Applied, AuditError> {
        match self.ask(&Request::RetentionApply { orders })? {
            Reply::Applied(applied) => Ok(*applied),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) fn vault(&self, call: &VaultCall) -> Result<VaultAnswer, AuditError> {
        match self.ask(&Request::Vault { ask: Box::new(call.clone()) })? {
            Reply::Vault(answer) => Ok(*answer),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) fn trace_seen(&self, id: &str, within: Duration) -> Result<bool, AuditError> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        match self.ask(&Request::TraceSeen { id: id.to_owned(), within_ms })? {
            Reply::Trace { seen } => Ok(seen),
            other => Err(unexpected(other)),
        }
    }

    fn note(&self, request: &Request) -> Result<String, AuditError> {
        match self.ask(request)? {
            Reply::Note(note) => Ok(note),
            other => Err(unexpected(other)),
        }
    }

    /// A query over a connection of its own, so that it holds up nothing else.
    pub(crate) fn stream(
        &self,
        filter: &Filter,
        follow: bool,
        wanted: &dyn Fn() -> bool,
        sink: &mut Sink<'_>,
        idle: &mut dyn FnMut() -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let stream = dial(&self.home)?.ok_or(AuditError::Gone)?;
        let mut input = greet(&stream)?.ok_or(AuditError::Gone)?;
        let request = Request::Query { filter: Box::new(filter.clone()), follow };
        write_message(&mut &stream, &request).map_err(|_| AuditError::Gone)?;
        while wanted() {
            match read_message(&mut input, MAX_REPLY)? {
                Reply::Entry { index } => {
                    sink(Found { index, stored: read_frame(&mut input, MAX_REPLY)? })?;
                }
                Reply::Idle => idle()?,
                Reply::End => return Ok(()),
                other => return Err(unexpected(other)),
            }
        }
        Ok(())
    }

    fn ask(&self, request: &Request) -> Result<Reply, AuditError> {
        let slot = self.send(request, &[])?;
        self.inbox.fetch(slot)
    }

    fn send(&self, request: &Request, events: &[Vec<u8>]) -> Result<u64, AuditError> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = self.inbox.expect()?;
        let write = || {
            write_message(&mut *output, request)?;
            events.iter().try_for_each(|event| write_bytes(&mut *output, within_frame(event)))?;
            output.flush()
        };
        let mut write = write;
        write().map_err(|_| AuditError::Gone)?;
        Ok(slot)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let output = self.output.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = output.get_ref().shutdown(Shutdown::Both); // ends the thread that reads; gone is as good
    }
}

/// What is longer than can be admitted is cut a byte later: the owner refuses it, and says why.
fn within_frame(event: &[u8]) -> &[u8] {
    &event[..event.len().min(MAX_OFFERED + 1)]
}

pub(crate) fn unexpected(reply: Reply) -> AuditError {
    match reply {
        Reply::Error { kind, message } => AuditError::Remote { kind, message },
        _ => AuditError::protocol("the reply is not one to the request"),
    }
}

/// A connection to whoever serves the home; nothing when nobody does.
pub(crate) fn dial(home: &Path) -> Result<Option<UnixStream>, AuditError> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    let fail = |e| AuditError::io("connect to", &home.join(SOCKET), e);
    let folder = match Folder::open(home) {
        Err(e) if e.kind() == NotFound => return Ok(None),
        folder => folder.map_err(fail)?,
    };
    match UnixStream::connect(folder.join(SOCKET)) {
        Ok(stream) => Ok(Some(stream)),
        Err(e) if matches!(e.kind(), ConnectionRefused | NotFound) => Ok(None),
        Err(e) => Err(fail(e)),
    }
}

/// How long an owner may take to say who it is.
const GREETING: Duration = Duration::from_secs(2);

/// Both ends say who they are; nothing when the owner is just leaving.
pub(crate) fn greet(stream: &UnixStream) -> Result<Option<BufReader<UnixStream>>, AuditError> {
    let Ok(input) = stream.try_clone() else { return Ok(None) };
    // The kernel accepts for an owner that is stopped; the caller's patience decides how often to ask again.
    let bounded = |time| stream.set_read_timeout(time).is_ok();
    if !bounded(Some(GREETING)) {
        return Ok(None);
    }
    let mut input = BufReader::with_capacity(64 * 1024, input);
    if write_message(&mut &*stream, &Hello::ours()).is_err() {
        return Ok(None);
    }
    match read_message(&mut input, MAX_REPLY) {
        Ok(Reply::Hello(hello)) if hello == Hello::ours() => Ok(bounded(None).then_some(input)),
        Err(AuditError::Gone | AuditError::Io { .. }) => Ok(None),
        Ok(other) => Err(unexpected(other)),
        Err(error) => Err(error),
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Replies> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers the next request. The caller sends it before anyone else sends.
    fn expect(&self) -> Result<u64, AuditError> {
        let mut replies = self.lock();
        while replies.waiting.len() >= MAX_WAITING && !replies.ended {
            replies = self.arrived.wait(replies).unwrap_or_else(PoisonError::into_inner);
        }
        if replies.ended {
            return Err(AuditError::Gone);
        }
        replies.sent += 1;
        let slot = replies.sent;
        replies.waiting.push_back(slot);
        Ok(slot)
    }

    fn fill(&self, mut input: BufReader<UnixStream>) {
        while let Ok(reply) = read_message(&mut input, MAX_REPLY) {
            let mut replies = self.lock();
            let Some(slot) = replies.waiting.pop_front() else { break }; // a reply to nothing
            replies.here.insert(slot, reply);
            self.arrived.notify_all();
        }
        self.lock().ended = true;
        self.arrived.notify_all();
    }

    fn fetch(&self, slot: u64) -> Result<Reply, AuditError> {
        let mut replies = self.lock();
        loop {
            if let Some(reply) = replies.here.remove(&slot) {
                return Ok(reply);
            }
            if replies.ended {
                return Err(AuditError::Gone);
            }
            replies = self.arrived.wait(replies).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
