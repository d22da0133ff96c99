//! Events through shared memory: none that was called durable is lost, none is recorded twice, whoever dies.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use audit::ring::{Draft, Options, Producer, Push, WhenFull};
use audit::{AuditError, Filter, Session};
use event::Severity;

const LONG: Duration = Duration::from_secs(20);

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        audit::create_home(&folder.path().join("home"), "test").unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("home")
    }

    fn open(&self) -> Session {
        audit::open(&self.path()).unwrap()
    }

    /// Every test ends with this.
    fn verify(&self) {
        let found = audit::verify(&self.path(), None, &mut |_, _| ()).unwrap();
        assert!(found.holds(), "{found:?}");
    }
}

fn attach(home: &Path, options: Options) -> Producer {
    Producer::attach(home, options).unwrap()
}

fn read_of<'a>(table: &'a [(&'a str, &'a str)]) -> Draft<'a> {
    let (severity, act) = (Severity::Info, "DATA.READ");
    Draft { severity, act, sub: &[("svc", "ring"), ("user", "10086")], obj: table, ctx: &[] }
}

fn numbered(n: u64) -> Vec<u8> {
    format!(
        r#"{{"id":"00000000-0000-4000-8000-{n:012x}","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{{"user":"1"}},"act":"DATA.READ"}}"#
    )
    .into_bytes()
}

fn written(push: Push) -> u64 {
    let Push::Written(position) = push else { unreachable!("it waits for room") };
    position
}

/// How often each id of `act` is in the ledger.
fn stored(session: &Session, act: &str) -> HashMap<String, u32> {
    let mut found = HashMap::new();
    let filter = Filter { act: Some(act.into()), ..Filter::default() };
    session
        .query(&filter, &mut |one| {
            *found.entry(event::read_stored(&one.stored).unwrap().id.to_string()).or_insert(0) += 1;
            Ok(())
        })
        .unwrap();
    found
}

fn facts(session: &Session, act: &str) -> Vec<String> {
    let mut found = Vec::new();
    let filter = Filter { act: Some(act.into()), ..Filter::default() };
    let mut keep = |one: audit::Found| {
        found.push(String::from_utf8(one.stored).unwrap());
        Ok(())
    };
    session.query(&filter, &mut keep).unwrap();
    found
}

#[test]
fn what_is_settled_is_in_the_ledger_with_the_peers_credentials() {
    let home = Home::new();
    let owner = home.open();
    let mut ring = attach(&home.path(), Options::default());
    let positions: Vec<u64> =
        (0..1000).map(|_| written(ring.record_fast(&read_of(&[("table", "users")])).unwrap())).collect();
    ring.wait_durable(*positions.last().unwrap(), LONG).unwrap();
    assert_eq!((ring.durable(), ring.refused()), (ring.position(), 0));
    assert_eq!(stored(&owner, "DATA.").len(), 1000);
    let pid = format!(r#""peer.pid":"{}""#, std::process::id());
    assert!(facts(&owner, "DATA.").iter().all(|event| event.contains(&pid)));
    drop((ring, owner));
    home.verify();
}

#[test]
fn a_refusal_is_told_to_whoever_waits_for_its_event_and_to_nobody_else() {
    let home = Home::new();
    let owner = home.open();
    let mut ring = attach(&home.path(), Options::default());
    let good = written(ring.record_fast(&read_of(&[])).unwrap());
    let bad = written(ring.record_fast(&Draft { act: "DATA.RAED", ..read_of(&[]) }).unwrap());
    let forged = written(ring.record_fast(&Draft { ctx: &[("peer.uid", "0")], ..read_of(&[]) }).unwrap());
    let later = written(ring.record_fast(&read_of(&[])).unwrap());
    ring.wait_durable(later, LONG).unwrap();
    ring.wait_durable(good, LONG).unwrap();
    let refused = |position| match ring.wait_durable(position, LONG) {
        Err(AuditError::Invalid(invalid)) => invalid.faults[0].path.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!(refused(bad), "$.act");
    assert_eq!(refused(forged), "$.ctx['peer.uid']");
    assert_eq!(ring.refused(), 2);
    drop((ring, owner));
    home.verify();
}

#[test]
fn the_next_owner_takes_the_ring_over_and_records_nothing_twice() {
    let home = Home::new();
    let mut owner = Some(home.open());
    let mut ring = attach(&home.path(), Options { capacity: 256 << 10, when_full: WhenFull::Wait });
    const EVENTS: u64 = 20_000;
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 0..EVENTS {
                written(ring.offer_fast(&numbered(n)).unwrap());
            }
            ring.wait_durable(ring.position(), LONG).unwrap();
        });
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(25));
            drop(owner.take()); // for a while there is none
            std::thread::sleep(Duration::from_millis(25));
            owner = Some(home.open());
        }
        writing.join().unwrap();
    });
    let stored = stored(owner.as_ref().unwrap(), "DATA.");
    assert_eq!(stored.len() as u64, EVENTS);
    assert!(stored.values().all(|count| *count == 1));
    drop(owner);
    home.verify();
}

