//! `POST /v1/evidence`, `GET /v1/evidence/{bizId}`: digests for a chain, answered at once and anchored behind that.
//!
//! The ledger is the outbox: a request is acknowledged when `ANCHOR.REQUESTED` is durable, and a thread sends it, and asks
//! for it, until `ANCHOR.CONFIRMED` or `ANCHOR.FAILED` is. What a daemon did not finish, the next one finds there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anchor::{Anchor, Authority, Evidence, Order, Status, Subject};
use audit::{Filter, Found, Recorder as _, Session};
use hyper::StatusCode;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

use super::Daemon;
use super::answer::{Answer, Problem, json};
use super::routes::Asked;
use crate::cmd::anchor::record;
use crate::failure::Failure;

/// Requests that wait for the chain at a time; more are told to come again.
const MAX_WAITING: usize = 100_000;
/// How long the thread sleeps when nothing is due.
const TURN: Duration = Duration::from_millis(500);

/// A request, by the names that the interface shares.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    biz_id: String,
    /// Lower-case hexadecimal SHA-256.
    content_hash: Option<String>,
    /// The content itself: it is hashed here, and goes nowhere.
    content: Option<String>,
    /// Milliseconds since 1970, by the caller's clock; recorded, and sent.
    timestamp: Option<i64>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// How a request stands, by the names that the interface shares.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    biz_id: String,
    content_hash: String,
    status: Status,
    tx_id: Option<String>,
    block_height: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A request that is not final.
#[derive(Clone)]
struct Waiting {
    subject: Subject,
    anchor: Anchor,
    due: Instant,
    attempt: u32,
}

/// What the thread and the handlers share.
struct Desk {
    session: Arc<Session>,
    authority: Box<dyn Authority>,
    waiting: Mutex<BTreeMap<String, Waiting>>,
    wake: Condvar,
    stop: AtomicBool,
}

