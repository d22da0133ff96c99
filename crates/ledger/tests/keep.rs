//! Rolling, compressing and pruning: every entry that is kept is read, every proof stays valid, and the log verifies.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{leaf, options, verifier, verify};
use ledger::{Form, LedgerError, Log, Protection, Reader, VerifyOptions};
use tlog::{Sha256, TreeHash as _};

/// Five closed segments of 1,000 entries and one that is written.
fn rolled(home: &std::path::Path) -> Log {
    let (log, _) = Log::open(home, options()).unwrap();
    for n in 0..5 {
        log.append((n * 1000..n * 1000 + 1000).map(leaf).collect()).unwrap();
        log.roll().unwrap();
    }
    log.append((5000..5300).map(leaf).collect()).unwrap();
    log
}

#[test]
fn a_rolled_segment_is_closed_and_the_next_entry_begins_another() {
    let home = tempfile::tempdir().unwrap();
    let log = rolled(home.path());
    log.roll().unwrap();
    log.roll().unwrap();
    let segments = log.segments().unwrap();
    let ranges: Vec<_> = segments.iter().map(|s| (s.first, s.end, s.closed.is_some())).collect();
    let closed = |n: u64| (n * 1000, n * 1000 + 1000, true);
    assert_eq!(ranges, [closed(0), closed(1), closed(2), closed(3), closed(4), (5000, 5300, true)]);
    assert!(segments.iter().all(|s| home.path().join(&s.path).metadata().unwrap().len() == s.bytes));
    assert_eq!(log.append(vec![leaf(5300)]).unwrap(), 5300..5301);
    log.close().unwrap();
    assert!(verify(home.path()).holds());
}

#[test]
fn compressed_segments_read_prove_and_verify_as_before() {
    let home = tempfile::tempdir().unwrap();
    let log = rolled(home.path());
    let before = log.segments().unwrap();
    for (first, form) in [(1000, Form::Zstd), (3000, Form::Gzip)] {
        let packed = log.compress(first, form).unwrap();
        assert_eq!((packed.first, packed.end, packed.form), (first, first + 1000, form));
        assert!(packed.bytes < before.iter().find(|s| s.first == first).unwrap().bytes);
        assert!(matches!(log.compress(first, form), Err(LedgerError::Segment { .. })));
    }
    assert!(matches!(log.compress(5000, Form::Zstd), Err(LedgerError::Segment { .. })), "it is written");
    let check = |log: &Log| {
        assert!(log.entries(0..5300).enumerate().all(|(i, entry)| entry.unwrap() == leaf(i as u64)));
        for index in [0, 999, 1000, 1001, 1500, 1999, 2000, 3000, 3999, 4000, 5299] {
            assert_eq!(log.read(index).unwrap(), leaf(index));
            let proof = log.prove(index).unwrap();
            let heads = log.heads();
            proof.verify(&Sha256::leaf(&leaf(index)), &heads).unwrap();
        }
        let bundle = log.read_resource("tile/entries/004").unwrap().unwrap();
        let entries = tlog::bundle::parse(&bundle, 256).unwrap();
        assert_eq!((entries[0], entries[255]), (&leaf(1024)[..], &leaf(1279)[..]));
    };
    log.publish().unwrap();
    check(&log);
    log.close().unwrap();
    assert!(verify(home.path()).holds(), "{:?}", verify(home.path()).damage);
    check(&Log::open(home.path(), options()).unwrap().0);
}

#[test]
fn pruned_entries_are_gone_and_every_proof_stays() {
    let home = tempfile::tempdir().unwrap();
    let log = rolled(home.path());
    let old = log.publish().unwrap();
    let (proof, at) = (log.prove(10).unwrap(), log.heads());
    log.compress(0, Form::Zstd).unwrap();
    assert_eq!(log.prune(999).unwrap(), 0, "no whole segment");
    assert_eq!(log.prune(2500).unwrap(), 2000);
    assert_eq!(log.latest_checkpoint().minimum(), 2000);
    assert!(log.latest_checkpoint().note.contains("\nminimum 2000\n"));
    assert_eq!((log.minimum(), log.segments().unwrap().len()), (2000, 4));
    assert!(matches!(log.read(1999), Err(LedgerError::Pruned { index: 1999, minimum: 2000 })));
    assert_eq!(log.read(2000).unwrap(), leaf(2000));
    assert_eq!(log.read_resource("tile/entries/000").unwrap(), None);
    assert!(log.read_resource("tile/0/000").unwrap().is_some(), "the hashes stay");
    proof.verify(&Sha256::leaf(&leaf(10)), &at).unwrap();
    log.append((5300..5400).map(leaf).collect()).unwrap();
    let latest = log.publish().unwrap();
    log.prove_consistency(old.size()).unwrap().verify(&old.checkpoint, &latest.checkpoint).unwrap();
    log.prove(10).unwrap().verify(&Sha256::leaf(&leaf(10)), &latest.checkpoint).unwrap();
    log.close().unwrap();
    let report = verify(home.path());
    assert!(report.holds() && report.verified_from == 2000, "{report:?}");
    let (log, _) = Log::open(home.path(), options()).unwrap();
    assert_eq!((log.minimum(), log.size()), (2000, 5400));
    drop(log);

    // Entries that are removed without the key's word are missed.
    std::fs::remove_file(home.path().join("log/entries/00000000000007d0.seg")).unwrap();
    assert!(!verify(home.path()).holds());
    assert!(matches!(Log::open(home.path(), options()).map(|_| ()), Err(LedgerError::WalGap { .. })));
}

