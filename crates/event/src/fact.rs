//! What one of Custody's own parts did, before it has an id and a time.

use std::borrow::Cow;

use crate::{Event, EventId, Fields, Severity, Timestamp};

/// A fact to be recorded. Whoever records it gives it its id and its time, so that describing a fact needs
/// neither a clock nor randomness.
///
/// ```
/// let fact = event::Fact::new("RUN.EXITED").subject("svc", "payments").object("pid", "4711").context("code", "0");
/// # let _ = fact;
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    severity: Severity,
    sub: Fields<'static>,
    act: Cow<'static, str>,
    obj: Fields<'static>,
    ctx: Fields<'static>,
}

impl Fact {
    /// A fact under an action code, with severity `INFO`.
    #[must_use]
    pub fn new(act: impl Into<Cow<'static, str>>) -> Self {
        let fields = Fields::default;
        Self { severity: Severity::Info, sub: fields(), act: act.into(), obj: fields(), ctx: fields() }
    }

    /// How grave it is.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Who: a subject kind of the catalogue and an identifier.
    #[must_use]
    pub fn subject(mut self, kind: impl Into<Cow<'static, str>>, name: impl Into<Cow<'static, str>>) -> Self {
        self.sub.set(kind, name);
        self
    }

    /// To what.
    #[must_use]
    pub fn object(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.obj.set(key, value);
        self
    }

    /// Under which circumstances.
    #[must_use]
    pub fn context(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.ctx.set(key, value);
        self
    }

    /// The action code.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.act
    }

    /// The event: this fact, named and dated. It still has to be admitted.
    #[must_use]
    pub fn at(self, id: EventId, ts: Timestamp) -> Event<'static> {
        Event { id, ts, severity: self.severity, sub: self.sub, act: self.act, obj: self.obj, ctx: self.ctx }
    }
}
