//! Any single changed byte of an archive is reported: as a changed, added or removed entry, or as a range.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::io::Write as _;

use support::tar::Tar;
use support::zip::{Archive, Entry, deflated, stored};
use support::{changed, compare, sealed, text};

/// Flips one bit in every byte, a different one each time.
fn every_flip_is_reported(bytes: &[u8]) {
    let seal = sealed(bytes);
    assert!(compare(&seal, bytes).holds());
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        let found = compare(&seal, &damaged);
        let entries = found.changed.len() + found.added.len() + found.removed.len();
        assert!(!found.holds(), "byte {at:#x} is not covered");
        assert!(entries + found.container.len() > 0, "byte {at:#x} has no place: {found:?}");
        let containing = found.container.iter().any(|r| (r.start..r.end).contains(&(at as u64)));
        assert!(entries > 0 || containing, "byte {at:#x} is reported elsewhere: {found:?}");
    }
}

fn zip() -> Vec<u8> {
    let entries = vec![
        stored("stored", b"some content"),
        deflated("dir/deflated", &text(200)),
        Entry { descriptor: Some((true, false)), ..deflated("descriptor", &text(100)) },
        Entry { zip64: true, ..stored("zip64", b"64") },
        Entry { mode: 0o120_777, ..stored("link", b"stored") },
    ];
    Archive { entries, before: Vec::new(), comment: b"the end".to_vec(), zip64_end: true }.build()
}

fn tar() -> Vec<u8> {
    let tar = Tar::default().pax(b'x', &[("path", "long")]).file("one", &text(600));
    tar.add(b'2', "link", "one", b"").file("two", b"2").end()
}

#[test]
fn of_a_zip() {
    every_flip_is_reported(&zip());
}

#[test]
fn of_a_tar() {
    every_flip_is_reported(&tar());
}

#[test]
fn of_a_tar_gz() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&tar()).unwrap();
    every_flip_is_reported(&encoder.finish().unwrap());
}

#[test]
fn of_a_tar_xz() {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(&tar()).unwrap();
    every_flip_is_reported(&encoder.finish().unwrap());
}

#[test]
fn of_a_tar_zst() {
    every_flip_is_reported(&zstd::encode_all(tar().as_slice(), 3).unwrap());
}

/// In the data of a ZIP's entry, exactly that entry is named.
#[test]
fn in_the_data_of_an_entry_names_that_entry_alone() {
    let entries = ["a", "b", "c"].map(|name| deflated(name, &text(400)));
    let bytes = support::zip::archive(entries.clone());
    let seal = sealed(&bytes);
    let length = entries[0].compressed().len();
    for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
        let start = place * (31 + length) + 31;
        for at in start..start + length {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let found = compare(&seal, &damaged);
            assert_eq!(changed(&found), [name], "byte {at}");
            assert!(
                found.added.is_empty() && found.removed.is_empty() && found.container.is_empty(),
                "byte {at}"
            );
        }
    }
}
