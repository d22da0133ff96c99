//! One content, one root: whatever it is packed in, whoever reads it first, wherever it lies.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use evidence::Options;
use gm::DualDigest;
use seal::Comparison;
use support::tar::Tar;
use support::text;
use support::zip::{Archive, Entry, deflated, stored};

/// Names and contents whose sizes straddle the lanes' buffers; more than all lanes of several threads take at once.
fn contents() -> Vec<(String, Vec<u8>)> {
    let edges = [0, 1, 63, 64, 4095, 4096, 32 << 10, (32 << 10) + 1, 100_000];
    let sizes = edges.iter().cycle().take(190).enumerate().map(|(i, size)| size + i % 5);
    let mut all: Vec<_> = sizes.enumerate().map(|(i, size)| (format!("f{i:03}"), text(size))).collect();
    all.push(("large".into(), text(1_500_000)));
    all
}

fn zip(contents: &[(String, Vec<u8>)], reversed: bool) -> Vec<u8> {
    let pack = |(at, (name, data)): (usize, &(String, Vec<u8>))| {
        let entry = if at % 2 == 0 { deflated(name, data) } else { stored(name, data) };
        Entry { mode: 0o100_644, ..entry }
    };
    let mut entries: Vec<Entry> = contents.iter().enumerate().map(pack).collect();
    if reversed {
        entries.reverse();
    }
    Archive { entries, ..Archive::default() }.build()
}

fn roots(path: &Path, threads: usize) -> DualDigest {
    let options = Options { entries_only: true, threads, ..Options::default() };
    evidence::collect(path, &options, &|_, _| {}).unwrap().into_seal().unwrap().tree().roots()
}

/// Temporary folders of every file system that is here: the disk's, and one in memory.
fn folders() -> Vec<tempfile::TempDir> {
    let memory = PathBuf::from("/dev/shm");
    if !memory.is_dir() {
        eprintln!("SKIPPED: no file system in memory");
    }
    let memory = memory.is_dir().then(|| tempfile::tempdir_in(memory).unwrap());
    std::iter::once(tempfile::tempdir().unwrap()).chain(memory).collect()
}

#[test]
fn every_way_of_reading_gives_the_same_root() {
    let contents = contents();
    let entries = contents.iter().map(|(name, data)| {
        let path = seal::EntryPath::new(name).unwrap();
        seal::Entry::file(path, 0o644, data.len() as u64, gm::Dual::digest(data))
    });
    let expected = seal::Tree::new(entries.collect()).unwrap().roots();
    for folder in folders() {
        let unpacked = folder.path().join("unpacked");
        fs::create_dir(&unpacked).unwrap();
        // Written in another order than they are named, so that the folder lists them in another.
        for (name, data) in contents.iter().rev() {
            fs::write(unpacked.join(name), data).unwrap();
            set_mode(&unpacked.join(name));
        }
        let tar = contents.iter().fold(Tar::default(), |tar, (name, data)| tar.file(name, data)).end();
        let tar = without_execute(tar);
        for (name, bytes) in
            [("a.zip", zip(&contents, false)), ("b.zip", zip(&contents, true)), ("c.tar", tar)]
        {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        for threads in [1, 2, 7] {
            for name in ["unpacked", "a.zip", "b.zip", "c.tar"] {
                let found = roots(&folder.path().join(name), threads);
                assert_eq!(found, expected, "{name} in {} on {threads} threads", folder.path().display());
            }
        }
    }
}

#[cfg(unix)]
fn set_mode(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path) {}

/// The writer of the tests says 0755; a directory and a ZIP here say 0644.
fn without_execute(mut tar: Vec<u8>) -> Vec<u8> {
    for block in tar.as_chunks_mut::<512>().0.iter_mut().filter(|block| &block[257..262] == b"ustar") {
        block[100..108].copy_from_slice(b"0000644\0");
        support::tar::checksum(block);
    }
    tar
}

#[test]
fn entries_alone_and_the_whole_archive_agree_about_entries() {
    let bytes = zip(&contents(), false);
    let whole = support::sealed(&bytes);
    let options = Options::for_entries(&whole, evidence::Limits::default());
    let found = support::observe(&bytes, &options).unwrap().observation;
    assert_eq!(found.digest, None);
    assert!(Comparison::of(&whole, &found).holds());
    // A byte that belongs to no entry does not count here, and does there.
    let mut tail = bytes.clone();
    let end = tail.len() - 2;
    tail.truncate(end);
    tail.extend([1, 0, b'!']);
    let found = support::observe(&tail, &options).unwrap().observation;
    assert!(Comparison::of(&whole, &found).holds());
    assert!(!support::compare(&whole, &tail).holds());
    let mut damaged = bytes;
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    let found = support::observe(&damaged, &options).unwrap().observation;
    assert!(!Comparison::of(&whole, &found).holds());
}
