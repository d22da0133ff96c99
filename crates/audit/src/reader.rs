//! Reads by people, each an event before its result is shown (`AUDIT.READ`).
//!
//! The event says who read, through what, with which filter, and how many events came of it. It is durable before the
//! first result is handed over; when it cannot be recorded, nothing is. What a person sees through [`Files`], where a
//! home cannot be written, leaves no trace, and whoever shows it says so.
//!
//! [`Files`]: crate::Files

use event::Fact;

use crate::query::{Filter, Found, Sink};
use crate::session::{Recorder as _, Session};
use crate::{AuditError, Proof, Receipt, Selector};

/// Results that are held, in bytes, until their number is recorded. When there are more, the ledger is read twice.
const HELD: usize = 16 << 20;
/// A value of a filter in the event is never longer, in characters.
const MAX_SHOWN: usize = 512;

/// Who reads, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reader {
    subject: Vec<(String, String)>,
    context: Vec<(String, String)>,
}

impl Reader {
    /// Someone whom a subject kind of the catalogue and an identifier name. `via` says through what they read: `cli`,
    /// `http`, …
    #[must_use]
    pub fn new(kind: impl Into<String>, name: impl Into<String>, via: impl Into<String>) -> Self {
        let known = |name: String| if name.is_empty() { "unknown".to_owned() } else { name };
        Self { subject: vec![(kind.into(), known(name.into()))], context: vec![("via".into(), via.into())] }
    }

    /// The person in front of this process: user, terminal, and on Linux the user who logged in (`loginuid`), who stays
    /// the same under `sudo` and `su`.
    #[must_use]
    pub fn here() -> Self {
        #[cfg(unix)]
        {
            let uid = nix::unistd::getuid();
            let name =
                nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(String::new, |user| user.name);
            let mut reader =
                Self::new("user", name, "cli").with("tty", terminal().as_deref().unwrap_or("none"));
            reader.subject.push(("uid".into(), uid.to_string()));
            match login_uid() {
                Some(login) => reader.with("loginuid", &login),
                None => reader,
            }
        }
        #[cfg(not(unix))]
        Self::new("user", std::env::var("USERNAME").unwrap_or_default(), "cli")
    }

    /// Adds a circumstance: an address, a reason.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: &str) -> Self {
        self.context.push((name.into(), shown(value)));
        self
    }

    /// The event of a read.
    fn fact(&self, what: &[(String, String)], results: Option<u64>) -> Fact {
        let mut fact = Fact::new("AUDIT.READ");
        for (kind, name) in &self.subject {
            fact = fact.subject(kind.clone(), name.clone());
        }
        for (name, value) in &self.context {
            fact = fact.context(name.clone(), value.clone());
        }
        for (name, value) in what {
            fact = fact.object(name.clone(), shown(value));
        }
        fact.context("results", results.map_or_else(|| "follows".to_owned(), |results| results.to_string()))
    }
}

fn shown(value: &str) -> String {
    value.chars().take(MAX_SHOWN).collect()
}

/// The terminal of whichever standard stream has one.
#[cfg(unix)]
fn terminal() -> Option<String> {
    use std::os::fd::AsFd as _;
    let name = |fd: std::os::fd::BorrowedFd<'_>| nix::unistd::ttyname(fd).ok();
    let found = name(std::io::stdin().as_fd())
        .or_else(|| name(std::io::stderr().as_fd()))
        .or_else(|| name(std::io::stdout().as_fd()))?;
    Some(found.to_string_lossy().into_owned())
}

/// `/proc/self/loginuid` (audit(7)): set once at login; 4294967295 when nobody logged in.
#[cfg(unix)]
fn login_uid() -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    text.parse::<u32>().ok().filter(|uid| *uid != u32::MAX).map(|uid| uid.to_string())
}