#[test]
fn a_producer_that_chose_to_drop_never_waits_and_its_losses_are_in_the_ledger() {
    let home = Home::new();
    let owner = home.open();
    let mut ring = attach(&home.path(), Options { capacity: 256 << 10, when_full: WhenFull::Drop });
    drop(owner); // nobody empties the ring
    let pad = "x".repeat(1000);
    let mut kept = 0u64;
    for _ in 0..1000 {
        kept += u64::from(ring.record_fast(&read_of(&[("pad", &pad)])).unwrap() != Push::Dropped);
    }
    assert!((100..300).contains(&kept) && ring.dropped() == 1000 - kept, "{kept}");
    let owner = home.open();
    ring.wait_durable(ring.position(), LONG).unwrap();
    assert_eq!(stored(&owner, "DATA.").len() as u64, kept);
    let lost = ring.dropped();
    drop(ring);
    let begun = Instant::now();
    while facts(&owner, "LEDGER.RING.LOST").is_empty() && begun.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(20));
    }
    let told = facts(&owner, "LEDGER.RING.LOST").join("");
    assert!(told.contains(&format!(r#""dropped":"{lost}""#)), "{told}");
    assert_eq!(owner.producer_losses(), lost);
    drop(owner);
    home.verify();
}

#[test]
fn a_hostile_ring_is_given_up_and_the_owner_goes_on() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::FileExt as _;
    use std::os::unix::net::UnixStream;
    let home = Home::new();
    let owner = home.open();
    let frame = |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let connect = || {
        let mut stream = UnixStream::connect(home.path().join("custody.sock")).unwrap();
        stream.write_all(&frame(r#"{"protocol":"custody-audit","version":1}"#)).unwrap();
        let mut length = [0u8; 4];
        stream.read_exact(&mut length).unwrap();
        let mut hello = vec![0u8; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut hello).unwrap();
        stream
    };
    let offer = |file: &std::fs::File| {
        let stream = connect();
        shmring::send(&stream, &frame(r#"{"op":"ring-offer","refusals":true}"#), file).unwrap();
        stream
    };
    let rest = |mut stream: UnixStream| {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    // Not a ring's memory; no descriptor at all; a ring in the middle of a conversation.
    let ordinary = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    assert!(rest(offer(&ordinary)).contains("memory file"));
    let mut none = connect();
    none.write_all(&frame(r#"{"op":"ring-offer","refusals":true}"#)).unwrap();
    assert!(rest(none).contains("no descriptor"));
    let mut late = connect();
    late.write_all(&frame(r#"{"op":"status"}"#)).unwrap();
    late.write_all(&frame(r#"{"op":"ring","capacity":262144,"refusals":true}"#)).unwrap();
    assert!(rest(late).contains("asked for first"));
    // Cursors and lengths that cannot be.
    for (at, value) in [(128u64, u64::MAX), (128, 8), (128, 1 << 40), (4096, u64::MAX)] {
        let (memory, file) = shmring::Memory::create(shmring::MIN_CAPACITY).unwrap();
        let mut ring = shmring::Producer::new(memory).unwrap();
        ring.push(&numbered(at)).unwrap();
        let file = std::fs::File::from(file);
        file.write_all_at(&value.to_ne_bytes(), at).unwrap();
        assert!(rest(offer(&file)).contains("the ring is broken at"), "{at}: {value:x}");
    }
    // More rings than there is room for.
    let many: Vec<_> = (0..64)
        .map(|_| attach(&home.path(), Options { capacity: 256 << 10, ..Options::default() }))
        .collect();
    assert!(Producer::attach(&home.path(), Options::default()).is_err());
    drop(many);
    let mut ring = attach(&home.path(), Options::default());
    let position = written(ring.record_fast(&read_of(&[])).unwrap());
    ring.wait_durable(position, LONG).unwrap();
    drop((ring, owner));
    let owner = home.open();
    assert!(!facts(&owner, "LEDGER.RING.BROKEN").is_empty());
    drop(owner);
    home.verify();
}

#[test]
fn a_trace_is_seen_once_its_event_is_durable_and_by_the_next_owner_too() {
    let home = Home::new();
    let owner = home.open();
    let client = home.open();
    let five = Duration::from_secs(300);
    assert!(!client.trace_seen("4bf92f3577b34da6a3ce929d0e0e4736", five).unwrap());
    let now = jiff::Timestamp::now();
    let event = |n: u64, ts: jiff::Timestamp, trace: &str| {
        let text = String::from_utf8(numbered(n)).unwrap();
        let ctx = format!(r#","ctx":{{"trace_id":"{trace}"}}}}"#);
        let text = text.replace("2026-11-20T08:30:45Z", &ts.to_string());
        format!("{}{ctx}", text.strip_suffix('}').unwrap()).into_bytes()
    };
    let old = now - jiff::SignedDuration::from_mins(20);
    let offered = vec![
        event(1, now, "4bf92f3577b34da6a3ce929d0e0e4736"),
        event(2, old, "aaaa2f3577b34da6a3ce929d0e0e4736"),
        event(3, now, r#"we\u0069rd \" id"#),
    ];
    assert!(client.offer(offered).unwrap().iter().all(Result::is_ok));
    let refused = client.offer(vec![br#"{"ctx":{"trace_id":"bbbb"}}"#.to_vec()]).unwrap();
    assert!(refused[0].is_err());
    for session in [&client, &owner] {
        assert!(session.trace_seen("4bf92f3577b34da6a3ce929d0e0e4736", five).unwrap());
        assert!(session.trace_seen(r#"weird " id"#, five).unwrap());
        // It came in now, whatever its time stamp says.
        assert!(session.trace_seen("aaaa2f3577b34da6a3ce929d0e0e4736", five).unwrap());
        assert!(!session.trace_seen("bbbb", five).unwrap(), "its event was refused");
        assert!(
            !session.trace_seen("", five).unwrap() && !session.trace_seen(&"x".repeat(9999), five).unwrap()
        );
        assert!(!session.trace_seen("4bf92f3577b34da6a3ce929d0e0e4736", Duration::ZERO).unwrap());
    }
    drop((client, owner));
    let next = home.open();
    assert!(next.trace_seen("4bf92f3577b34da6a3ce929d0e0e4736", five).unwrap());
    // When it came in is not known any more: its time stamp counts.
    assert!(!next.trace_seen("aaaa2f3577b34da6a3ce929d0e0e4736", five).unwrap());
    assert!(next.trace_seen("aaaa2f3577b34da6a3ce929d0e0e4736", Duration::from_secs(1800)).unwrap());
    drop(next);
    home.verify();
}
