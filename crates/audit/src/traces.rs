//! Which trace ids were seen in the ledger lately: what a gate in front of a profiler asks.
//!
//! Kept in memory, bounded, and fail-closed: an id that was pushed out by newer ones counts as not seen. The first
//! question after the home was opened also looks through the newest entries of the ledger.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event::{Event, Timestamp, validate};

use crate::AuditError;
use crate::owner::Owner;

/// The furthest back that can be asked for.
pub const MAX_TRACE_AGE: Duration = Duration::from_secs(3600);
/// Ids in each of the two generations: together they take at most about 40 MB.
const GENERATION: usize = 1 << 19;
/// Entries that are looked through when the home was just opened.
const MAX_LOADED: u64 = 262_144;
/// Entries read at a time: one bundle.
const STRIDE: u64 = 256;
/// Longer ids are not looked for; W3C Trace Context §3.2.2.3 has 32 characters.
const MAX_ID: usize = 256;
/// How long an answer waits for what was just offered to become durable.
const PATIENCE: Duration = Duration::from_secs(5);

/// The trace that a `traceparent` names: its second part (W3C Trace Context, section 3.2.2). Nothing when it is not one.
#[must_use]
pub fn trace_of(traceparent: &str) -> Option<String> {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let [version, trace, parent, flags, rest @ ..] = &parts[..] else { return None };
    // Version ff is forbidden; later ones may have more parts, 00 has not.
    let known = hex(version, 2) && *version != "ff" && (*version != "00" || rest.is_empty());
    let whole = known && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    (whole && !zero(trace) && !zero(parent)).then(|| (*trace).to_owned())
}

/// An id, hashed under keys of this process, so that nobody can choose two that meet.
pub(crate) type Key = u128;

/// The ids seen lately.
#[derive(Default)]
pub(crate) struct Traces {
    low: RandomState,
    high: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// When the ids of this generation were seen last.
    young: HashMap<Key, Instant>,
    /// The generation before.
    old: HashMap<Key, Instant>,
    /// When `young` began.
    begun: Option<Instant>,
    /// Whether what was in the ledger before is here.
    loaded: bool,
}

impl Seen {
    fn insert(&mut self, key: Key, at: Instant) {
        let aged = self.begun.is_some_and(|begun| at.saturating_duration_since(begun) > MAX_TRACE_AGE);
        if self.young.len() >= GENERATION || aged {
            self.old = std::mem::take(&mut self.young);
            self.begun = None;
        }
        self.begun.get_or_insert(at);
        self.young.insert(key, at);
    }

    fn last(&self, key: Key) -> Option<Instant> {
        self.young.get(&key).max(self.old.get(&key)).copied()
    }
}

impl Traces {
    /// The trace that an event belongs to.
    pub(crate) fn of(&self, event: &Event<'_>) -> Option<Key> {
        let id = event.ctx.get("trace_id").filter(|id| !id.is_empty() && id.len() <= MAX_ID)?;
        Some(self.key(id))
    }

    /// Notes ids that were seen now.
    pub(crate) fn note(&self, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        let (mut seen, now) = (self.lock(), Instant::now());
        keys.into_iter().for_each(|key| seen.insert(key, now));
    }

