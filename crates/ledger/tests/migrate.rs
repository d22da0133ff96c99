//! A home in the first layout (a file for each tile and bundle, a write-ahead log beside them) is rewritten when it is
//! opened, and an interrupted rewriting is begun again.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;

use common::{ORIGIN, files, leaf, log_of, options, signer, verify};
use ledger::{LedgerError, Log, Reader};
use tlog::{Checkpoint, Frontier, Sha256, Sm3, TreeHash as _};

/// What the first layout was: `size` entries in bundles under a checkpoint, and the entries `from..to` in one record of
/// a segment of the write-ahead log.
fn first_layout(home: &Path, size: u64, from: u64, to: u64) {
    let plain = tempfile::tempdir().unwrap();
    log_of(plain.path(), &[size]);
    let reader = Reader::open(plain.path(), &common::verifier()).unwrap();
    reader.export(&home.join("log")).unwrap();
    std::fs::create_dir_all(home.join("log/sm3/tile/0")).unwrap();
    std::fs::write(home.join("log/sm3/tile/0/000"), b"not read").unwrap();
    std::fs::create_dir_all(home.join("wal")).unwrap();
    std::fs::write(home.join("wal/checkpoint.next"), b"").unwrap();
    let salt = [9u8; 16];
    let mut header = [&b"CUSTWAL1"[..], &3u64.to_le_bytes(), &salt].concat();
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    header.resize(4096, 0);
    let mut payload = Vec::new();
    (from..to).for_each(|i| tlog::bundle::push(&mut payload, &leaf(i)).unwrap());
    let mut record = b"CWR1".to_vec();
    record.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    record.extend(u32::try_from(to - from).unwrap().to_le_bytes());
    record.extend([0; 4]);
    record.extend(from.to_le_bytes());
    record.extend(crc32c::crc32c(&payload).to_le_bytes());
    record.extend(crc32c::crc32c_append(crc32c::crc32c(&salt), &record).to_le_bytes());
    record.extend(payload);
    record.resize(1 << 16, 0);
    std::fs::write(home.join("wal/0000000000000003.wal"), [header, record].concat()).unwrap();
}

fn check(home: &Path, size: u64) {
    let (log, recovery) = Log::open(home, options()).unwrap();
    assert!(recovery.migrated && !recovery.created);
    assert_eq!(log.latest_checkpoint().size(), size);
    let all: Vec<_> = log.entries(0..u64::MAX).map(Result::unwrap).collect();
    assert!(all.len() as u64 == size && all.iter().enumerate().all(|(i, entry)| *entry == leaf(i as u64)));
    log.append(vec![leaf(size)]).unwrap();
    log.close().unwrap();
    let report = verify(home);
    assert!(report.holds(), "{:?}", report.damage);
    assert!(!home.join("log/tile").exists() && !home.join("log/sm3").exists() && !home.join("wal").exists());
    let (_, recovery) = Log::open(home, options()).unwrap();
    assert!(!recovery.migrated);
}

#[test]
fn entries_hashes_and_the_write_ahead_log_are_taken_over() {
    // The record begins before, at, and holds nothing behind the checkpoint; several segments of the new layout.
    for (size, from, to) in [(300, 290, 310), (256, 256, 300), (700, 600, 650), (20_000, 20_000, 20_001)] {
        let home = tempfile::tempdir().unwrap();
        first_layout(home.path(), size, from, to);
        check(home.path(), size.max(to));
    }
}

#[test]
fn an_interrupted_rewriting_is_begun_again() {
    let home = tempfile::tempdir().unwrap();
    first_layout(home.path(), 300, 300, 305);
    let done = tempfile::tempdir().unwrap();
    log_of(done.path(), &[100]);
    for path in files(&done.path().join("log")) {
        let relative = path.strip_prefix(done.path()).unwrap();
        if !relative.ends_with("format") && !relative.ends_with("checkpoint") {
            let to = home.path().join(relative);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(path, to).unwrap();
        }
    }
    check(home.path(), 305);
}

#[test]
fn a_damaged_bundle_a_lost_checkpoint_and_a_later_format_are_refused_and_nothing_is_removed() {
    let home = tempfile::tempdir().unwrap();
    first_layout(home.path(), 300, 300, 305);
    let bundle = home.path().join("log/tile/entries/000");
    let bytes = std::fs::read(&bundle).unwrap();
    let mut changed = bytes.clone();
    changed[20] ^= 1;
    std::fs::write(&bundle, changed).unwrap();
    let refused = |what: &str| {
        let opened = Log::open(home.path(), options()).map(|_| ());
        assert!(
            matches!(opened, Err(LedgerError::Damaged { .. } | LedgerError::Format { .. })),
            "{what}: {opened:?}"
        );
        assert!(bundle.exists() && home.path().join("wal/0000000000000003.wal").exists(), "{what}");
    };
    refused("another entry");
    std::fs::write(&bundle, bytes).unwrap();
    let checkpoint = home.path().join("log/checkpoint");
    std::fs::rename(&checkpoint, home.path().join("kept")).unwrap();
    refused("no checkpoint");
    std::fs::rename(home.path().join("kept"), checkpoint).unwrap();
    std::fs::write(home.path().join("log/format"), "custody-log 3\n").unwrap();
    refused("a later format");
    std::fs::remove_file(home.path().join("log/format")).unwrap();
    check(home.path(), 305);
}

/// The roots that the fixture's checkpoint was signed with are those of an independent computation.
#[test]
fn the_fixture_is_a_log() {
    let home = tempfile::tempdir().unwrap();
    first_layout(home.path(), 300, 300, 301);
    let note = std::fs::read_to_string(home.path().join("log/checkpoint")).unwrap();
    let text = signer().verifier().open(&note).unwrap().text;
    let (mut first, mut second) = (Frontier::<Sha256>::new(), Frontier::<Sm3>::new());
    (0..300).for_each(|i| {
        first.push(Sha256::leaf(&leaf(i)));
        second.push(Sm3::leaf(&leaf(i)));
    });
    let checkpoint = Checkpoint::parse(&text).unwrap();
    assert_eq!((checkpoint.root, checkpoint.sm3_root), (first.root(), Some(second.root())));
    assert_eq!(checkpoint.origin, ORIGIN);
}
