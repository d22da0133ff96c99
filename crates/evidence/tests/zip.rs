//! ZIP: every shape that is read, and every contradiction that is refused.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use evidence::{EvidenceError, Limits, Options};
use seal::{EntryKind, ObservedKind};
use support::zip::{Archive, Entry, archive, deflated, stored, zip64_extra};
use support::{changed, compare, observe, read, reason, sealed, text};

#[test]
fn every_shape_is_read() {
    let forms = [None, Some((true, false)), Some((false, false)), Some((true, true)), Some((false, true))];
    for descriptor in forms {
        for zip64 in [false, true] {
            for size in [0, 1, 5000, 300_000] {
                let data = text(size);
                let entries = [stored("dir/stored", &data), deflated("deflated", &data)];
                let entries = entries.map(|e| Entry { descriptor, zip64, ..e });
                for (zip64_end, before) in
                    [(false, Vec::new()), (true, Vec::new()), (true, b"#!/bin/sh\n".to_vec())]
                {
                    let comment = b"a comment".to_vec();
                    let bytes = Archive { entries: entries.to_vec(), before, comment, zip64_end }.build();
                    let found = read(&bytes).unwrap().observation;
                    assert_eq!(found.kind, ObservedKind::Archive(seal::Format::Zip));
                    assert_eq!(found.digest, Some(gm::Dual::digest(&bytes)));
                    let digests: Vec<_> = found.entries.iter().map(|e| (e.size, e.digest)).collect();
                    assert_eq!(
                        digests,
                        [(data.len() as u64, gm::Dual::digest(&data)); 2],
                        "{descriptor:?} {zip64}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_archive_of_nothing_has_a_seal() {
    assert!(sealed(&archive([])).tree().entries().is_empty());
}

#[test]
fn kinds_and_modes_come_from_the_unix_attributes() {
    let bytes = archive([
        Entry { mode: 0o100_755, ..stored("tool", b"x") },
        Entry { mode: 0o120_777, ..stored("link", b"tool") },
        Entry { mode: 0o040_700, ..stored("dir/", b"") },
        Entry { mode: 0, ..stored("plain", b"x") },
        Entry { mode: 0, ..stored("folder/", b"") },
        Entry { mode: 0o100_755, central: |c| c[5] = 0, ..stored("dos", b"x") },
    ]);
    let seal = sealed(&bytes);
    let entries = seal.tree().entries().iter();
    let found: Vec<_> = entries.map(|e| (e.path.as_str(), e.kind, e.mode, e.target.as_deref())).collect();
    let expected = [
        ("dir", EntryKind::Directory, 0o700, None),
        ("dos", EntryKind::File, 0o644, None),
        ("folder", EntryKind::Directory, 0o755, None),
        ("link", EntryKind::Symlink, 0o777, Some("tool")),
        ("plain", EntryKind::File, 0o644, None),
        ("tool", EntryKind::File, 0o755, None),
    ];
    assert_eq!(found, expected);
}

#[test]
fn headers_that_disagree_are_refused() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change, &str); 9] = [
        ("signature", |h| h[0] = b'Q', "local header is missing"),
        ("flags", |h| h[7] ^= 8, "disagree on the flags"),
        ("method", |h| h[8] = 0, "disagree on the method"),
        ("crc", |h| h[14] ^= 1, "disagree on the CRC"),
        ("compressed size", |h| h[18] ^= 1, "disagree on the size"),
        ("size", |h| h[22] ^= 1, "disagree on the size"),
        ("name", |h| h[30] ^= 1, "disagree on the name"),
        ("name length", |h| h[26] -= 1, "disagree on the name"),
        ("extra length", |h| h[28] = 200, "is refused"),
    ];
    for (field, local, expected) in cases {
        let bytes = archive([stored("first", b"1"), Entry { local, ..deflated("second", &text(500)) }]);
        let error = reason(read(&bytes));
        assert!(error.contains(expected) && error.contains("second"), "{field}: {error}");
    }
}

#[test]
fn data_descriptors_that_disagree_are_refused() {
    for (descriptor, length) in [((true, false), 16), ((false, true), 20)] {
        let good = Entry { descriptor: Some(descriptor), ..deflated("a", &text(500)) };
        for at in 0..length {
            // The signature is optional, so damage to it is the one that another form could explain.
            let mut bytes = archive([good.clone(), stored("b", b"x")]);
            let start = 30 + 1 + good.compressed().len();
            bytes[start + at] ^= 1;
            assert!(read(&bytes).is_err(), "byte {at} of {descriptor:?}");
        }
        assert!(read(&archive([Entry { behind: Vec::clear, ..good }])).is_err());
    }
}

#[test]
fn zip64_fields_must_fit_their_records() {
    let missing = Entry { zip64: true, central: drop_extra, ..stored("a", b"x") };
    assert!(reason(read(&archive([missing]))).contains("zip64 field is missing or short"));
    let opinion = Entry { central: second_opinion, ..stored("a", b"x") };
    assert!(reason(read(&archive([opinion]))).contains("says more than"));
    let local = Entry {
        zip64: true,
        local: |h| {
            let at = h.len() - 8;
            h[at] ^= 1
        },
        ..stored("a", b"x")
    };
    assert!(reason(read(&archive([local]))).contains("disagree on the size"));
    let mut end = Archive { entries: vec![stored("a", b"x")], zip64_end: true, ..Archive::default() }.build();
    let at = end.len() - 22 - 20 - 56;
    end[at + 24] ^= 1;
    assert!(read(&end).is_err(), "two counts of entries on one disk");
}

fn drop_extra(record: &mut Vec<u8>) {
    record.truncate(47);
    record[30] = 0;
}

fn second_opinion(record: &mut Vec<u8>) {
    record.extend(zip64_extra(&[99]));
    record[30] = 12;
}

#[test]
fn methods_that_hide_content_are_refused() {
    let cases = [
        (Entry { flags: 1, ..stored("a", b"x") }, "encrypted"),
        (Entry { flags: 0x2000, ..stored("a", b"x") }, "encrypted"),
        (Entry { flags: 0x20, ..stored("a", b"x") }, "patch"),
        (Entry { method: 99, ..stored("a", b"x") }, "neither stored nor deflate"),
        (Entry { method: 12, ..stored("a", b"x") }, "neither stored nor deflate"),
        (Entry { mode: 0o010_644, ..stored("a", b"") }, "special file"),
        (Entry { mode: 0o040_755, ..stored("a", b"") }, "disagree on whether"),
        (Entry { mode: 0o100_755, ..stored("a/", b"") }, "disagree on whether"),
        (Entry { mode: 0o040_755, ..stored("a/", b"x") }, "a directory has no content"),
        (Entry { mode: 0o120_777, ..stored("a", b"") }, "target"),
        (Entry { mode: 0o120_777, ..stored("a", &[0xff]) }, "not UTF-8"),
    ];
    for (entry, expected) in cases {
        let error = reason(read(&archive([entry])));
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn content_must_have_its_size_and_crc() {
    let short = Entry { local: |h| h[22] += 1, central: |c| c[24] += 1, ..deflated("a", &text(100)) };
    assert!(reason(read(&archive([short]))).contains("less than its size"));
    let long = Entry { local: |h| h[22] -= 1, central: |c| c[24] -= 1, ..deflated("a", &text(100)) };
    assert!(reason(read(&archive([long]))).contains("more than its size"));
    let crc = Entry { local: |h| h[14] ^= 1, central: |c| c[16] ^= 1, ..deflated("a", &text(100)) };
    assert!(reason(read(&archive([crc]))).contains("CRC"));
}

#[test]
fn hidden_bytes_inside_an_entry_are_refused() {
    let plain = deflated("a", &text(100)).compressed();
    let length = u8::try_from(plain.len()).unwrap();
    let mut bytes = archive([deflated("a", &text(100))]);
    // One byte more than the deflate stream, counted by every size that counts it.
    bytes.insert(31 + plain.len(), 0);
    bytes[18] = length + 1;
    let central = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bytes[central + 20] = length + 1;
    let end = bytes.len() - 22;
    bytes[end + 16] += 1;
    assert!(reason(read(&bytes)).contains("longer than what unpacks"));
}

#[test]
fn paths_that_leave_the_archive_are_refused() {
    for name in
        ["../evil", "/etc/passwd", "a/../../b", "..\\evil", "C:\\evil", "C:/evil", "a//b", "a\0b", "./a", ""]
    {
        let error = reason(read(&archive([stored("good", b"x"), stored(name, b"x")])));
        assert!(error.contains("refused"), "{name}: {error}");
    }
    let error = reason(read(&archive([Entry { name: b"caf\xe9".to_vec(), ..stored("", b"x") }])));
    assert!(error.contains("caf\\xe9") && error.contains("UTF-8"), "{error}");
}

#[test]
fn a_name_has_one_meaning() {
    let twice = read(&archive([stored("a", b"1"), stored("a", b"2")])).unwrap().into_seal().unwrap_err();
    assert!(twice.to_string().contains("appears twice"), "{twice}");
    let link = Entry { mode: 0o120_777, ..stored("a", b"/etc") };
    let through = read(&archive([link, stored("a/passwd", b"x")])).unwrap().into_seal().unwrap_err();
    assert!(through.to_string().contains("stands below"), "{through}");
    let unicode = Entry { central: other_name, ..stored("a", b"1") };
    assert!(reason(read(&archive([unicode]))).contains("two names"));
}

/// An Info-ZIP Unicode path field that says `b`.
fn other_name(record: &mut Vec<u8>) {
    record.extend([0x75, 0x70, 6, 0, 1, 0, 0, 0, 0, b'b']);
    record[30] = 10;
}

#[test]
fn overlapping_entries_are_refused() {
    let same =
        archive([stored("a", &text(100)), Entry { central: |c| c[42] = 0, ..stored("a", &text(100)) }]);
    assert!(reason(read(&same)).contains("overlaps"));
    // The first entry swallows the second's header, sizes and CRC all consistent.
    let inner = archive([stored("b", b"x")]);
    let swallow = stored("a", &inner[..32]);
    let mut bytes = archive([swallow, stored("c", b"y")]);
    let second = bytes.windows(4).rposition_of(b"PK\x01\x02");
    bytes[second + 42..second + 46].copy_from_slice(&31u32.to_le_bytes());
    bytes[second + 46] = b'b';
    assert!(reason(read(&bytes)).contains("overlaps"));
}

trait RPosition {
    fn rposition_of(self, wanted: &[u8]) -> usize;
}

impl<'a, I: Iterator<Item = &'a [u8]>> RPosition for I {
    fn rposition_of(self, wanted: &[u8]) -> usize {
        self.enumerate().filter(|(_, w)| *w == wanted).last().unwrap().0
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = archive([deflated("a", &text(300)), stored("b", b"two")]);
    let options = Options { form: evidence::Form::Archive(seal::Format::Zip), ..Options::default() };
    for length in 0..bytes.len() {
        assert!(observe(&bytes[..length], &options).is_err(), "{length} of {} bytes were taken", bytes.len());
    }
}

#[test]
fn a_zip_without_its_end_says_what_still_stands() {
    let bytes = archive([deflated("a", &text(300)), stored("b", b"two"), stored("c", b"3")]);
    let seal = sealed(&bytes);
    let end = bytes.len() - 22;
    let reason = reason(read(&bytes[..end]));
    assert!(reason.contains("3 local headers still stand") && reason.contains("no end record"), "{reason}");
    let comparison = compare(&seal, &bytes[..end]);
    assert_eq!(comparison.unread.len(), 3);
    assert!(comparison.broken.is_some_and(|why| why.contains("3 local headers")));
}

#[test]
fn two_end_records_are_refused() {
    let inner = archive([stored("inner", b"x")]);
    let bytes =
        Archive { entries: vec![stored("outer", b"x")], comment: inner, ..Archive::default() }.build();
    assert!(reason(read(&bytes)).contains("two end records"));
}

#[test]
fn bombs_end_at_a_limit() {
    let zeros = archive([deflated("zeros", &vec![0; 40 << 20])]);
    let limited = |limits| observe(&zeros, &Options { limits, ..Options::default() });
    let field = |result: Result<_, EvidenceError>| match result {
        Err(EvidenceError::Limit { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(limited(Limits::default())), "ratio");
    assert_eq!(field(limited(Limits { ratio: 2000, bytes: 1 << 20, ..Limits::default() })), "bytes");
    assert!(limited(Limits { ratio: 2000, ..Limits::default() }).is_ok());
    let many = archive((0..50).map(|i| stored(&format!("{i}"), b"")).collect::<Vec<_>>());
    let few = Options { limits: Limits { entries: 49, ..Limits::default() }, ..Options::default() };
    assert_eq!(field(observe(&many, &few)), "entries");
    let tolerant = Options { tolerant: true, ..few };
    assert_eq!(field(observe(&many, &tolerant)), "entries", "a tolerant reader has limits too");
}

#[test]
fn an_entry_that_does_not_decode_is_named_and_the_others_are_checked() {
    let names = ["a", "b", "c"];
    let bytes = archive(names.map(|n| deflated(n, &text(2000))));
    let seal = sealed(&bytes);
    let at = 31 + deflated("a", &text(2000)).compressed().len() + 31;
    let mut damaged = bytes;
    damaged[at + 40..at + 60].fill(0xff);
    let comparison = compare(&seal, &damaged);
    assert_eq!(changed(&comparison), ["b"]);
    assert!(comparison.added.is_empty() && comparison.removed.is_empty() && comparison.container.is_empty());
    let last = damaged.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    damaged[last - 5] ^= 1;
    assert_eq!(changed(&compare(&seal, &damaged)), ["b", "c"]);
}

#[test]
fn bytes_outside_every_entry_are_covered() {
    let entries = vec![stored("a", b"1")];
    let whole = |before: &[u8], comment: &[u8]| {
        Archive { entries: entries.clone(), before: before.into(), comment: comment.into(), zip64_end: false }
            .build()
    };
    let seal = sealed(&whole(b"PK\x03\x04", b"comment"));
    let other = compare(&seal, &whole(b"PK\x03\x05", b"comment"));
    assert!(!other.container.is_empty() && other.changed.is_empty(), "{other:?}");
    let comment = compare(&seal, &whole(b"PK\x03\x04", b"Comment"));
    assert!(!comment.container.is_empty(), "{comment:?}");
    let original = whole(b"PK\x03\x04", b"comment");
    let appended = compare(&seal, &[original.as_slice(), b"tail"].concat());
    let length = original.len() as u64;
    assert_eq!(appended.container, [seal::DamagedRange { start: length, end: length + 4 }]);
}

#[test]
fn a_file_that_only_looks_like_a_zip_is_refused_and_a_program_with_one_is_a_file() {
    assert!(read(b"PK\x03\x04 and then nothing").is_err());
    let mut program = b"\x7fELF and some code".to_vec();
    program.extend(archive([stored("a", b"1")]));
    assert_eq!(read(&program).unwrap().observation.kind, ObservedKind::File);
}
