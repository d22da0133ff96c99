//! tar, plain and compressed.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::io::Write as _;

use evidence::{Form, Limits, Options};
use seal::{EntryKind, Format, ObservedKind};
use support::tar::{Tar, checksum, header};
use support::{changed, compare, observe, read, reason, sealed, text};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn sample() -> Vec<u8> {
    Tar::default()
        .add(b'5', "./", "", b"")
        .add(b'5', "./dir/", "", b"")
        .file("./dir/one", &text(700))
        .add(b'1', "./hard", "./dir/one", b"")
        .add(b'2', "./soft", "dir/one", b"")
        .file("./empty", b"")
        .end()
}

#[test]
fn every_compression_gives_the_same_entries() {
    let plain = sealed(&sample());
    let found: Vec<_> = plain.tree().entries().iter().map(|e| (e.path.as_str(), e.kind, e.size)).collect();
    let expected = [
        ("dir", EntryKind::Directory, 0),
        ("dir/one", EntryKind::File, 700),
        ("empty", EntryKind::File, 0),
        ("hard", EntryKind::File, 700),
        ("soft", EntryKind::Symlink, 7),
    ];
    assert_eq!(found, expected);
    let (first, second) = (&sample()[..1000], &sample()[1000..]);
    let packed = [
        (Format::TarGz, gzip(&sample())),
        (Format::TarGz, [gzip(first), gzip(second)].concat()),
        (Format::TarXz, xz(&sample())),
        (Format::TarXz, [xz(first), xz(second)].concat()),
        (Format::TarZst, zstd(&sample())),
        (Format::TarZst, [zstd(first), zstd(second)].concat()),
    ];
    for (format, bytes) in packed {
        let found = read(&bytes).unwrap();
        assert_eq!(found.observation.kind, ObservedKind::Archive(format));
        assert_eq!(found.digest(), Some(gm::Dual::digest(&bytes)));
        assert_eq!(found.into_seal().unwrap().tree(), plain.tree());
    }
}

#[test]
fn what_is_compressed_and_no_tar_is_a_file() {
    for bytes in
        [gzip(b"hello"), xz(b"hello"), zstd(b"hello"), b"\x1f\x8b\x08 not gzip".to_vec(), vec![0; 2048]]
    {
        assert_eq!(read(&bytes).unwrap().observation.kind, ObservedKind::File);
    }
}

