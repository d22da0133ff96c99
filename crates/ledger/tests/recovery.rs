//! Opening a home whose owner did not close it, on real files.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::{Path, PathBuf};

use common::{ORIGIN, files, leaf, options, verify};
use ledger::{Damage, LedgerError, Log, Options};
use signing::Ed25519Signer;
use signing::note::NoteSigner;

/// What a killed owner leaves: 10 leaves under a checkpoint, then 3 records of 5 leaves each.
fn killed(home: &Path) -> PathBuf {
    let owner = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(owner.path(), options()).unwrap();
    log.append((0..10).map(leaf).collect()).unwrap();
    log.publish().unwrap();
    for first in [10, 15, 20] {
        log.append((first..first + 5).map(leaf).collect()).unwrap();
    }
    for path in files(owner.path()) {
        let to = home.join(path.strip_prefix(owner.path()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
    home.join("log/entries/0000000000000000.seg")
}

/// Where each record of a segment starts, and where the last one ends: records start with `CWR1`.
fn records(segment: &[u8]) -> Vec<usize> {
    let mut starts: Vec<usize> =
        (4096..segment.len()).step_by(8).filter(|at| segment[*at..].starts_with(b"CWR1")).collect();
    starts.push(segment.iter().rposition(|&b| b != 0).unwrap() + 1);
    starts
}

#[test]
fn what_was_acknowledged_is_replayed() {
    let home = tempfile::tempdir().unwrap();
    killed(home.path());
    let report = verify(home.path());
    assert!(report.holds());
    assert_eq!(report.unpublished, 15);
    let (log, recovery) = Log::open(home.path(), options()).unwrap();
    assert_eq!((recovery.checkpoint_size, recovery.replayed, recovery.torn), (10, 15, None));
    assert!(log.entries(0..25).enumerate().all(|(i, entry)| entry.unwrap() == leaf(i as u64)));
    assert_eq!(log.latest_checkpoint().size(), 25);
}

#[test]
fn a_torn_last_record_is_dropped_and_reported_at_every_length() {
    let home = tempfile::tempdir().unwrap();
    let whole = std::fs::read(killed(home.path())).unwrap();
    let starts = records(&whole);
    let [last, end] = starts[starts.len() - 2..] else { panic!("no records") };
    for cut in (last + 1..end).step_by(3) {
        let home = tempfile::tempdir().unwrap();
        let segment = killed(home.path());
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[cut..].fill(0);
        std::fs::write(&segment, bytes).unwrap();
        assert!(verify(home.path()).holds(), "a torn record is no damage");
        let (log, recovery) = Log::open(home.path(), options()).unwrap();
        let torn = recovery.torn.unwrap();
        assert_eq!((recovery.replayed, torn.index, torn.offset), (10, 20, last as u64), "cut at {cut}");
        assert_eq!(log.append(vec![leaf(20)]).unwrap(), 20..21);
        log.close().unwrap();
        assert!(verify(home.path()).holds());
        let (_, recovery) = Log::open(home.path(), options()).unwrap();
        assert_eq!(recovery.torn, None, "repaired");
    }
}

#[test]
fn a_damaged_record_before_another_is_refused_and_named() {
    let home = tempfile::tempdir().unwrap();
    let segment = killed(home.path());
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = records(&bytes)[2]; // of entries 15..20
    bytes[at + 40] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let report = verify(home.path());
    let named = |damage: &Damage| matches!(damage, Damage::Segment { index: 15, bytes, .. } if bytes.contains(&(at as u64 + 40)));
    assert!(report.damage.len() == 1 && named(&report.damage[0]), "{:?}", report.damage);
    let opened = Log::open(home.path(), options()).map(|_| ());
    assert!(
        matches!(&opened, Err(LedgerError::WalDamaged { offset, .. }) if *offset == at as u64),
        "{opened:?}"
    );
    assert!(verify(home.path()).damage == report.damage, "a refused opening changes nothing");
}

#[test]
fn a_removed_segment_or_checkpoint_is_refused() {
    let home = tempfile::tempdir().unwrap();
    killed(home.path());
    std::fs::remove_file(home.path().join("log/checkpoint")).unwrap();
    let opened = Log::open(home.path(), options()).map(|_| ());
    assert!(
        matches!(&opened, Err(LedgerError::Damaged { path, .. }) if path == "log/checkpoint"),
        "{opened:?}"
    );

    let home = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(home.path(), options()).unwrap();
    let owner = home.path();
    let copy = tempfile::tempdir().unwrap();
    for n in 0..6 {
        log.append((0..4).map(|i| vec![n * 4 + i; 9000]).collect()).unwrap();
    }
    for path in files(owner) {
        let to = copy.path().join(path.strip_prefix(owner).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
    let segments = files(&copy.path().join("log/entries"));
    assert!(segments.len() >= 3, "{segments:?}");
    std::fs::remove_file(&segments[1]).unwrap();
    let opened = Log::open(copy.path(), options()).map(|_| ());
    assert!(matches!(opened, Err(LedgerError::WalGap { .. })), "{opened:?}");
}

#[test]
fn a_right_edge_that_does_not_belong_to_the_checkpoint_is_refused() {
    for file in ["log/tiles/sha256/0/00000000", "log/tiles/sm3/0/00000000", "log/checkpoint"] {
        let home = tempfile::tempdir().unwrap();
        killed(home.path());
        let path = home.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(Log::open(home.path(), options()).is_err(), "{file}");
    }
}

#[test]
fn a_log_goes_on_under_a_new_key_when_the_old_one_is_named() {
    for unpublished in [0, 5] {
        let home = tempfile::tempdir().unwrap();
        killed(home.path());
        if unpublished == 0 {
            Log::open(home.path(), options()).unwrap();
        }
        let key = Ed25519Signer::generate().unwrap().to_pkcs8_pem().unwrap();
        let signer = || NoteSigner::new(ORIGIN, Ed25519Signer::from_pkcs8_pem(&key).unwrap()).unwrap();
        let refused = Log::open(home.path(), Options::new(ORIGIN, signer())).map(|_| ());
        assert!(matches!(refused, Err(LedgerError::Checkpoint { .. })), "{refused:?}");
        let retired = vec![common::verifier()];
        let (log, _) = Log::open(home.path(), Options { retired, ..Options::new(ORIGIN, signer()) }).unwrap();
        assert_eq!(log.latest_checkpoint().size(), 25);
        log.close().unwrap();
        let none = ledger::VerifyOptions::default();
        let report = ledger::verify(home.path(), &signer().verifier(), &none, &mut |_, _| ()).unwrap();
        assert!(report.holds(), "{:?}", report.damage);
        Log::open(home.path(), Options::new(ORIGIN, signer())).unwrap();
    }
}

#[test]
fn a_log_that_was_lost_is_not_begun_anew() {
    let home = tempfile::tempdir().unwrap();
    let existing = || Options { create: false, ..options() };
    let refused = || match Log::open(home.path(), existing()).map(|_| ()) {
        Err(LedgerError::Damaged { path, .. }) => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(), "log/checkpoint");
    let (log, _) = Log::open(home.path(), options()).unwrap();
    log.append(vec![b"one".to_vec()]).unwrap();
    log.close().unwrap();
    std::fs::remove_dir_all(home.path().join("log")).unwrap();
    assert_eq!(refused(), "log/checkpoint");
    assert!(!home.path().join("log").exists(), "nothing was put in its place");
}