#[test]
fn everything_may_be_pruned_and_the_log_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let log = rolled(home.path());
    log.roll().unwrap();
    assert_eq!(log.prune(u64::MAX).unwrap(), 5300);
    assert_eq!(log.append(vec![leaf(5300)]).unwrap(), 5300..5301);
    log.close().unwrap();
    assert!(verify(home.path()).holds(), "{:?}", verify(home.path()).damage);
    let (log, _) = Log::open(home.path(), options()).unwrap();
    assert_eq!(log.read(5300).unwrap(), leaf(5300));
}

#[test]
fn what_came_after_a_checkpoint_is_verified_alone() {
    let home = tempfile::tempdir().unwrap();
    let log = rolled(home.path());
    let since = log.publish().unwrap().note.clone();
    log.append((5300..9000).map(leaf).collect()).unwrap();
    log.close().unwrap();
    let options = VerifyOptions { since: Some(since), ..VerifyOptions::default() };
    let again = || ledger::verify(home.path(), &verifier(), &options, &mut |_, _| ()).unwrap();
    let report = again();
    assert!(report.holds() && report.verified_from == 5300, "{report:?}");
    // An older entry is not looked at; a newer one is, and so are the trees at the checkpoint.
    let path = home.path().join("log/entries/0000000000001388.seg");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|w| w == leaf(7000)).unwrap();
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    std::fs::write(&path, changed).unwrap();
    assert!(
        matches!(&again().damage[..], [ledger::Damage::Entry { index: 7000, .. }]),
        "{:?}",
        again().damage
    );
    std::fs::write(&path, bytes).unwrap();
    let row = home.path().join("log/tiles/sha256/0/00000000");
    let mut hashes = std::fs::read(&row).unwrap();
    hashes[5290 * 32] ^= 1; // in the tile at the edge of the checkpoint
    std::fs::write(&row, hashes).unwrap();
    assert!(matches!(&again().damage[0], ledger::Damage::Forked { earlier: 5300, .. }));
}

#[test]
fn a_rolled_back_home_is_detected_against_a_kept_checkpoint() {
    let home = tempfile::tempdir().unwrap();
    let log = rolled(home.path());
    log.close().unwrap();
    let copy = tempfile::tempdir().unwrap();
    for path in common::files(home.path()) {
        let to = copy.path().join(path.strip_prefix(home.path()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
    let (log, _) = Log::open(home.path(), options()).unwrap();
    log.append(vec![leaf(5300)]).unwrap();
    let kept = log.publish().unwrap().note.clone();
    log.close().unwrap();
    let options = VerifyOptions { earlier: Some(kept), ..VerifyOptions::default() };
    let found = ledger::verify(copy.path(), &verifier(), &options, &mut |_, _| ()).unwrap();
    assert_eq!(found.damage, [ledger::Damage::Shortened { earlier: 5301, now: 5300 }]);
}

#[test]
fn a_protected_segment_says_so_and_is_pruned_all_the_same() {
    let home = tempfile::tempdir_in(".").unwrap();
    let log = rolled(home.path());
    let path = home.path().join(&log.segments().unwrap()[0].path);
    match log.protect(0).unwrap() {
        Protection::Immutable { newly } => {
            assert!(newly && log.protect(0).unwrap() == Protection::Immutable { newly: false });
            assert!(std::fs::OpenOptions::new().write(true).open(&path).is_err());
        }
        Protection::Refused { why } => eprintln!("SKIPPED: files cannot be made immutable here: {why}"),
    }
    assert_eq!(log.prune(1000).unwrap(), 1000);
    assert!(!path.exists());
}

#[test]
fn a_reader_without_the_lock_sees_the_same() {
    let home = tempfile::tempdir().unwrap();
    let log = rolled(home.path());
    log.publish().unwrap();
    let reader = Reader::open(home.path(), &verifier()).unwrap();
    log.compress(2000, Form::Zstd).unwrap();
    log.prune(1000).unwrap();
    let mut next = 1000;
    reader
        .for_each(1000..u64::MAX, &mut |index, entry| {
            assert_eq!((index, entry), (next, &leaf(next)[..]));
            next += 1;
            true
        })
        .unwrap();
    assert_eq!(next, 5300);
}
