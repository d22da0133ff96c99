//! The search with an index, in memory and from its file, finds what a plain look at every event finds, whatever is
//! asked and however much of the ledger is indexed; and it reads less.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use event::{Event, EventId, Fact, Severity, Timestamp};
use proptest::prelude::*;

use super::{Filter, Found, Source, search};
use crate::AuditError;
use crate::index::{Candidates, SEGMENT, Tail, View, Wanted, candidates, facts, path, read_head};

/// A ledger in memory; counts what is read.
struct Memory {
    /// Index of the first entry, so that segments other than the first are met.
    first: u64,
    entries: Vec<Vec<u8>>,
    read: AtomicU64,
}

impl Source for Memory {
    fn range(&self) -> Range<u64> {
        self.first..self.first + self.entries.len() as u64
    }

    fn read(&self, range: Range<u64>, each: &mut dyn FnMut(u64, Vec<u8>) -> bool) -> Result<(), AuditError> {
        for index in range {
            self.read.fetch_add(1, Ordering::Relaxed);
            let at = usize::try_from(index - self.first).unwrap();
            if !each(index, self.entries[at].clone()) {
                break;
            }
        }
        Ok(())
    }
}

/// The index of the front of a ledger in memory.
struct Indexed {
    segments: Vec<(u64, Tail)>,
    /// Where the files are, when they are asked instead.
    folder: Option<tempfile::TempDir>,
}

impl Indexed {
    fn of(ledger: &Memory, covered: u64, on_disk: bool) -> Self {
        let mut segments: Vec<(u64, Tail)> = Vec::new();
        // The index begins at the beginning of a segment: what was there before this ledger's first is no event.
        let start = ledger.first / SEGMENT * SEGMENT;
        for index in start..ledger.first + covered {
            let segment = index / SEGMENT;
            if segments.last().is_none_or(|(last, _)| *last != segment) {
                segments.push((segment, Tail::new(segment * SEGMENT)));
            }
            let entry =
                index.checked_sub(ledger.first).map(|at| &ledger.entries[usize::try_from(at).unwrap()]);
            segments.last_mut().unwrap().1.push(entry.and_then(|entry| facts(entry)).as_ref());
        }
        let folder = on_disk.then(|| tempfile::tempdir().unwrap());
        for (segment, tail) in segments.iter().filter(|_| folder.is_some()) {
            std::fs::write(Self::file(folder.as_ref(), *segment), tail.encode()).unwrap();
        }
        Self { segments, folder }
    }

    fn file(folder: Option<&tempfile::TempDir>, segment: u64) -> PathBuf {
        path(folder.unwrap().path(), segment * SEGMENT)
    }
}

impl View for Indexed {
    fn candidates(&self, segment: u64, wanted: &Wanted) -> (Candidates, u32) {
        let Some((_, tail)) = self.segments.iter().find(|(number, _)| *number == segment) else {
            return (Candidates::All, 0);
        };
        if self.folder.is_none() {
            return (tail.candidates(wanted), tail.count());
        }
        let file = Self::file(self.folder.as_ref(), segment);
        let head = read_head(&file).unwrap();
        assert_eq!(head.count, tail.count());
        (candidates(&file, &head, wanted).unwrap(), head.count)
    }
}

fn event(n: u64) -> Event<'static> {
    let actions = ["AUTH.LOGIN.OK", "AUTH.LOGIN.FAIL", "AUTH.LOGOUT", "DATA.READ", "RUN.STARTED"];
    let pick = |count: u64, salt: u64| usize::try_from(n.wrapping_mul(salt) / 7 % count).unwrap();
    let mut fact = Fact::new(actions[pick(5, 31)])
        .severity(Severity::ALL[pick(5, 17)])
        .subject("user", format!("{}", pick(9, 13)))
        .object("table", format!("t\"{}", pick(4, 5)));
    if n.is_multiple_of(3) {
        fact = fact.context("trace_id", format!("trace-{}", n / 6));
    }
    let seconds = 1_790_000_000 + i64::try_from(n * 61 % 5_000).unwrap();
    fact.at(EventId::v7(n, [u8::try_from(n % 251).unwrap(); 10]), Timestamp::from_unix(seconds, 5).unwrap())
}

fn ledger(first: u64, count: u64) -> Memory {
    let mut entries: Vec<_> = (0..count).map(|n| event(n).canonical()).collect();
    if count > 10 {
        entries[10] = b"no event".to_vec();
    }
    Memory { first, entries, read: AtomicU64::new(0) }
}

fn find(ledger: &Memory, view: Option<&dyn View>, filter: &Filter) -> Vec<Found> {
    let mut found = Vec::new();
    search(ledger, view, filter, &mut |one| {
        found.push(one);
        Ok(())
    })
    .unwrap();
    found
}

