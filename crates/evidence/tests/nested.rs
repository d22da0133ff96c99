//! Archives inside archives and folders: what they hold is listed, whatever holds them, and stays closed when it is damaged.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;

use evidence::{Evidence, EvidenceError, Limits, Options};
use seal::{Comparison, Seal};
use support::tar::Tar;
use support::zip::{archive, deflated, stored};
use support::{changed, observe, text};

fn options() -> Options {
    Options { nested: true, ..Options::default() }
}

/// A JAR with a JAR in it, one too large to be kept in memory, a gzipped tar, and what only looks like archives.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    let inner = archive([stored("deep.txt", b"deep")]);
    let small = archive([
        stored("META-INF/MANIFEST.MF", b"m"),
        deflated("a.class", &text(5000)),
        stored("in.jar", &inner),
    ]);
    let large = archive([stored("big.bin", &text(9 << 20)), stored("z", b"z")]);
    let tar = Tar::default().file("t/one", b"1").file("t/two", &text(70_000)).end();
    vec![
        ("lib/small.jar", small.clone()),
        ("lib/large.zip", large),
        ("src.tgz", gzip(&tar)),
        ("page.gz", gzip(b"no tar")),
        ("broken.zip", [&small[..50], b"M", &small[51..]].concat()),
        ("PK.txt", b"PK\x03\x04".to_vec()),
        ("plain.txt", text(100)),
    ]
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

/// The same contents in everything that can hold them.
fn holders() -> Vec<(&'static str, Vec<u8>)> {
    let contents = contents();
    let tar = contents.iter().fold(Tar::default(), |tar, (name, data)| tar.file(name, data)).end();
    vec![
        ("stored", archive(contents.iter().map(|(name, data)| stored(name, data)).collect::<Vec<_>>())),
        ("deflated", archive(contents.iter().map(|(name, data)| deflated(name, data)).collect::<Vec<_>>())),
        ("tar.zst", zstd::encode_all(tar.as_slice(), 1).unwrap()),
        ("tar", tar),
    ]
}

fn inside(found: &Evidence) -> Vec<(String, u64, gm::DualDigest)> {
    let entries = found.observation.entries.iter().filter(|entry| entry.path.as_str().contains("!/"));
    let mut out: Vec<_> = entries.map(|e| (e.path.as_str().to_owned(), e.size, e.digest)).collect();
    out.sort();
    out
}

fn expected() -> Vec<(String, u64, gm::DualDigest)> {
    let inner = archive([stored("deep.txt", b"deep")]);
    let all: [(&str, &[u8]); 7] = [
        ("lib/large.zip!/big.bin", &text(9 << 20)),
        ("lib/large.zip!/z", b"z"),
        ("lib/small.jar!/META-INF/MANIFEST.MF", b"m"),
        ("lib/small.jar!/a.class", &text(5000)),
        ("lib/small.jar!/in.jar", &inner),
        ("src.tgz!/t/one", b"1"),
        ("src.tgz!/t/two", &text(70_000)),
    ];
    all.map(|(path, data)| (path.to_owned(), data.len() as u64, gm::Dual::digest(data))).to_vec()
}

fn closed(found: &Evidence) -> Vec<&str> {
    found.closed.iter().map(|closed| closed.path.as_str()).collect()
}

#[test]
fn what_is_inside_is_listed_whatever_holds_it() {
    for (name, bytes) in holders() {
        let found = observe(&bytes, &options()).unwrap();
        assert_eq!(inside(&found), expected(), "{name}");
        assert_eq!(closed(&found), ["PK.txt", "broken.zip"], "{name}");
        let seal = found.into_seal().unwrap();
        assert!(seal.nested(), "{name}");
        let again = Seal::from_statement(&seal.to_statement().unwrap()).unwrap();
        assert_eq!(again, seal, "{name}");
        let now = observe(&bytes, &Options::for_comparison(&seal, Limits::default())).unwrap();
        assert!(Comparison::of(&seal, &now.observation).holds(), "{name}");
        assert!(inside(&observe(&bytes, &Options::default()).unwrap()).is_empty(), "{name}: unasked");
    }
}

#[test]
fn a_folder_of_archives_is_looked_into_too() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("lib")).unwrap();
    contents().iter().for_each(|(name, data)| fs::write(dir.path().join(name), data).unwrap());
    let found = evidence::collect(dir.path(), &options(), &|_, _| {}).unwrap();
    assert_eq!(inside(&found), expected());
    let seal = found.into_seal().unwrap();
    let comparison = |seal: &Seal| {
        let options = Options::for_comparison(seal, Limits::default());
        Comparison::of(seal, &evidence::collect(dir.path(), &options, &|_, _| {}).unwrap().observation)
    };
    assert!(comparison(&seal).holds());
    let other = archive([stored("META-INF/MANIFEST.MF", b"n"), stored("new", b"new")]);
    fs::write(dir.path().join("lib/small.jar"), other).unwrap();
    let found = comparison(&seal);
    assert_eq!(changed(&found), ["lib/small.jar", "lib/small.jar!/META-INF/MANIFEST.MF"]);
    assert_eq!(found.added, ["lib/small.jar!/new"]);
}

#[test]
fn the_same_file_under_another_name_holds_the_same() {
    let jar = archive([stored("x", b"x")]);
    let tar = Tar::default().file("a.jar", &jar).add(b'1', "b.jar", "a.jar", b"").end();
    let found = observe(&tar, &options()).unwrap();
    let paths: Vec<_> = inside(&found).into_iter().map(|(path, ..)| path).collect();
    assert_eq!(paths, ["a.jar!/x", "b.jar!/x"]);
}

#[test]
fn bombs_inside_end_at_the_limit() {
    let zeros = archive([deflated("zeros", &vec![0; 20 << 20])]);
    let outer = archive([stored("bomb.zip", &zeros)]);
    assert!(matches!(observe(&outer, &options()), Err(EvidenceError::Limit { field: "ratio", .. })));
    let limits = Limits { entries: 3, ..Limits::default() };
    let many = archive(["a", "b", "c"].map(|name| stored(name, b"")));
    let outer = archive([stored("many.zip", &many)]);
    let found = observe(&outer, &Options { limits, ..options() });
    assert!(matches!(found, Err(EvidenceError::Limit { field: "entries", .. })));
}
