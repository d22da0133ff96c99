//! One byte changed anywhere under `log/`, one file taken away or added: verification fails and names it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{ORIGIN, files, leaf, log_of, options, verify};
use ledger::{Damage, Form, Log, Options, VerifyOptions};

/// Whether a finding names the file and the byte.
fn names(damage: &Damage, file: &str, at: u64) -> bool {
    match damage {
        Damage::Checkpoint { .. } => file == "log/checkpoint",
        Damage::Entry { path, bytes, .. }
        | Damage::Segment { path, bytes, .. }
        | Damage::Hash { path, bytes, .. } => path == file && bytes.contains(&at),
        _ => false,
    }
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
                    first.is_some_and(|damage| names(damage, &file, at as u64)),
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

/// A byte in the middle of an entry: the finding has the entry's index.
#[test]
fn a_changed_entry_is_named_by_its_index() {
    let home = tempfile::tempdir().unwrap();
    log_of(home.path(), &[300, 700]);
    let path = home.path().join("log/entries/0000000000000000.seg");
    let bytes = std::fs::read(&path).unwrap();
    for index in [0u64, 1, 255, 256, 299, 300, 699] {
        let at = bytes.windows(leaf(index).len()).position(|window| window == leaf(index)).unwrap();
        let mut changed = bytes.clone();
        changed[at + 3] ^= 0x20;
        std::fs::write(&path, &changed).unwrap();
        let report = verify(home.path());
        assert!(
            matches!(&report.damage[..], [Damage::Entry { index: found, bytes, .. }] if *found == index && bytes.contains(&(at as u64 + 3))),
            "{index}: {:?}",
            report.damage
        );
    }
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
        flip_and_verify(home.path(), |length| vec![length / 2, length - 1], &[0x10]);
    }
}

#[test]
fn bytes_of_closed_and_compressed_segments_count() {
    for form in [Form::Zstd, Form::Gzip] {
        let home = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(home.path(), options()).unwrap();
        for n in 0..3 {
            log.append((n * 90..n * 90 + 90).map(leaf).collect()).unwrap();
            log.roll().unwrap();
        }
        log.append(vec![leaf(270)]).unwrap();
        log.compress(90, form).unwrap();
        log.close().unwrap();
        let whole = |length: usize| {
            let step = if length < 4096 { 2 } else { 7 };
            (0..44.min(length))
                .chain((44..length.min(4096)).step_by(step * 30))
                .chain((4096..length).step_by(step))
                .collect()
        };
        let flips = flip_and_verify(home.path(), whole, &[0x01]);
        assert!(flips > 700, "{flips}");
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
        match verify(home.path()).damage.into_iter().next() {
            Some(Damage::Missing { path }) => assert_eq!(path, file),
            Some(Damage::Checkpoint { .. }) => assert_eq!(file, "log/checkpoint"),
            Some(Damage::Gap { from: 0, to: 600 }) => assert!(file.starts_with("log/entries/"), "{file}"),
            other => panic!("{file}: {other:?}"),
        }
        std::fs::write(&path, bytes).unwrap();
    }
    for extra in [
        "log/notes",
        "log/tile/0/003",
        "log/tiles/sha256/0/00000001",
        "log/tiles/sha256/0/1",
        "log/tiles/sha256/2/00000000",
        "log/tiles/sha256/8/00000000",
        "log/tiles/md5/0/00000000",
        "log/entries/000.tmp",
        "log/entries/x.seg",
    ] {
        let path = home.path().join(extra);
        let dirs: Vec<_> =
            path.ancestors().skip(1).take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"x").unwrap();
        let report = verify(home.path());
        let Some(Damage::Unexpected { path: found }) = report.damage.first() else {
            panic!("{extra}: {:?}", report.damage)
        };
        assert!(extra.starts_with(found.as_str()), "{extra}: {found}");
        std::fs::remove_file(&path).unwrap();
        dirs.iter().for_each(|dir| std::fs::remove_dir(dir).unwrap());
    }
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
    /// Ends the appending also when a check fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
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
    let elsewhere =
        VerifyOptions { origin: Some("log.example/other".to_owned()), ..VerifyOptions::default() };
    let report = ledger::verify(home.path(), &common::verifier(), &elsewhere, &mut |_, _| ());
    assert!(matches!(report.unwrap().damage[..], [Damage::Checkpoint { .. }]));
}
