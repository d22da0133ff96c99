//! One owner, many clients: whoever records, each event is there once, in order, and the ledger verifies.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![cfg(unix)]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use audit::{AuditError, Filter, LogKeys, Recorder as _, Session};
use event::{Fact, Rule};

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        audit::create_home(&folder.path().join("home"), "test").unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("home")
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

fn id(n: u64) -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", n >> 32, n & 0xffff_ffff)
}

fn event(n: u64) -> Vec<u8> {
    let id = id(n);
    format!(
        r#"{{"id":"{id}","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{{"user":"1"}},"act":"DATA.READ"}}"#
    )
    .into_bytes()
}

/// Stored events by id, with how often they are there and their first index.
fn stored(session: &Session) -> HashMap<String, (u32, u64)> {
    let mut found = HashMap::new();
    let filter = Filter { act: Some("DATA.".into()), ..Filter::default() };
    session
        .query(&filter, &mut |one| {
            let event = event::read_stored(&one.stored).unwrap();
            found.entry(event.id.to_string()).or_insert((0, one.index)).0 += 1;
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn the_first_owns_and_the_second_connects() {
    let home = Home::new();
    let owner = home.open();
    let client = home.open();
    assert!(owner.is_owner() && !client.is_owner());
    let first = owner.record(Fact::new("RUN.STARTED").subject("svc", "payments")).unwrap();
    let second = client.record(Fact::new("RUN.EXITED").subject("svc", "payments")).unwrap();
    assert_eq!(second.index, first.index + 1);
    assert_eq!(client.status().unwrap(), owner.status().unwrap());
    let proof = client.prove(&audit::Selector::Index(second.index)).unwrap();
    assert!(proof.event.contains("RUN.EXITED") && proof.proof.starts_with("c2sp.org/tlog-proof@v1\n"));
    let note = client.checkpoint().unwrap();
    LogKeys::of(&home.path()).verifier().unwrap().open(&note).unwrap();
    assert!(client.prove_consistency(1).unwrap().contains("old 1\n"));
    assert!(matches!(client.prove_consistency(99).unwrap_err().kind(), audit::ErrorKind::Request));
    home.verify();
}

#[test]
fn events_offered_by_many_at_once_are_stored_once_under_one_receipt() {
    let home = Home::new();
    let owner = home.open();
    let clients: Vec<Session> = (0..3).map(|_| home.open()).collect();
    let sessions: Vec<&Session> = clients.iter().chain([&owner]).collect();
    // Everyone offers the same two thousand events, in overlapping batches.
    let offer = |session: &Session| -> Vec<(String, u64)> {
        let batches: Vec<_> =
            (0..2000u64).step_by(37).map(|n| (n..(n + 50).min(2000)).map(event).collect()).collect();
        let pending: Vec<_> = batches.into_iter().map(|batch| session.submit(batch).unwrap()).collect();
        let verdicts = pending.into_iter().flat_map(|p| p.wait().unwrap());
        verdicts.map(|verdict| verdict.unwrap()).map(|r| (r.id.to_string(), r.index)).collect()
    };
    let receipts: Vec<(String, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions.iter().map(|session| scope.spawn(|| offer(session))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let stored = stored(&owner);
    assert_eq!(stored.len(), 2000);
    for (id, index) in receipts {
        assert_eq!(stored[&id], (1, index));
    }
    drop((clients, owner));
    home.verify();
}

#[test]
fn a_client_takes_over_when_the_owner_leaves() {
    let home = Home::new();
    let owner = home.open();
    let client = home.open();
    let mut receipts = Vec::new();
    std::thread::scope(|scope| {
        let feeding = scope.spawn(|| {
            let mut all = Vec::new();
            for start in (0..3000u64).step_by(20) {
                all.extend(client.offer((start..start + 20).map(event).collect()).unwrap());
            }
            all
        });
        std::thread::sleep(Duration::from_millis(15));
        drop(owner);
        receipts = feeding.join().unwrap();
    });
    assert!(client.is_owner(), "someone has to be");
    let stored = stored(&client);
    assert_eq!(stored.len(), 3000);
    for receipt in receipts {
        let receipt = receipt.unwrap();
        assert_eq!(stored[&receipt.id.to_string()], (1, receipt.index));
    }
    drop(client);
    home.verify();
}

#[test]
fn facts_are_admitted_like_everything_else() {
    let home = Home::new();
    let session = home.open();
    let refused = session.record(Fact::new("RUN.STRATED").subject("svc", "x")).unwrap_err();
    assert!(matches!(&refused, AuditError::Invalid(i) if i.faults[0].rule == Rule::Unknown), "{refused}");
    assert!(session.record(Fact::new("RUN.STARTED")).is_err(), "nobody did it");
    let forged = Fact::new("RUN.STARTED").subject("svc", "x").context("peer.pid", "1");
    assert!(session.record(forged).is_err());
    let about_itself = session.record(Fact::new("LEDGER.RECOVERED").subject("svc", "custody")).unwrap_err();
    assert!(matches!(&about_itself, AuditError::Invalid(i) if i.faults[0].rule == Rule::Reserved));
    let receipt = session.record(Fact::new("RUN.STARTED").subject("svc", "x")).unwrap();
    let stored = session.prove(&audit::Selector::Index(receipt.index)).unwrap().event;
    assert!(stored.contains(&format!("\"peer.pid\":\"{}\"", std::process::id())), "{stored}");
    drop(session);
    home.verify();
}

#[test]
fn refusals_are_counted_together() {
    let home = Home::new();
    let owner = home.open();
    let client = home.open();
    let verdicts = client.offer(vec![br#"{"act":"secret stuff"}"#.to_vec(); 2000]).unwrap();
    assert!(verdicts.iter().all(Result::is_err));
    drop(client);
    drop(owner);
    let mut records = Vec::new();
    let filter = Filter { act: Some("LEDGER.REFUSALS".into()), ..Filter::default() };
    home.open()
        .query(&filter, &mut |found| {
            records.push(String::from_utf8(found.stored).unwrap());
            Ok(())
        })
        .unwrap();
    assert!((1..=3).contains(&records.len()), "{records:?}");
    let count = |text: &String| -> u64 {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        value["ctx"]["refused"].as_str().unwrap().parse().unwrap()
    };
    assert_eq!(records.iter().map(count).sum::<u64>(), 2000);
    assert!(records.iter().all(|record| !record.contains("secret")));
    home.verify();
}

#[test]
fn an_event_longer_than_a_frame_is_refused_like_any_other() {
    let home = Home::new();
    let owner = home.open();
    let client = home.open();
    let long = [event(1), vec![b' '; 1 << 20]].concat();
    for session in [&owner, &client] {
        let verdicts = session.offer(vec![event(7), long.clone(), event(8)]).unwrap();
        assert!(verdicts[0].is_ok() && verdicts[2].is_ok());
        assert_eq!(verdicts[1].as_ref().unwrap_err().faults[0].rule, Rule::Size);
    }
    // More than fits into one batch, by count and by bytes.
    let padded = |n| [event(n), vec![b' '; 60_000]].concat();
    let verdicts = client.offer((100..300).map(padded).chain((1000..2500).map(event)).collect()).unwrap();
    assert_eq!(verdicts.len(), 1700);
    assert!(verdicts.iter().all(Result::is_ok));
    drop((client, owner));
    home.verify();
}

#[test]
fn the_socket_is_the_owners_alone_and_a_stale_one_is_replaced() {
    let home = Home::new();
    let socket = home.path().join("custody.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "left behind as by a killed owner");
    let session = home.open();
    assert!(session.is_owner());
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!home.open().is_owner());
    drop(session);
    assert!(!socket.exists());
    home.verify();
}

#[test]
fn a_home_deep_in_the_tree_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("d".repeat(60)).join("e".repeat(60)).join("home");
    audit::create_home(&deep, "test").unwrap();
    let owner = audit::open(&deep).unwrap();
    let client = audit::open(&deep).unwrap();
    assert!(owner.is_owner() && !client.is_owner());
    assert!(client.offer(vec![event(1)]).unwrap()[0].is_ok());
    drop(owner);
    assert!(!deep.join("custody.sock").exists());
}

#[test]
fn a_held_lock_without_an_answer_is_said() {
    let home = Home::new();
    drop(home.open());
    let lock = std::fs::File::options().write(true).open(home.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let start = Instant::now();
    let error = audit::open(&home.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, AuditError::Unreachable { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_entry_that_is_no_event_is_named() {
    let home = Home::new();
    let session = home.open();
    let _ = session.offer(vec![event(1)]).unwrap();
    drop(session);
    let signer = LogKeys::of(&home.path()).signer().unwrap();
    let options = ledger::Options::new(signer.name().to_owned(), signer);
    let (log, _) = ledger::Log::open(&home.path(), options).unwrap();
    let range = log.append(vec![b"{\"not\":\"an event\"}".to_vec()]).unwrap();
    log.close().unwrap();
    let found = audit::verify(&home.path(), None, &mut |_, _| ()).unwrap();
    assert!(found.log.holds() && !found.holds());
    assert_eq!(found.not_events[0].0, range.start);
    // It stops nobody from recording and asking.
    let session = home.open();
    assert!(session.offer(vec![event(2)]).unwrap()[0].is_ok());
    assert_eq!(stored(&session).len(), 2);
}

/// A connection that says what it wants.
fn raw(home: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(home.join("custody.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let _ = stream.write_all(bytes); // it may have been turned away by then
    let _ = stream.shutdown(std::net::Shutdown::Write); // likewise
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer); // what came before a reset counts
    answer
}

fn frame(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

#[test]
fn bad_frames_end_their_connection_and_nothing_else() {
    let home = Home::new();
    let owner = home.open();
    let hello = frame(r#"{"protocol":"custody-audit","version":1}"#);
    let with_hello = |rest: &[u8]| [hello.as_slice(), rest].concat();
    let silent = UnixStream::connect(home.path().join("custody.sock")).unwrap();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("another version", frame(r#"{"protocol":"custody-audit","version":2}"#), "protocol or version"),
        ("no hello", frame(r#"{"op":"status"}"#), "not a message"),
        ("a hello of 4 GiB", vec![0xff; 64], "too long"),
        ("garbage", with_hello(&frame("garbage")), "not a message"),
        ("an unknown request", with_hello(&frame(r#"{"op":"erase"}"#)), "not a message"),
        ("an unknown field", with_hello(&frame(r#"{"op":"status","x":1}"#)), "not a message"),
        ("an empty batch", with_hello(&frame(r#"{"op":"record","count":0}"#)), "a batch has 1 to"),
        (
            "a huge batch",
            with_hello(&frame(r#"{"op":"record","count":18446744073709551615}"#)),
            "a batch has",
        ),
        ("a huge frame", with_hello(&[0x7f, 0xff, 0xff, 0xff]), "too long"),
        ("half a frame", with_hello(&[0, 0, 1, 0, b'x']), ""),
        ("half a length", with_hello(&[0, 0]), ""),
        ("half a batch", with_hello(&frame(r#"{"op":"record","count":2}"#)), ""),
        (
            "a huge reply asked for",
            with_hello(&frame(r#"{"op":"prove","selector":{"index":7777}}"#)),
            "no event at",
        ),
        ("nothing", Vec::new(), ""),
    ];
    for (name, bytes, expected) in cases {
        let answer = String::from_utf8_lossy(&raw(&home.path(), &bytes)).into_owned();
        assert!(answer.contains(expected), "{name}: {answer}");
        let client = home.open();
        assert!(client.status().is_ok(), "after {name}");
    }
    drop(silent);
    // A batch that is cut off is not stored in part.
    let cut =
        [frame(r#"{"op":"record","count":2}"#), frame(std::str::from_utf8(&event(1)).unwrap())].concat();
    raw(&home.path(), &with_hello(&cut));
    assert!(stored(&owner).is_empty());
    drop(owner);
    home.verify();
}

#[test]
fn a_client_that_reads_nothing_holds_up_nobody() {
    let home = Home::new();
    let owner = home.open();
    let mut deaf = UnixStream::connect(home.path().join("custody.sock")).unwrap();
    deaf.write_all(&frame(r#"{"protocol":"custody-audit","version":1}"#)).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let batch = [frame(r#"{"op":"record","count":1}"#), frame("{}")].concat();
    // Until the owner stops reading because nobody takes its answers.
    let blocked = (0..200_000).any(|_| deaf.write_all(&batch).is_err());
    assert!(blocked, "an answer that nobody reads must not be kept without bound");
    let other = home.open();
    assert!(other.offer(vec![event(1)]).unwrap()[0].is_ok());
    drop(other);
    let start = Instant::now();
    drop(owner);
    assert!(start.elapsed() < Duration::from_secs(20), "the deaf client kept the owner from leaving");
    home.verify();
}
