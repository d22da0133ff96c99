//! Unpacking: everything that the archive holds comes to lie in the folder, and nothing anywhere else.

#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::fs;
use std::path::Path;

use evidence::{EvidenceError, Limits, Options, unpack};

/// A ustar header and content. Kinds: `0` file, `1` hard link, `2` symbolic link, `5` folder.
fn member(name: &str, kind: u8, mode: u32, link: &str, content: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut out = block.to_vec();
    out.extend(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    member(name, b'0', 0o644, "", content)
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir }
    }

    fn unpack(&self, members: &[Vec<u8>]) -> Result<evidence::Evidence, EvidenceError> {
        let archive = self.dir.path().join("archive");
        fs::write(&archive, [members.concat(), vec![0; 1024]].concat()).unwrap();
        unpack(&archive, &self.out(), &Options::default(), &|_, _| {})
    }

    fn out(&self) -> std::path::PathBuf {
        self.dir.path().join("out")
    }

    /// What lies beside the archive and the folder: always nothing.
    fn escaped(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap();
        let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n != "archive" && n != "out").collect()
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[cfg(unix)]
#[test]
fn what_is_unpacked_is_what_was_packed() {
    let bench = Bench::new();
    let large = vec![7u8; 300_000];
    let found = bench
        .unpack(&[
            member("go/", b'5', 0o755, "", b""),
            member("go/bin/go", b'0', 0o6777, "", b"tool"),
            file("go/empty", b""),
            file("go/large", &large),
            member("go/again", b'1', 0o644, "go/large", b""),
            member("go/link", b'2', 0o777, "bin/go", b""),
            member("go/a/up", b'2', 0o777, "../bin", b""),
        ])
        .unwrap();
    let out = bench.out();
    assert_eq!(fs::read(out.join("go/large")).unwrap(), large);
    assert_eq!(fs::read(out.join("go/again")).unwrap(), large);
    assert_eq!(fs::read(out.join("go/empty")).unwrap(), b"");
    assert_eq!(fs::read(out.join("go/link")).unwrap(), b"tool");
    assert_eq!(fs::read(out.join("go/a/up/go")).unwrap(), b"tool");
    assert_eq!(mode(&out.join("go/bin/go")), 0o755, "write bits of others and set-user-id are dropped");
    assert_eq!(mode(&out.join("go/large")), 0o644);
    assert!(fs::symlink_metadata(out.join("go/link")).unwrap().is_symlink());
    assert_eq!(found.observation.entries.len(), 7);
    // The folder gives the digests that the archive gave.
    let again = evidence::collect(&out, &Options::default(), &|_, _| {}).unwrap().into_seal().unwrap();
    for entry in &found.observation.entries {
        let lies = again.tree().entry(entry.path.as_str()).unwrap();
        assert_eq!(
            (lies.digest, lies.size, lies.kind),
            (entry.digest, entry.size, entry.kind),
            "{}",
            entry.path.as_str()
        );
    }
}

#[cfg(unix)]
#[test]
fn nothing_leaves_the_folder() {
    let link = |name: &str, target: &str| member(name, b'2', 0o777, target, b"");
    let cases: Vec<Vec<Vec<u8>>> = vec![
        vec![file("../escaped", b"x")],
        vec![file("go/../../escaped", b"x")],
        vec![file("/tmp/../escaped", b"x")],
        vec![link("go/out", "../.."), file("go/out/escaped", b"x")],
        vec![link("out", ".."), file("out/escaped", b"x")],
        vec![link("out", "/")],
        vec![link("a/b", "../../x")],
        vec![link("p/q/r", "../.."), link("x", "p/q/r/../..")],
        // A link that stays inside, and a file through it: two readers would disagree where it lies.
        vec![link("l", "d"), file("l/f", b"x")],
        vec![file("l/f", b"x"), link("l", "d")],
        vec![file("f", b"1"), link("f", "g")],
        vec![file("f", b"1"), file("f", b"2")],
        vec![file("f", b"1"), file("f/g", b"2")],
        vec![member("h", b'1', 0o644, "../escaped", b"")],
        vec![member("h", b'1', 0o644, "later", b""), file("later", b"x")],
    ];
    for members in cases {
        let bench = Bench::new();
        let shown: Vec<_> = members.iter().map(|m| String::from_utf8_lossy(&m[..20]).into_owned()).collect();
        let error = bench.unpack(&members).map(|_| ()).expect_err(&format!("{shown:?} was unpacked"));
        assert_eq!(error.blame(), evidence::Blame::Artefact, "{shown:?}: {}", error.reason());
        assert!(bench.escaped().is_empty(), "{shown:?} left the folder");
    }
}

#[test]
fn limits_hold_while_unpacking() {
    let bench = Bench::new();
    let archive = bench.dir.path().join("archive");
    fs::write(&archive, [file("f", &vec![0; 100_000]), vec![0; 1024]].concat()).unwrap();
    let options = Options { limits: Limits { bytes: 50_000, ..Limits::default() }, ..Options::default() };
    let error = unpack(&archive, &bench.out(), &options, &|_, _| {}).map(|_| ()).unwrap_err();
    assert!(matches!(error, EvidenceError::Limit { .. }), "{}", error.reason());
}

#[test]
fn what_is_no_archive_and_what_is_half_of_one_are_refused() {
    let bench = Bench::new();
    let archive = bench.dir.path().join("archive");
    fs::write(&archive, b"hello").unwrap();
    let none = unpack(&archive, &bench.out(), &Options::default(), &|_, _| {}).map(|_| ());
    assert!(matches!(none, Err(EvidenceError::NoArchive { .. })));
    let whole = file("f", &[1; 10_000]);
    fs::write(&archive, &whole[..5_000]).unwrap();
    assert!(unpack(&archive, &bench.out(), &Options::default(), &|_, _| {}).is_err());
}