    fn key(&self, id: &str) -> Key {
        u128::from(self.low.hash_one(id)) | u128::from(self.high.hash_one(id)) << 64
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    /// Whether a durable event with this `ctx.trace_id` came in within the time given (at most [`MAX_TRACE_AGE`]).
    ///
    /// # Errors
    /// Why the ledger cannot be asked.
    pub(crate) fn trace_seen(&self, id: &str, within: Duration) -> Result<bool, AuditError> {
        if id.is_empty() || id.len() > MAX_ID {
            return Ok(false);
        }
        self.load_traces()?;
        let key = self.traces.key(id);
        let last = self.traces.lock().last(key);
        if last.is_none_or(|at| at.elapsed() > within.min(MAX_TRACE_AGE)) {
            return Ok(false);
        }
        // Noted when it was queued: seen in the ledger it is when it is durable.
        let size = self.log.size();
        let mut durable = self.log.durable_size();
        let begun = Instant::now();
        while durable < size && begun.elapsed() < PATIENCE {
            durable = self.log.wait_durable(durable, PATIENCE)?;
        }
        Ok(durable >= size)
    }

    /// What came in before this owner opened the home, newest first, until an entry is too old. When it came in is
    /// taken from its time stamp; one of the future counts as now.
    fn load_traces(&self) -> Result<(), AuditError> {
        let mut seen = self.traces.lock();
        if seen.loaded {
            return Ok(());
        }
        let now = (Instant::now(), SystemTime::now());
        let mut found = Vec::new();
        let mut end = self.log.durable_size();
        let first = end.saturating_sub(MAX_LOADED);
        while end > first {
            let start = first.max((end - 1) / STRIDE * STRIDE);
            let mut recent = false;
            for entry in self.log.entries(start..end) {
                let entry = entry?;
                let Ok(event) = validate(&entry) else { continue }; // `audit verify` names it
                let Some(at) = age(event.ts, now.1).and_then(|age| now.0.checked_sub(age)) else { continue };
                recent = true;
                found.extend(self.traces.of(&event).map(|key| (key, at)));
            }
            // Events of one moment may come in any order, but not a whole bundle of them.
            if !recent {
                break;
            }
            end = start;
        }
        found.sort_by_key(|(_, at)| *at);
        for (key, at) in found {
            let at = seen.last(key).map_or(at, |known| known.max(at));
            seen.insert(key, at);
        }
        seen.loaded = true;
        Ok(())
    }
}

/// How long ago a time stamp was; nothing when that is longer than anyone may ask for.
fn age(ts: Timestamp, now: SystemTime) -> Option<Duration> {
    let since = now.checked_sub(MAX_TRACE_AGE)?.duration_since(UNIX_EPOCH).ok()?;
    let oldest = Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?, 0)?;
    if ts < oldest {
        return None;
    }
    let at: jiff::Timestamp = ts.as_str().parse().ok()?;
    Some(now.duration_since(SystemTime::from(at)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(ctx: &str) -> Option<Key> {
        let text = format!(
            r#"{{"act":"A.B"{ctx},"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","obj":{{"trace_id":"o"}},"severity":"INFO","sub":{{"user":"u"}},"ts":"2026-11-20T08:30:45Z"}}"#
        );
        TRACES.of(&validate(text.as_bytes()).unwrap())
    }

    static TRACES: std::sync::LazyLock<Traces> = std::sync::LazyLock::new(Traces::default);

    #[test]
    fn only_the_context_names_the_trace() {
        assert_eq!(trace(r#","ctx":{"a":"b","trace_id":"4bf9","z":"1"}"#), Some(TRACES.key("4bf9")));
        assert_eq!(trace(r#","ctx":{"trace_id":"a\"\\"}"#), Some(TRACES.key("a\"\\")));
        assert_eq!(trace(r#","ctx":{"a":"\"trace_id\":\"x"}"#), None);
        assert_eq!(trace(r#","ctx":{"trace_id":""}"#), None);
        assert_eq!(trace(""), None);
    }

    #[test]
    fn the_newest_ids_are_kept_and_the_oldest_are_let_go() {
        let mut seen = Seen::default();
        let begun = Instant::now();
        for key in 0..(GENERATION * 2 + 1) as u128 {
            seen.insert(key, begun);
        }
        assert_eq!(seen.last(0), None);
        assert!(seen.last(GENERATION as u128).is_some() && seen.last((GENERATION * 2) as u128).is_some());
        assert!(seen.young.len() + seen.old.len() <= 2 * GENERATION);
        let later = begun + MAX_TRACE_AGE + Duration::from_secs(1);
        seen.insert(7, later);
        seen.insert(8, later + MAX_TRACE_AGE + Duration::from_secs(1));
        assert_eq!((seen.last(GENERATION as u128), seen.last(7)), (None, Some(later)));
    }
}
