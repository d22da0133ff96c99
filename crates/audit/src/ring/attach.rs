//! The producer's end: writes into the ring, and a thread that keeps an owner at its other end.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{Fault, InvalidComplianceEvent};
use shmring::{Memory, Push, RingError};

use super::encode::{Draft, Encoder};
use crate::AuditError;
use crate::socket::client::{dial, greet, unexpected};
use crate::socket::wire::{MAX_REPLY, Reply, Request, parse, read_frame, read_message, write_message};

/// Between two tries to find the next owner.
const RETRY: Duration = Duration::from_millis(20);
/// Refusals that are kept for whoever waits for theirs.
const MAX_REFUSALS: usize = 4096;
/// How long a refusal that the ring counts may take to come over the socket.
const TOLD: Duration = Duration::from_secs(2);

/// What happens to an event that finds no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenFull {
    /// The caller waits for room, as long as it takes.
    #[default]
    Wait,
    /// It is let go, and the ledger says how many were.
    Drop,
}

/// How a ring is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes, a power of two from 256 KiB to 64 MiB.
    pub capacity: u64,
    /// What happens to an event that finds no room.
    pub when_full: WhenFull,
}

impl Default for Options {
    /// 8 MiB: what a producer at full speed writes while a disk syncs.
    fn default() -> Self {
        Self { capacity: 8 << 20, when_full: WhenFull::Wait }
    }
}

/// A producer with a ring of its own. Dropped, it does not wait: what an owner has at its other end is recorded, what
/// none has is lost; [`Producer::wait_durable`] is there to know.
pub struct Producer {
    ring: shmring::Producer,
    encoder: Encoder,
    when_full: WhenFull,
    keeper: Arc<Keeper>,
    thread: Option<JoinHandle<()>>,
}

struct Keeper {
    home: PathBuf,
    file: OwnedFd,
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    stream: Option<UnixStream>,
    stopping: bool,
    /// Why no owner will serve this ring again.
    failed: Option<String>,
    refusals: VecDeque<(u64, Vec<Fault>)>,
    /// How many refusals were told, by the owner's count.
    told: u64,
}

impl Producer {
    /// Asks the owner of the home for a ring.
    ///
    /// # Errors
    /// [`AuditError::Gone`] when nobody owns the home now; the owner's reason.
    pub fn attach(home: &Path, options: Options) -> Result<Self, AuditError> {
        let encoder = Encoder::new()?;
        let stream = dial(home)?.ok_or(AuditError::Gone)?;
        drop(greet(&stream)?.ok_or(AuditError::Gone)?);
        let request = Request::Ring { capacity: options.capacity, refusals: true };
        write_message(&mut &stream, &request).map_err(|_| AuditError::Gone)?;
        let file = receive(&stream)?;
        let memory = Memory::adopt(&file).map_err(|e| AuditError::protocol(e.to_string()))?;
        let ring = shmring::Producer::new(memory).map_err(|e| AuditError::protocol(e.to_string()))?;
        let kept = stream.try_clone().map_err(|e| AuditError::io("keep a connection to", home, e))?;
        let state = Mutex::new(State { stream: Some(kept), ..State::default() });
        let keeper = Arc::new(Keeper { home: home.to_owned(), file, state, told: Condvar::new() });
        let kept = Arc::clone(&keeper);
        let thread = std::thread::Builder::new()
            .name("audit-ring-keeper".into())
            .spawn(move || kept.keep(stream))
            .map_err(|e| AuditError::io("start a thread for", home, e))?;
        Ok(Self { ring, encoder, when_full: options.when_full, keeper, thread: Some(thread) })
    }

    /// Writes an event into the ring, with an id and the time. **Not durable yet**: [`Producer::wait_durable`] with the
    /// position says when. An event that is not admitted is counted by the owner, not told here.
    ///
    /// # Errors
    /// [`AuditError::Protocol`] when no owner will serve this ring again, or the event is longer than 64 KiB.
    pub fn record_fast(&mut self, draft: &Draft<'_>) -> Result<Push, AuditError> {
        let (_, event) = self.encoder.encode(draft);
        put(&mut self.ring, self.when_full, &self.keeper, event)
    }

    /// The same for an event that has its id and its time, a JSON document as `docs/formats/event.md` says.
    ///
    /// # Errors
    /// As [`Producer::record_fast`].
    pub fn offer_fast(&mut self, event: &[u8]) -> Result<Push, AuditError> {
        put(&mut self.ring, self.when_full, &self.keeper, event)
    }

    /// Waits until the event that ends at `position`, and everything before it, is durable or refused.
    ///
    /// # Errors
    /// [`AuditError::Invalid`] when this event was refused; [`AuditError::Gone`] when it is not durable in time.
    pub fn wait_durable(&self, position: u64, time: Duration) -> Result<(), AuditError> {
        if !self.ring.wait_settled(position, Some(Instant::now() + time)) {
            self.keeper.check()?;
            return Err(AuditError::Gone);
        }
        match self.keeper.refusal(position, self.ring.refused()) {
            None => Ok(()),
            Some(faults) => Err(AuditError::Invalid(InvalidComplianceEvent { faults })),
        }
    }

