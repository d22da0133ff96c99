//! Events as bytes without asking the system for anything but the time: the id's random part is drawn once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::{EventId, Severity, Timestamp, canonical_string};

use crate::AuditError;

/// An event before it has an id and a time. The maps may come in any order; a name may not come twice.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// How grave it is.
    pub severity: Severity,
    /// The action's code.
    pub act: &'a str,
    /// Who: subject kind and identifier; at least one.
    pub sub: &'a [(&'a str, &'a str)],
    /// To what.
    pub obj: &'a [(&'a str, &'a str)],
    /// Under which circumstances.
    pub ctx: &'a [(&'a str, &'a str)],
}

/// Makes ids and times, and writes events.
pub(crate) struct Encoder {
    ids: Ids,
    clock: Clock,
    buffer: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Result<Self, AuditError> {
        let mut random = [0u8; 10];
        getrandom::fill(&mut random).map_err(|e| AuditError::Randomness { why: e.to_string() })?;
        Ok(Self { ids: Ids::new(random), clock: Clock::default(), buffer: Vec::with_capacity(1024) })
    }

    /// The event as it is offered, and its id.
    pub(crate) fn encode(&mut self, draft: &Draft<'_>) -> (EventId, &[u8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = self.ids.next(now);
        let out = &mut self.buffer;
        out.clear();
        out.extend_from_slice(b"{\"act\":");
        canonical_string(draft.act, out);
        if !draft.ctx.is_empty() {
            out.extend_from_slice(b",\"ctx\":");
            map(draft.ctx, out);
        }
        out.extend_from_slice(b",\"id\":\"");
        out.extend_from_slice(&id.to_text());
        out.push(b'"');
        if !draft.obj.is_empty() {
            out.extend_from_slice(b",\"obj\":");
            map(draft.obj, out);
        }
        out.extend_from_slice(b",\"severity\":\"");
        out.extend_from_slice(draft.severity.as_str().as_bytes());
        out.extend_from_slice(b"\",\"sub\":");
        map(draft.sub, out);
        out.extend_from_slice(b",\"ts\":\"");
        out.extend_from_slice(self.clock.text(now));
        out.extend_from_slice(b"\"}");
        (id, out)
    }
}

fn map(entries: &[(&str, &str)], out: &mut Vec<u8>) {
    let mut before = b'{';
    for (name, value) in entries {
        out.push(before);
        before = b',';
        canonical_string(name, out);
        out.push(b':');
        canonical_string(value, out);
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// Version 7 ids from one random number that is counted up (RFC 9562 §6.2, method 2), so that an id costs no call of the
/// system. 40 bits are counted; the 34 random ones in front keep producers apart within a millisecond, and the
/// count begins at random too.
struct Ids {
    random: [u8; 5],
    count: u64,
}

impl Ids {
    fn new(random: [u8; 10]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = random;
        Self { random: [a, b, c, d, e], count: u64::from_be_bytes([0, 0, 0, f, g, h, i, j]) }
    }

    fn next(&mut self, now: Duration) -> EventId {
        self.count = (self.count + 1) & 0xff_ffff_ffff;
        let mut random = [0u8; 10];
        random[..5].copy_from_slice(&self.random);
        random[5..].copy_from_slice(&self.count.to_be_bytes()[3..]);
        EventId::v7(u64::try_from(now.as_millis()).unwrap_or_default(), random)
    }
}

/// The text of a time. Within a second only the fraction changes.
#[derive(Default)]
struct Clock {
    second: Option<u64>,
    text: Vec<u8>,
}

/// Where the fraction stands in `2026-11-20T08:30:45.123456789Z`.
const FRACTION: std::ops::Range<usize> = 20..29;

impl Clock {
    fn text(&mut self, now: Duration) -> &[u8] {
        if self.second != Some(now.as_secs()) {
            self.second = Some(now.as_secs());
            let whole =
                i64::try_from(now.as_secs()).ok().and_then(|seconds| Timestamp::from_unix(seconds, 0));
            self.text = whole.map_or_else(Vec::new, |whole| whole.as_str().as_bytes().to_vec());
        }
        let mut nanos = now.subsec_nanos();
        for digit in self.text.get_mut(FRACTION).unwrap_or_default().iter_mut().rev() {
            *digit = b'0' + u8::try_from(nanos % 10).unwrap_or(0); // always below ten
            nanos /= 10;
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_the_stored_form_when_the_names_are_in_order() {
        let mut encoder = Encoder::new().unwrap();
        let draft = Draft {
            severity: Severity::Warn,
            act: "DATA.READ",
            sub: &[("svc", "auth"), ("user", "a \"quoted\"\nname")],
            obj: &[],
            ctx: &[("ip", "192.0.2.1"), ("note", "€ \\ \u{1}")],
        };
        let mut ids = std::collections::HashSet::new();
        for _ in 0..1000 {
            let (id, bytes) = encoder.encode(&draft);
            let event = event::read_stored(bytes).unwrap();
            assert_eq!((event.id, event.act.as_ref()), (id, "DATA.READ"));
            assert_eq!(event.sub.get("user"), Some("a \"quoted\"\nname"));
            assert!(ids.insert(id));
        }
        let (_, empty) = encoder.encode(&Draft { sub: &[], ctx: &[], ..draft });
        let text = String::from_utf8(empty.to_vec()).unwrap();
        assert!(text.contains("\"sub\":{},") && event::validate(empty).is_err(), "{text}");
    }

    #[test]
    fn the_clock_writes_what_timestamps_write() {
        let mut clock = Clock::default();
        for (seconds, nanos) in [(0, 0), (1_763_627_445, 7), (1_763_627_445, 999_999_999), (1_763_627_446, 0)]
        {
            let expected = Timestamp::from_unix(seconds, nanos).unwrap();
            let now = Duration::new(u64::try_from(seconds).unwrap(), nanos);
            assert_eq!(clock.text(now), expected.as_str().as_bytes());
        }
    }

    #[test]
    fn ids_differ_when_the_count_turns_over() {
        let mut ids = Ids::new([0xff; 10]);
        let (a, b) = (ids.next(Duration::ZERO), ids.next(Duration::ZERO));
        assert_ne!(a, b);
    }
}