/// A filter as it stands in the event: `obj.filter.…`, one field a condition, so that it can be asked who looked for
/// whom, and redacted like any other field.
fn described(filter: &Filter) -> Vec<(String, String)> {
    let mut what = Vec::new();
    let mut put = |name: &str, value: Option<String>| {
        what.extend(value.map(|value| (format!("filter.{name}"), value)));
    };
    put("act", filter.act.clone());
    put("since", filter.since.clone());
    put("until", filter.until.clone());
    put("severity", filter.severity.clone());
    put("id", filter.id.clone());
    put("trace_id", filter.trace_id.clone());
    put("text", filter.text.clone());
    put("limit", filter.limit.map(|limit| limit.to_string()));
    put("from", filter.from.map(|from| from.to_string()));
    for (kind, name) in &filter.subject {
        put(&format!("sub.{kind}"), Some(name.clone()));
    }
    for (key, value) in &filter.object {
        put(&format!("obj.{key}"), Some(value.clone()));
    }
    if what.is_empty() {
        what.push(("filter".into(), "none".into()));
    }
    what
}

impl Session {
    /// As [`Session::query`], for a person: the read is an event before the first result is given. Gives the receipt of
    /// that event; the results are those before it.
    ///
    /// # Errors
    /// As [`Session::query`] and [`crate::Recorder::record`]; then nothing was given.
    pub fn read_as(
        &self,
        reader: &Reader,
        filter: &Filter,
        sink: &mut dyn FnMut(Found) -> Result<(), AuditError>,
    ) -> Result<Receipt, AuditError> {
        filter.check()?;
        let durable = self.status()?.durable;
        let bounded = Filter { to: Some(filter.to.unwrap_or(durable).min(durable)), ..filter.clone() };
        let (mut held, mut bytes, mut results) = (Vec::new(), 0, 0u64);
        self.query(&bounded, &mut |found| {
            results += 1;
            bytes += found.stored.len();
            if bytes <= HELD {
                held.push(found);
            }
            Ok(())
        })?;
        let receipt = self.record(reader.fact(&described(filter), Some(results)))?;
        if bytes <= HELD {
            held.into_iter().try_for_each(sink)?;
        } else {
            drop(held);
            self.query(&bounded, sink)?;
        }
        Ok(receipt)
    }

    /// As [`Session::follow`], for a person: first the newest `lines` events that meet the filter, then what comes. The
    /// read is an event before anything is given; its own event is not.
    ///
    /// # Errors
    /// As [`Session::read_as`].
    pub fn follow_as(
        &self,
        reader: &Reader,
        filter: &Filter,
        lines: u64,
        wanted: &dyn Fn() -> bool,
        sink: &mut Sink<'_>,
        idle: &mut dyn FnMut() -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        filter.check()?;
        let durable = self.status()?.durable;
        let lines = lines.min(filter.limit.unwrap_or(u64::MAX));
        let newest = Filter { to: Some(durable), reverse: true, limit: Some(lines), ..filter.clone() };
        let mut there = Vec::new();
        if lines > 0 {
            self.query(&newest, &mut |found| {
                there.push(found);
                Ok(())
            })?;
        }
        let own = self.record(reader.fact(&described(filter), None))?.index;
        let limit = filter.limit.map(|limit| limit.saturating_sub(there.len() as u64));
        there.into_iter().rev().try_for_each(&mut *sink)?;
        if limit == Some(0) {
            return Ok(());
        }
        let mut left = limit.unwrap_or(u64::MAX);
        // One more than asked for, in case its own event meets the filter.
        let coming = Filter { from: Some(durable), limit: limit.map(|limit| limit + 1), ..filter.clone() };
        let more = std::cell::Cell::new(true);
        let mut others = |found: Found| {
            if found.index == own || left == 0 {
                return Ok(());
            }
            left -= 1;
            more.set(left > 0);
            sink(found)
        };
        self.follow(&coming, &|| more.get() && wanted(), &mut others, idle)
    }

    /// As [`Session::prove`], for a person.
    ///
    /// # Errors
    /// As [`Session::prove`] and [`Session::read_as`].
    pub fn prove_as(&self, reader: &Reader, selector: &Selector) -> Result<Proof, AuditError> {
        let proof = self.prove(selector)?;
        let what = match selector {
            Selector::Index(index) => ("proof.index".to_owned(), index.to_string()),
            Selector::Id(id) => ("proof.id".to_owned(), id.clone()),
        };
        self.record(reader.fact(&[what], Some(1)))?;
        Ok(proof)
    }
}
