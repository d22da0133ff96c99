//! A `tracing` layer that records marked events of a Rust program in the ledger.
//!
//! An event with a field `act` is a compliance event; every other one is not, and costs a look at its field names.
//!
//! | in `tracing` | in the event |
//! |---|---|
//! | field `act` | `act` |
//! | fields `sub.NAME`, `obj.NAME`, `ctx.NAME` | `sub`, `obj`, `ctx` |
//! | field `trace_id`, any other field, the message (`msg`) | `ctx` under that name |
//! | the same fields of the spans around it | the same, where the event or an inner span does not say otherwise |
//! | level `TRACE`, `DEBUG`; `INFO`; `WARN`; `ERROR` | `DEBUG`; `INFO`; `WARN`; `ERROR` |
//! | field `severity` | `severity`, when it is one (`CRITICAL` has no level) |
//! | target | `ctx.target` |
//!
//! A name's characters that events do not have become `_`. The id and the time are given where the event happens.
//!
//! **It does not block.** Events go through a bounded queue to a thread that records them; when the queue is full they
//! are dropped and counted, and the count is recorded (`AUDIT.DROPPED`). Whoever needs to know that an event is durable
//! before the program goes on asks for it ([`Builder::wait`]) and pays a sync.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let home = folder.path().join("home");
//! # audit::create_home(&home, "doc")?;
//! use tracing_subscriber::layer::SubscriberExt as _;
//! let session = std::sync::Arc::new(audit::open(&home)?);
//! let (layer, guard) = audit_tracing::Builder::new(session.clone()).subject("svc", "auth").build()?;
//! tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
//!     let _span = tracing::info_span!("request", trace_id = "4bf92f3577b34da6a3ce929d0e0e4736").entered();
//!     tracing::warn!(act = "AUTH.LOGIN.FAIL", sub.user = "10086", ip = "192.168.3.5", "wrong password");
//! });
//! assert_eq!(guard.finish().recorded, 1);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod fields;
mod worker;

use std::sync::Arc;

use audit::{AuditError, Session};
use event::{Fact, Severity};
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use fields::Fields;
use worker::Worker;
pub use worker::{Counts, Guard};

/// Events that may wait for the ledger.
const QUEUE: usize = 8192;

/// How events are recorded.
pub struct Builder {
    session: Arc<Session>,
    subject: Vec<(String, String)>,
    queue: usize,
    wait: bool,
}

impl Builder {
    /// Records through an open home.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session, subject: Vec::new(), queue: QUEUE, wait: false }
    }

    /// What every event has in its subject, unless it says otherwise.
    #[must_use]
    pub fn subject(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        self.subject.push((kind.into(), name.into()));
        self
    }

    /// How many events may wait; at least one.
    #[must_use]
    pub fn queue(mut self, events: usize) -> Self {
        self.queue = events.max(1);
        self
    }

    /// Blocks the caller of each compliance event until it is durable or refused.
    #[must_use]
    pub fn wait(mut self) -> Self {
        self.wait = true;
        self
    }

    /// Starts the thread. The guard says in the end what became of the events; dropped, it waits for them too.
    ///
    /// # Errors
    /// [`AuditError::Io`] when there is no thread to be had.
    pub fn build(self) -> Result<(AuditLayer, Guard), AuditError> {
        let (worker, guard) = Worker::start(self.session, self.queue)?;
        Ok((AuditLayer { worker, subject: self.subject, wait: self.wait }, guard))
    }
}

/// The layer. See [`Builder`].
pub struct AuditLayer {
    worker: Worker,
    subject: Vec<(String, String)>,
    wait: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for AuditLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            // Not `insert`: that panics when a second layer of this kind was there first.
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let meta = event.metadata();
        if meta.fields().field("act").is_none() {
            return;
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let mut fact =
            Fact::new(own.action().to_owned()).severity(own.severity().unwrap_or(match *meta.level() {
                Level::ERROR => Severity::Error,
                Level::WARN => Severity::Warn,
                Level::INFO => Severity::Info,
                _ => Severity::Debug,
            }));
        for (kind, name) in &self.subject {
            fact = fact.subject(kind.clone(), name.clone());
        }
        fact = fact.context("target", meta.target());
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().into_iter().rev() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                fact = fields.place(fact);
            }
        }
        self.worker.send(own.place(fact), self.wait);
    }
}