/// What the words of the filter mean, said once more and plainly.
fn plainly(ledger: &Memory, filter: &Filter) -> Vec<u64> {
    let time = |text: &Option<String>| text.as_deref().map(|t| Timestamp::parse(t).unwrap());
    let (since, until) = (time(&filter.since), time(&filter.until));
    let holds = |stored: &[u8]| {
        let Ok(event) = event::read_stored(stored) else { return false };
        let value: serde_json::Value = serde_json::from_slice(stored).unwrap();
        let text = |text: &String| {
            let fields = ["sub", "obj", "ctx"].iter().filter_map(|name| value[name].as_object()).flatten();
            event.act.contains(text.as_str())
                || fields.clone().any(|(k, v)| k.contains(text) || v.as_str().unwrap().contains(text))
        };
        let pairs = |name: &str, pairs: &[(String, String)]| pairs.iter().all(|(k, v)| value[name][k] == **v);
        filter.act.as_ref().is_none_or(|act| event.act.starts_with(act))
            && filter.severity.as_ref().is_none_or(|s| event.severity >= Severity::parse(s).unwrap())
            && since.is_none_or(|since| event.ts >= since)
            && until.is_none_or(|until| event.ts < until)
            && filter.id.as_ref().is_none_or(|id| value["id"] == **id)
            && filter.trace_id.as_ref().is_none_or(|id| value["ctx"]["trace_id"] == **id)
            && pairs("sub", &filter.subject)
            && pairs("obj", &filter.object)
            && filter.text.as_ref().is_none_or(text)
    };
    let (from, to) = (filter.from.unwrap_or(0), filter.to.unwrap_or(u64::MAX));
    let numbered = (ledger.first..).zip(&ledger.entries);
    let mut found: Vec<u64> = numbered
        .filter(|(index, entry)| (from..to).contains(index) && holds(entry))
        .map(|(index, _)| index)
        .collect();
    if filter.reverse {
        found.reverse();
    }
    found.truncate(usize::try_from(filter.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
    found
}

fn some_filter() -> impl Strategy<Value = Filter> {
    let maybe =
        |values: &'static [&'static str]| proptest::option::weighted(0.3, proptest::sample::select(values));
    let what = (
        maybe(&["AUTH.", "AUTH.LOGIN.", "AUTH.LOG", "DATA.READ", "NONE.", ""]),
        maybe(&["0", "3", "8", "77"]),
        maybe(&["t\"0", "t\"3", "t"]),
        maybe(&["DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"]),
        maybe(&["trace-1", "trace-9", "trace-"]),
        maybe(&["trace-1", "\"", "LOGIN", "table", "3"]),
    );
    let time = proptest::option::weighted(0.3, 0i64..6_000);
    let place = (time.clone(), time, proptest::option::weighted(0.1, 0u64..700), any::<bool>());
    let bounds = (
        proptest::option::weighted(0.3, 0u64..30),
        proptest::option::weighted(0.2, 65_000u64..66_500),
        proptest::option::weighted(0.2, 65_000u64..66_500),
    );
    (what, place, bounds).prop_map(|(what, place, bounds)| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let at = |s: Option<i64>| s.map(|s| Timestamp::from_unix(1_790_000_000 + s, 5).unwrap().to_string());
        Filter {
            act: owned(what.0),
            subject: what.1.map(|v| ("user".into(), v.into())).into_iter().collect(),
            object: what.2.map(|v| ("table".into(), v.into())).into_iter().collect(),
            severity: owned(what.3),
            trace_id: owned(what.4),
            text: owned(what.5),
            since: at(place.0),
            until: at(place.1),
            id: place.2.map(|n| event(n).id.to_string()),
            reverse: place.3,
            limit: bounds.0,
            from: bounds.1,
            to: bounds.2,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn an_index_never_changes_an_answer(
        filter in some_filter(),
        count in 0u64..1_300,
        covered in 0u64..1_300,
        on_disk in any::<bool>(),
    ) {
        // Around the edge of two segments.
        let ledger = ledger(SEGMENT - 600, count);
        let index = Indexed::of(&ledger, covered.min(count), on_disk);
        let expected = plainly(&ledger, &filter);
        for view in [None, Some(&index as &dyn View)] {
            let found: Vec<u64> = find(&ledger, view, &filter).iter().map(|found| found.index).collect();
            prop_assert_eq!(&found, &expected, "{:?}", view.is_some());
        }
    }
}

#[test]
fn what_the_index_excludes_is_not_read() {
    let ledger = ledger(SEGMENT - 600, 1_300);
    let index = Indexed::of(&ledger, 1_300, true);
    let reads = |filter: &Filter| {
        ledger.read.store(0, Ordering::Relaxed);
        let found = find(&ledger, Some(&index), filter).len();
        (found, ledger.read.load(Ordering::Relaxed))
    };
    let trace = Filter { trace_id: Some("trace-40".into()), ..Filter::default() };
    let (found, read) = reads(&trace);
    assert!(found == 2 && read < 600, "{found} found, {read} read");
    let nobody = Filter { subject: vec![("user".into(), "nobody".into())], ..Filter::default() };
    assert_eq!(reads(&nobody), (0, 0));
    let never = Filter { act: Some("KEY.".into()), ..Filter::default() };
    assert_eq!(reads(&never), (0, 0));
    let later = Filter { since: Some("2030-01-01T00:00:00Z".into()), ..Filter::default() };
    assert_eq!(reads(&later), (0, 0));
}

#[test]
fn a_flipped_byte_of_a_segment_is_noticed() {
    let ledger = ledger(0, 900);
    let index = Indexed::of(&ledger, 900, true);
    let file = Indexed::file(index.folder.as_ref(), 0);
    let good = std::fs::read(&file).unwrap();
    let head = read_head(&file).unwrap();
    let filter = Filter { subject: vec![("user".into(), "3".into())], ..Filter::default() };
    let wanted = Wanted::of(&filter.conditions().unwrap());
    let expected = candidates(&file, &head, &wanted).unwrap();
    for at in (0..good.len()).step_by(61) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at / 61 % 8);
        std::fs::write(&file, &bad).unwrap();
        // The head is refused; of the pages only those that are read need be.
        match read_head(&file) {
            None => assert!(at < head.length),
            Some(read) => {
                assert!(at >= head.length && read == head);
                let found = candidates(&file, &head, &wanted);
                assert!(found.is_none_or(|found| found == expected), "{at}");
            }
        }
    }
    std::fs::write(&file, &good[..good.len() - 1]).unwrap();
    assert!(read_head(&file).is_none());
}