#[test]
fn long_names_come_from_every_kind_of_header() {
    let long = format!("{}/name", "d".repeat(200));
    let pax =
        Tar::default().pax(b'x', &[("path", &long), ("mtime", "1.5")]).file("short", b"x").file("next", b"y");
    let gnu =
        Tar::default().add(b'L', "././@LongLink", "", format!("{long}\0").as_bytes()).file("short", b"x");
    let mut ustar = header(b'0', b"name", b"", 0);
    ustar[345..345 + 150].fill(b'd');
    checksum(&mut ustar);
    let paths = |bytes: Vec<u8>| {
        sealed(&bytes).tree().entries().iter().map(|e| e.path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(paths(pax.end()), [long.clone(), "next".into()]);
    assert_eq!(paths(gnu.end()), [long]);
    assert_eq!(paths(Tar(ustar.to_vec()).end()), [format!("{}/name", "d".repeat(150))]);
}

#[test]
fn long_targets_and_large_sizes_are_read() {
    let target = "t".repeat(300);
    let link = Tar::default().add(b'K', "././@LongLink", "", target.as_bytes()).add(b'2', "l", "short", b"");
    assert_eq!(sealed(&link.end()).tree().entry("l").unwrap().target.as_deref(), Some(target.as_str()));
    // The header says 0, the pax record says 5.
    let mut sized = Tar::default().pax(b'x', &[("size", "5")]);
    sized.0.extend(header(b'0', b"f", b"", 0));
    sized.0.extend(b"12345");
    sized.0.resize(sized.0.len().next_multiple_of(512), 0);
    assert_eq!(sealed(&sized.end()).tree().entry("f").unwrap().size, 5);
    // A size in base 256.
    let mut block = header(b'0', b"f", b"", 0);
    block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    checksum(&mut block);
    let mut wide = Tar(block.to_vec());
    wide.0.extend(b"abc");
    wide.0.resize(1024, 0);
    assert_eq!(sealed(&wide.end()).tree().entry("f").unwrap().digest, gm::Dual::digest(b"abc"));
}

#[test]
fn a_global_header_stands_until_it_is_taken_back() {
    let bytes = Tar::default()
        .pax(b'g', &[("linkpath", "everywhere")])
        .add(b'2', "a", "x", b"")
        .pax(b'g', &[("linkpath", "")])
        .add(b'2', "b", "y", b"")
        .end();
    let seal = sealed(&bytes);
    let target = |path| seal.tree().entry(path).unwrap().target.clone().unwrap();
    assert_eq!((target("a"), target("b")), ("everywhere".into(), "y".into()));
}

#[test]
fn what_a_seal_cannot_say_is_refused() {
    let good = || Tar::default().file("good", b"x");
    let cases = [
        (good().pax(b'x', &[("GNU.sparse.major", "1")]).file("s", b""), "a sparse file has no size"),
        (
            good().pax(b'x', &[("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "9")]).file("s", b"xy"),
            "than its map",
        ),
        (
            good().pax(b'x', &[("GNU.sparse.map", "5,1,2,1"), ("GNU.sparse.size", "9")]).file("s", b"xy"),
            "malformed",
        ),
        (good().pax(b'x', &[("GNU.sparse.size", "9")]).file("s", &[b'7'; 512]), "malformed"),
        (good().add(b'3', "device", "", b""), "special"),
        (good().add(b'6', "fifo", "", b""), "special"),
        (good().add(b'M', "part", "", b""), "multi-volume"),
        (good().add(b'?', "what", "", b""), "unknown type"),
        (good().add(b'1', "hard", "nowhere", b""), "hard link"),
        (good().add(b'2', "soft", "", b""), "target"),
        (good().file("../evil", b"x"), "refused"),
        (good().file("/etc/passwd", b"x"), "absolute"),
        (good().file("a\\b", b"x"), "backslash"),
        (good().pax(b'x', &[("path", "a/../b")]).file("x", b""), "`..`"),
        (good().pax(b'x', &[("path", "lonely")]), "ends behind an extended header"),
    ];
    for (tar, expected) in cases {
        let error = reason(read(&tar.end()));
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let twice = read(&good().file("./good", b"y").end()).unwrap().into_seal().unwrap_err();
    assert!(twice.to_string().contains("appears twice"));
}

#[test]
fn nothing_may_follow_the_end_marker() {
    let hidden = [Tar::default().file("a", b"x").end(), Tar::default().file("hidden", b"y").end()].concat();
    assert!(reason(read(&hidden)).contains("follows its end marker"));
    assert!(reason(read(&gzip(&hidden))).contains("follows its end marker"));
    let padded = [Tar::default().file("a", b"x").end(), vec![0; 10_240]].concat();
    assert!(read(&padded).is_ok());
    assert!(read(&[gzip(&sample()), b"tail".to_vec()].concat()).is_err());
}

#[test]
fn every_truncation_is_refused() {
    let bytes = Tar::default().file("a", &text(700)).file("b", b"x").end();
    let end_marker = bytes.len() - 1024 + 512;
    let options = |format| Options { form: Form::Archive(format), ..Options::default() };
    for length in 0..end_marker {
        assert!(observe(&bytes[..length], &options(Format::Tar)).is_err(), "{length} bytes were taken");
    }
    for (format, packed) in
        [(Format::TarGz, gzip(&bytes)), (Format::TarXz, xz(&bytes)), (Format::TarZst, zstd(&bytes))]
    {
        for length in 0..packed.len() {
            assert!(
                observe(&packed[..length], &options(format)).is_err(),
                "{length} bytes of {format} were taken"
            );
        }
    }
}

#[test]
fn bombs_end_at_a_limit() {
    let zeros = Tar::default().file("zeros", &vec![0; 40 << 20]).end();
    for packed in [gzip(&zeros), xz(&zeros), zstd(&zeros)] {
        let error = read(&packed).unwrap_err();
        assert!(matches!(error, evidence::EvidenceError::Limit { field: "ratio", .. }), "{error}");
        let limits = Limits { bytes: 1 << 20, ratio: u64::MAX, ..Limits::default() };
        let error = observe(&packed, &Options { limits, ..Options::default() }).unwrap_err();
        assert!(matches!(error, evidence::EvidenceError::Limit { field: "bytes", .. }), "{error}");
    }
}

#[test]
fn headers_cannot_ask_for_memory() {
    let mut block = header(b'x', b"pax", b"", 1 << 32).to_vec();
    block.extend([b'x'; 2048]);
    assert!(reason(read(&block)).contains("longer than 1 MiB"));
}

#[test]
fn in_a_plain_tar_damage_stays_with_its_entry() {
    let bytes = Tar::default().file("a", &text(5000)).file("b", &text(5000)).file("c", &text(5000)).end();
    let seal = sealed(&bytes);
    let mut damaged = bytes.clone();
    let second = 512 + 5120;
    damaged[second + 512 + 100] ^= 1;
    let comparison = compare(&seal, &damaged);
    assert_eq!(changed(&comparison), ["b"]);
    assert!(comparison.container.is_empty() && comparison.unread.is_empty());
    let mut header = bytes;
    header[second] ^= 1; // its name: the checksum no longer holds, and what follows cannot be told
    let comparison = compare(&seal, &header);
    assert_eq!(comparison.unread.iter().map(seal::EntryPath::as_str).collect::<Vec<_>>(), ["b", "c"]);
    assert!(!comparison.container.is_empty() && comparison.broken.is_some());
}
