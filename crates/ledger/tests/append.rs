//! Appending, reading back, proofs, and opening again, through the public API.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::Duration;

use common::{ORIGIN, leaf, options, signer};
use ledger::{LedgerError, Log, Options, SignedCheckpoint};
use tlog::{Frontier, Sha256, TreeHash as _};

#[test]
fn what_is_appended_is_read_proved_and_there_after_opening_again() {
    let home = tempfile::tempdir().unwrap();
    let (log, recovery) = Log::open(home.path(), options()).unwrap();
    assert!(recovery.created);
    let mut size = 0u64;
    for batch in [1u64, 1, 253, 1, 1, 255, 300, 1000, 64000] {
        let range = log.append((size..size + batch).map(leaf).collect()).unwrap();
        assert_eq!(range, size..size + batch);
        size += batch;
        assert_eq!(log.durable_size(), size);
        assert_eq!(log.read(size - 1).unwrap(), leaf(size - 1), "before it is published");
        let published = log.publish().unwrap();
        assert_eq!(published.size(), size);
        let opened = SignedCheckpoint::open(&published.note, &signer().verifier(), ORIGIN).unwrap();
        for index in [0, size / 2, size - 1] {
            assert_eq!(log.read(index).unwrap(), leaf(index));
            let proof = log.prove(index).unwrap();
            proof.verify(&Sha256::leaf(&leaf(index)), &opened.checkpoint).unwrap();
            assert!(proof.verify(&Sha256::leaf(&leaf(index + 1)), &opened.checkpoint).is_err());
        }
    }
    let first = log.latest_checkpoint();
    log.append(vec![leaf(size)]).unwrap();
    drop(log);

    let (log, recovery) = Log::open(home.path(), options()).unwrap();
    assert_eq!((recovery.checkpoint_size, recovery.replayed, recovery.torn), (size + 1, 0, None));
    let latest = log.latest_checkpoint();
    let proof = log.prove_consistency(first.size()).unwrap();
    proof.verify(&first.checkpoint, &latest.checkpoint).unwrap();
    let all: Vec<_> = log.entries(0..u64::MAX).map(Result::unwrap).collect();
    assert!(all.iter().enumerate().all(|(i, entry)| *entry == leaf(i as u64)));
    assert_eq!(all.len() as u64, size + 1);
    assert!(matches!(log.read(size + 1), Err(LedgerError::OutOfRange { .. })));
}

#[test]
fn a_home_has_one_owner() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(home.path(), options()).unwrap();
    assert!(matches!(Log::open(home.path(), options()), Err(LedgerError::Owned { .. })));
    log.close().unwrap();
    Log::open(home.path(), options()).unwrap();
}

#[test]
fn followers_see_each_durable_leaf_and_tickets_answer_in_order() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) =
        Log::open(home.path(), Options { create: true, ..Options::new(ORIGIN, signer()) }).unwrap();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let mut seen = Vec::new();
            while seen.len() < 500 {
                let from = seen.len() as u64;
                let to = log.wait_durable(from, Duration::from_secs(10)).unwrap();
                seen.extend(log.entries(from..to).map(Result::unwrap));
            }
            seen
        });
        let tickets: Vec<_> = (0..500).map(|i| log.submit(leaf(i)).unwrap()).collect();
        for (i, ticket) in tickets.iter().enumerate() {
            assert_eq!(ticket.wait().unwrap(), i as u64);
        }
        let seen = follower.join().unwrap();
        assert!(seen.iter().enumerate().all(|(i, entry)| *entry == leaf(i as u64)));
    });
}

#[test]
fn a_leaf_that_no_bundle_can_carry_is_refused_alone() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(home.path(), options()).unwrap();
    assert!(matches!(log.append(vec![vec![0; 65536]]), Err(LedgerError::TooLong { length: 65536 })));
    assert_eq!(log.append(vec![vec![0; 65535], Vec::new()]).unwrap(), 0..2);
    log.publish().unwrap();
    assert_eq!(log.read(0).unwrap(), vec![0; 65535]);
    assert!(log.read(1).unwrap().is_empty());
}

#[test]
fn many_leaves_are_published_without_being_asked() {
    let home = tempfile::tempdir().unwrap();
    let small = Options { held_bytes: 1 << 20, ..options() };
    let (log, _) = Log::open(home.path(), small).unwrap();
    for i in 0..18u64 {
        log.append((0..60_000).map(|n| (i * 60_000 + n).to_be_bytes().to_vec()).collect()).unwrap();
    }
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while log.latest_checkpoint().size() < 1 << 20 && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(log.latest_checkpoint().size() >= 1 << 20, "{}", log.latest_checkpoint().size());
    let from = log.size();
    assert_eq!(log.append(vec![vec![1; 60_000]; 40]).unwrap(), from..from + 40, "above the bound, alone");
}

#[test]
fn a_log_that_is_opened_again_goes_on_in_its_segment() {
    let home = tempfile::tempdir().unwrap();
    for i in 0..5 {
        let (log, _) = Log::open(home.path(), options()).unwrap();
        log.append((i * 100..i * 100 + 100).map(leaf).collect()).unwrap();
        log.close().unwrap();
    }
    assert_eq!(std::fs::read_dir(home.path().join("log/entries")).unwrap().count(), 1);
    assert!(common::verify(home.path()).holds());
}

#[test]
fn proofs_are_made_for_every_size_also_those_never_published() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(home.path(), options()).unwrap();
    log.append((0..300).map(leaf).collect()).unwrap();
    log.publish().unwrap();
    let mut tree = Frontier::<Sha256>::new();
    let mut roots = vec![tree.root()];
    for size in 1..=300u64 {
        tree.push(Sha256::leaf(&leaf(size - 1)));
        roots.push(tree.root());
        for index in [0, size / 2, size - 1] {
            let path = log.inclusion(index, size).unwrap();
            let root = tree.root();
            tlog::verify_inclusion::<Sha256>(&Sha256::leaf(&leaf(index)), index, size, &path, &root).unwrap();
        }
        for old in [1, size / 2, size - 1] {
            let path = log.consistency(old, size).unwrap();
            let (from, to) = (&roots[usize::try_from(old).unwrap()], &tree.root());
            tlog::verify_consistency::<Sha256>(old, size, &path, from, to).unwrap();
        }
    }
    assert!(matches!(log.inclusion(0, 301), Err(LedgerError::OutOfRange { .. })));
}
