//! One byte changed anywhere under `log/`, one file taken away or added: verification fails and names it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{ORIGIN, files, leaf, log_of, options, verify};
use ledger::{Damage, Log, Options, VerifyOptions};

/// Whether a finding names the file, or the entry that has the byte.
fn names(damage: &Damage, file: &str, bytes: &[u8], at: usize) -> bool {
    match damage {
        Damage::Checkpoint { .. } => file == "log/checkpoint",
        Damage::Entry { index, path, .. } => path == file && *index == entry_at(file, bytes, at),
        Damage::Tile { path, .. } => path == file,
        _ => false,
    }
}

/// The index of the entry that the byte belongs to, with its length.
fn entry_at(file: &str, bytes: &[u8], at: usize) -> u64 {
    let tile = tlog::Tile::parse(file.strip_prefix("log/").unwrap()).unwrap();
    let mut end = 0;
    let within = tlog::bundle::entries(bytes).position(|entry| {
        end += 2 + entry.unwrap().len();
        at < end
    });
    tile.index * 256 + within.unwrap() as u64
}

fn flip_and_verify(home: &Path, positions: impl Fn(usize) -> Vec<usize>, masks: &[u8]) -> usize {
    assert!(verify(home).holds(), "{:?}", verify(home).damage);
    let mut flips = 0;
    for path in files(&home.join("log")) {
        let file = path.strip_prefix(home).unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        for at in positions(bytes.len()) {
            for mask in masks {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                std::fs::write(&path, &changed).unwrap();
                let report = verify(home);
                let first = report.damage.first();
                assert!(
                    first.is_some_and(|damage| names(damage, &file, &bytes, at)),
                    "byte {at} of {file} changed by {mask:#x}: {first:?}"
                );
                flips += 1;
            }
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    assert!(verify(home).holds());
    flips
}

#[test]
fn every_byte_of_a_small_log_counts() {
    let home = tempfile::tempdir().unwrap();
    log_of(home.path(), &[2, 3]);
    let flips = flip_and_verify(home.path(), |length| (0..length).collect(), &[0x01, 0x20, 0x80]);
    assert!(flips > 1500, "{flips}");
}

/// First, last and some bytes between, another few in each file.
fn sample(step: usize) -> impl Fn(usize) -> Vec<usize> {
    move |length| (0..length).step_by(step).chain([length - 1]).collect()
}

#[test]
fn bytes_around_the_edges_of_bundles_and_tiles_count() {
    for (sizes, step) in [(&[255][..], 331), (&[256], 331), (&[200, 257], 331), (&[600], 599)] {
        let home = tempfile::tempdir().unwrap();
        log_of(home.path(), sizes);
        flip_and_verify(home.path(), sample(step), &[0x01]);
    }
}

#[test]
fn bytes_around_the_edge_of_a_tile_of_level_one_count() {
    for size in [65535, 65536, 65537] {
        let home = tempfile::tempdir().unwrap();
        log_of(home.path(), &[size]);
        let report = verify(home.path());
        assert!(report.holds(), "{:?}", report.damage);
        // One file of each kind: the first and last of each directory.
        let all = files(&home.path().join("log"));
        for (n, path) in all.iter().enumerate() {
            let edge = n == 0 || n + 1 == all.len() || path.parent() != all[n - 1].parent();
            if !edge || (n % 3 != 0 && path.parent().unwrap().ends_with("entries")) {
                continue;
            }
            let bytes = std::fs::read(path).unwrap();
            let at = bytes.len() / 2;
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            std::fs::write(path, &changed).unwrap();
            let file = path.strip_prefix(home.path()).unwrap().to_str().unwrap();
            let report = verify(home.path());
            assert!(report.damage.first().is_some_and(|damage| names(damage, file, &bytes, at)), "{file}");
            std::fs::write(path, &bytes).unwrap();
        }
    }
}

#[test]
fn a_missing_file_is_named_and_so_is_one_that_does_not_belong() {
    let home = tempfile::tempdir().unwrap();
    log_of(home.path(), &[100, 600]);
    for path in files(&home.path().join("log")) {
        let file = path.strip_prefix(home.path()).unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let first = verify(home.path()).damage.into_iter().next();
        match first {
            Some(Damage::Missing { path }) => assert_eq!(path, file),
            Some(Damage::Checkpoint { .. }) => assert_eq!(file, "log/checkpoint"),
            other => panic!("{file}: {other:?}"),
        }
        std::fs::write(&path, bytes).unwrap();
    }
    for extra in [
        "log/notes",
        "log/tile/0/003",
        "log/tile/0/x000/000",
        "log/tile/0/002.p/89",
        "log/tile/0/1",
        "log/tile/2/000.p/1",
        "log/tile/entries/000.tmp",
        "log/sm3/checkpoint",
        "log/sm3/tile/entries/000",
        "log/other/x",
    ] {
        let path = home.path().join(extra);
        let dir = path.parent().unwrap();
        let had_dir = dir.exists();
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(&path, b"x").unwrap();
        let report = verify(home.path());
        let Some(Damage::Unexpected { path: found }) = report.damage.first() else {
            panic!("{extra}: {:?}", report.damage)
        };
        assert!(extra.starts_with(found.as_str()), "{extra}: {found}");
        std::fs::remove_file(&path).unwrap();
        if !had_dir {
            std::fs::remove_dir(dir).unwrap();
        }
    }
    assert!(verify(home.path()).holds());
}

#[test]
fn an_outgrown_partial_tile_is_checked_too() {
    let home = tempfile::tempdir().unwrap();
    log_of(home.path(), &[10, 20]);
    let outgrown = home.path().join("log/tile/entries/000.p/10");
    assert!(outgrown.exists(), "kept until the bundle is full");
    let mut bytes = std::fs::read(&outgrown).unwrap();
    bytes[5] ^= 1;
    std::fs::write(&outgrown, bytes).unwrap();
    let report = verify(home.path());
    assert!(matches!(&report.damage[..], [Damage::Tile { path, .. }] if path == "log/tile/entries/000.p/10"));
    log_of(home.path(), &[300]);
    assert!(!outgrown.exists(), "removed when the bundle is full");
    assert!(verify(home.path()).holds());
}

#[test]
fn an_earlier_checkpoint_must_be_extended() {
    let home = tempfile::tempdir().unwrap();
    log_of(home.path(), &[300]);
    let note = std::fs::read_to_string(home.path().join("log/checkpoint")).unwrap();
    log_of(home.path(), &[700]);
    let options = VerifyOptions { earlier: Some(note), ..VerifyOptions::default() };
    let check = |home: &Path| ledger::verify(home, &common::verifier(), &options, &mut |_, _| ()).unwrap();
    assert!(check(home.path()).holds());

    let shorter = tempfile::tempdir().unwrap();
    log_of(shorter.path(), &[299]);
    assert_eq!(check(shorter.path()).damage, [Damage::Shortened { earlier: 300, now: 299 }]);

    // The same key, another history.
    let forked = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(forked.path(), common::options()).unwrap();
    log.append((1..800).map(leaf).collect()).unwrap();
    log.close().unwrap();
    assert!(matches!(check(forked.path()).damage[..], [Damage::Forked { .. }, Damage::Forked { .. }]));
}

#[test]
fn entries_that_are_not_yet_under_a_checkpoint_are_counted() {
    let home = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(home.path(), options()).unwrap();
    log.append((0..10).map(leaf).collect()).unwrap();
    log.publish().unwrap();
    log.append((10..17).map(leaf).collect()).unwrap();
    let report = verify(home.path());
    assert!(report.holds());
    assert_eq!((report.checkpoint.unwrap().size(), report.unpublished), (10, 7));
}

#[test]
fn verifying_beside_a_busy_owner_gives_no_false_alarm() {
    let home = tempfile::tempdir().unwrap();
    let busy = Options { publish_every: Some(Duration::from_millis(2)), ..options() };
    let (log, _) = Log::open(home.path(), busy).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let from = log.size();
                log.append((from..from + 1 + from % 7).map(leaf).collect()).unwrap();
            }
        });
        let end = Instant::now() + Duration::from_secs(2);
        let (mut runs, mut last) = (0, 0);
        while Instant::now() < end {
            let report = verify(home.path());
            assert!(report.holds(), "{:?}", report.damage);
            let size = report.checkpoint.unwrap().size();
            assert!(size >= last);
            (runs, last) = (runs + 1, size);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(runs > 2 && last > 20, "{runs} runs, {last} entries");
    });
    log.close().unwrap();
    assert!(verify(home.path()).holds());
}

#[test]
fn another_key_or_origin_is_refused() {
    let home = tempfile::tempdir().unwrap();
    log_of(home.path(), &[3]);
    let other = signing::note::NoteSigner::new(ORIGIN, signing::Ed25519Signer::generate().unwrap()).unwrap();
    let report = ledger::verify(home.path(), &other.verifier(), &VerifyOptions::default(), &mut |_, _| ());
    assert!(matches!(report.unwrap().damage[..], [Damage::Checkpoint { .. }]));
    let elsewhere = VerifyOptions { origin: Some("log.example/other".to_owned()), earlier: None };
    let report = ledger::verify(home.path(), &common::verifier(), &elsewhere, &mut |_, _| ());
    assert!(matches!(report.unwrap().damage[..], [Damage::Checkpoint { .. }]));
}