    /// Everything before this position is durable or refused.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.ring.settled()
    }

    /// Where the next event will begin.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.ring.position()
    }

    /// Events that were refused, of those that are settled.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.ring.refused()
    }

    /// Events that were let go.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.ring.dropped()
    }
}

fn put(
    ring: &mut shmring::Producer,
    when_full: WhenFull,
    keeper: &Keeper,
    event: &[u8],
) -> Result<Push, AuditError> {
    let pushed = match when_full {
        WhenFull::Drop => ring.push_or_drop(event),
        WhenFull::Wait => loop {
            match ring.push_by(event, Some(Instant::now() + TOLD)) {
                Err(RingError::Full) => keeper.check()?,
                done => break done.map(Push::Written),
            }
        },
    };
    pushed.map_err(|e| AuditError::protocol(e.to_string()))
}

impl Drop for Producer {
    fn drop(&mut self) {
        {
            let mut state = self.keeper.lock();
            state.stopping = true;
            if let Some(stream) = &state.stream {
                let _ = stream.shutdown(Shutdown::Both); // it ended by itself
            }
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported by the hook
        }
    }
}

impl Keeper {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an owner may still come.
    fn check(&self) -> Result<(), AuditError> {
        self.lock().failed.clone().map_or(Ok(()), |why| Err(AuditError::protocol(why)))
    }

    /// Listens to one owner after another.
    fn keep(&self, mut stream: UnixStream) {
        loop {
            self.listen(&stream);
            loop {
                if self.lock().stopping {
                    return;
                }
                std::thread::sleep(RETRY);
                match self.offer() {
                    Ok(Some(next)) => {
                        stream = next;
                        break;
                    }
                    Ok(None) => {}
                    Err(why) => {
                        self.lock().failed = Some(why);
                        self.told.notify_all();
                        return;
                    }
                }
            }
        }
    }

    /// Takes what the owner tells, until it leaves.
    fn listen(&self, mut stream: &UnixStream) {
        while let Ok(reply) = read_message(&mut stream, MAX_REPLY) {
            let mut state = self.lock();
            match reply {
                Reply::Refused { position, total, faults } => {
                    state.told = state.told.max(total);
                    state.refusals.push_back((position, faults));
                    if state.refusals.len() > MAX_REFUSALS {
                        state.refusals.pop_front();
                    }
                    self.told.notify_all();
                }
                // Why this owner ends; the next offer will show whether it was meant for good.
                _ => return,
            }
        }
    }

    /// Offers the ring to whoever owns the home now; nothing when nobody does. The error is for good.
    fn offer(&self) -> Result<Option<UnixStream>, String> {
        let Ok(Some(stream)) = dial(&self.home) else { return Ok(None) };
        let Ok(Some(_)) = greet(&stream) else { return Ok(None) };
        let mut frame = Vec::new();
        let written = write_message(&mut frame, &Request::RingOffer { refusals: true });
        let sent = written.and_then(|()| shmring::send(&stream, &frame, &self.file));
        let Ok(sent) = sent else { return Ok(None) };
        if std::io::Write::write_all(&mut &stream, &frame[sent..]).is_err() {
            return Ok(None);
        }
        let reply = read_message(&mut &stream, MAX_REPLY);
        match reply {
            Ok(Reply::Ring { .. }) => {}
            Ok(Reply::Error { kind: crate::ErrorKind::Request, message }) => return Err(message),
            _ => return Ok(None),
        }
        let Ok(kept) = stream.try_clone() else { return Ok(None) };
        let mut state = self.lock();
        state.stream = Some(kept);
        Ok((!state.stopping).then_some(stream))
    }

    /// What was wrong with the event that ends at `position`, once the `refused` refusals so far are known.
    fn refusal(&self, position: u64, refused: u64) -> Option<Vec<Fault>> {
        let deadline = Instant::now() + TOLD;
        let mut state = self.lock();
        while state.told < refused && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            state = self.told.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let at = state.refusals.iter().position(|(end, _)| *end == position)?;
        state.refusals.remove(at).map(|(_, faults)| faults)
    }
}

/// The reply to the request for a ring, and the descriptor that comes with its first byte.
fn receive(stream: &UnixStream) -> Result<OwnedFd, AuditError> {
    let mut bytes = [0u8; 1024];
    let (length, file) = shmring::receive(stream, &mut bytes).map_err(|_| AuditError::Gone)?;
    let rest = std::io::Read::chain(&bytes[..length], stream);
    let frame = read_frame(&mut { rest }, MAX_REPLY)?;
    match (parse(&frame)?, file) {
        (Reply::Ring { .. }, Some(file)) => Ok(file),
        (Reply::Ring { .. }, None) => Err(AuditError::protocol("no descriptor came with the ring")),
        (other, _) => Err(unexpected(other)),
    }
}