/// The desk of a daemon, until it is dropped.
pub(crate) struct Evidences {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Evidences {
    /// Takes up what the ledger says is not final, and begins to send.
    pub(crate) fn start(session: &Arc<Session>, authority: Box<dyn Authority>) -> Result<Self, Failure> {
        // What the others give is a proof, which needs a file: `custody anchor submit`.
        if !matches!(authority.nothing(), Evidence::Chain { .. }) {
            let what =
                format!("`{}` is no chain, and `evidence` of `[serve]` is for chains", authority.address());
            return Err(Failure::input(anyhow::anyhow!(what)));
        }
        let desk = Arc::new(Desk {
            session: Arc::clone(session),
            authority,
            waiting: Mutex::default(),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let unfinished = desk.unfinished().map_err(crate::recorder::failure)?;
        *desk.lock() = unfinished;
        let inner = Arc::clone(&desk);
        let thread =
            std::thread::Builder::new()
                .name("custody-evidence".into())
                .spawn(move || inner.run())
                .map_err(|e| Failure::environment(anyhow::Error::from(e).context("cannot start a thread")))?;
        Ok(Self { desk, thread: Some(thread) })
    }
}

impl Drop for Evidences {
    fn drop(&mut self) {
        self.desk.stop.store(true, Ordering::SeqCst);
        self.desk.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported by the hook
        }
    }
}

/// `POST /v1/evidence`.
pub(crate) fn submit(daemon: &Daemon, asked: &Asked, body: &Bytes) -> Result<Answer, Problem> {
    let desk = desk(daemon)?;
    let request: Request = serde_json::from_slice(body).map_err(|e| Problem::bad(e.to_string()))?;
    let subject = request.subject()?;
    let requested = match request.timestamp {
        Some(milliseconds) => jiff::Timestamp::from_millisecond(milliseconds)
            .map_err(|_| Problem::bad("`timestamp` is milliseconds since 1970"))?,
        None => jiff::Timestamp::now(),
    };
    let order = Order { subject: &subject, biz_id: &request.biz_id, requested, metadata: &request.metadata };
    order.check().map_err(|e| Problem::bad(e.to_string()))?;
    let (status, shown) = desk.take(&order, &asked.caller.name)?;
    Ok(json(status, &shown))
}

/// `GET /v1/evidence/{bizId}`.
pub(crate) fn status(daemon: &Daemon, asked: &Asked) -> Result<Answer, Problem> {
    let desk = desk(daemon)?;
    anchor::authority::check_biz_id(&asked.rest).map_err(|e| Problem::bad(e.to_string()))?;
    let waiting = desk.lock().get(&asked.rest).map(|waiting| shown(&waiting.subject, &waiting.anchor));
    match waiting.map_or_else(|| desk.recorded(&asked.rest), |shown| Ok(Some(shown)))? {
        Some(shown) => Ok(json(StatusCode::OK, &shown)),
        None => Err(Problem::not_found("nothing was asked for under this id")),
    }
}

fn desk(daemon: &Daemon) -> Result<&Desk, Problem> {
    let none =
        || Problem::not_found("no chain is named for evidence (`evidence` in `[serve]` of custody.toml)");
    Ok(&daemon.evidences.as_ref().ok_or_else(none)?.desk)
}

impl Request {
    fn subject(&self) -> Result<Subject, Problem> {
        let computed = self.content.as_ref().map(|content| Subject::of(&self.biz_id, content.as_bytes()));
        let stated = self.content_hash.as_ref().map(|hash| Subject::of_sha256(&self.biz_id, hash));
        let stated = stated.transpose().map_err(|e| Problem::bad(format!("`contentHash`: {e}")))?;
        match (computed, stated) {
            (Some(computed), Some(stated)) if !computed.is(&stated) => {
                Err(Problem::bad("`contentHash` is not the SHA-256 of `content`"))
            }
            (Some(subject), _) | (None, Some(subject)) => Ok(subject),
            (None, None) => Err(Problem::bad("one of `contentHash` and `content` is needed")),
        }
    }
}

fn shown(subject: &Subject, anchor: &Anchor) -> Shown {
    let (tx_id, block_height) = match &anchor.evidence {
        Evidence::Chain { tx_id, block_height, .. } => (tx_id.clone(), *block_height),
        _ => (None, None),
    };
    Shown {
        biz_id: anchor.biz_id.clone(),
        content_hash: subject.sha256(),
        status: anchor.status,
        tx_id,
        block_height,
        reason: anchor.reason.clone(),
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request, once for each id: the same content again is answered as it stands, another is a conflict.
    fn take(&self, order: &Order<'_>, client: &str) -> Result<(StatusCode, Shown), Problem> {
        // Held until the request is durable: two callers must not both be the first.
        let mut waiting = self.lock();
        let known = waiting.get(order.biz_id).map(|w| shown(&w.subject, &w.anchor));
        let known = known.map_or_else(|| self.recorded(order.biz_id), |known| Ok(Some(known)))?;
        if let Some(known) = known {
            return match known.content_hash == order.subject.sha256() {
                true => Ok((StatusCode::OK, known)),
                false => {
                    let detail = format!("`{}` stands for another content already", order.biz_id);
                    Err(Problem::new(StatusCode::CONFLICT, detail))
                }
            };
        }
        if waiting.len() >= MAX_WAITING {
            let detail = "too many requests wait for the chain";
            return Err(Problem::later(StatusCode::SERVICE_UNAVAILABLE, detail, 30));
        }
        let (address, kind) = (self.authority.address(), self.authority.kind());
        let requested = order.requested.to_string();
        let fact = record::requested(order.subject, order.biz_id, address, kind, &requested, order.metadata);
        self.session.record(fact.context("client", client.to_owned()))?;
        let anchor = order.anchor(address, Status::Pending, self.authority.nothing());
        let answer = shown(order.subject, &anchor);
        let one = Waiting { subject: order.subject.clone(), anchor, due: Instant::now(), attempt: 0 };
        waiting.insert(order.biz_id.to_owned(), one);
        drop(waiting);
        self.wake.notify_all();
        Ok((StatusCode::ACCEPTED, answer))
    }

    /// Sends and asks until it is told to stop.
    fn run(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            let now = Instant::now();
            let due = self.lock().iter().find(|(_, w)| w.due <= now).map(|(id, w)| (id.clone(), w.clone()));
            match due {
                Some((id, waiting)) => self.turn(id, waiting),
                None => {
                    let held = self.lock();
                    drop(self.wake.wait_timeout(held, TURN).unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }

    /// Asks once. An outcome that cannot be recorded is asked for again: it is the ledger that remembers.
    fn turn(&self, id: String, mut waiting: Waiting) {
        let answer = match waiting.anchor.evidence.was_taken() {
            true => self.authority.status(&waiting.anchor),
            false => {
                let requested = waiting.anchor.requested.parse().unwrap_or_else(|_| jiff::Timestamp::now());
                let (biz_id, metadata) = (&waiting.anchor.biz_id, &waiting.anchor.metadata);
                self.authority.submit(&Order { subject: &waiting.subject, biz_id, requested, metadata })
            }
        };
        let was_taken = waiting.anchor.evidence.was_taken();
        waiting.anchor = match answer {
            Ok(anchor) => anchor,
            Err(error) => {
                let status = if error.is_passing() { Status::Pending } else { Status::Failed };
                let reason = Some(format!("{:#}", anyhow::Error::from(error)));
                Anchor { status, reason, ..waiting.anchor }
            }
        };
        if !was_taken && waiting.anchor.evidence.was_taken() {
            waiting.attempt = 0; // from now on it is the block that is waited for
        }
        let outcome = record::outcome(&waiting.subject, &waiting.anchor);
        let recorded = outcome.map(|fact| self.session.record(fact).is_ok());
        let mut held = self.lock();
        if recorded == Some(true) {
            held.remove(&id);
            return;
        }
        let seed = u64::from_be_bytes(std::array::from_fn(|at| waiting.subject.digest.sha256[at]));
        waiting.due = Instant::now() + anchor::baas::back_off(waiting.attempt, seed);
        waiting.attempt = waiting.attempt.saturating_add(1);
        if recorded == Some(false) {
            waiting.anchor.status = Status::Pending;
        }
        held.insert(id, waiting);
    }

    /// How a request stands by the ledger.
    fn recorded(&self, biz_id: &str) -> Result<Option<Shown>, audit::AuditError> {
        let object = vec![("biz_id".to_owned(), biz_id.to_owned())];
        let filter = Filter { act: Some("ANCHOR.".into()), object, ..Filter::default() };
        let mut last = None;
        self.session.query(&filter, &mut |found| {
            if let Some(told) = self.told(&found) {
                last = Some(shown(&told.0, &told.1));
            }
            Ok(())
        })?;
        Ok(last)
    }

    /// Requests without an outcome.
    fn unfinished(&self) -> Result<BTreeMap<String, Waiting>, audit::AuditError> {
        let filter = Filter { act: Some("ANCHOR.".into()), ..Filter::default() };
        let mut open = BTreeMap::new();
        self.session.query(&filter, &mut |found| {
            if let Some((subject, anchor)) = self.told(&found) {
                match anchor.status {
                    Status::Pending => {
                        let one =
                            Waiting { subject, anchor: anchor.clone(), due: Instant::now(), attempt: 0 };
                        open.insert(anchor.biz_id, one);
                    }
                    _ => drop(open.remove(&anchor.biz_id)),
                }
            }
            Ok(())
        })?;
        Ok(open)
    }

    /// What an event says of a request to this desk's authority.
    fn told(&self, found: &Found) -> Option<(Subject, Anchor)> {
        let event: serde_json::Value = serde_json::from_slice(&found.stored).ok()?;
        let text = |of: &str, name: &str| event[of][name].as_str().map(str::to_owned);
        if text("ctx", "authority")? != self.authority.address()
            || text("ctx", "kind")? != self.authority.kind()
        {
            return None;
        }
        let status = match event["act"].as_str()? {
            "ANCHOR.REQUESTED" => Status::Pending,
            "ANCHOR.CONFIRMED" => Status::Success,
            "ANCHOR.FAILED" => Status::Failed,
            _ => return None,
        };
        let mut subject = Subject::of_sha256(&text("obj", "name")?, &text("obj", "sha256")?).ok()?;
        subject.size = text("obj", "size").and_then(|size| size.parse().ok());
        let mut evidence = self.authority.nothing();
        if let Evidence::Chain { tx_id, block_height, .. } = &mut evidence {
            *tx_id = text("ctx", "tx_id");
            *block_height = text("ctx", "block_height").and_then(|height| height.parse().ok());
        }
        let metadata = text("ctx", "metadata").and_then(|json| serde_json::from_str(&json).ok());
        let anchor = Anchor {
            authority: self.authority.address().to_owned(),
            biz_id: text("obj", "biz_id")?,
            requested: text("ctx", "requested").unwrap_or_default(),
            status,
            metadata: metadata.unwrap_or_default(),
            reason: text("ctx", "reason"),
            evidence,
        };
        Some((subject, anchor))
    }
}
