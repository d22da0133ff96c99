//! A corpus of odd archives: every digest is the one that `sha256sum` and `openssl dgst -sm3` give for the content, or the
//! archive is refused and says why.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use evidence::Options;
use support::tar::Tar;
use support::zip::{Archive, Entry, archive, deflated, stored};
use support::{has, observe, reason, text};

/// Contents with every edge of a block, under names of many scripts.
fn contents() -> Vec<(String, Vec<u8>)> {
    let names = ["empty", "grüße.txt", "源码/主.go", "emoji 🦀", "a\u{301}", "-rf", "dir/deep/er/x", "last"];
    let sizes = [0, 1, 55, 63, 64, 65, 4096, 70_001];
    names.iter().zip(sizes).map(|(name, size)| ((*name).to_owned(), text(size))).collect()
}

/// What the tools print for a file of this content, by content.
struct Tools(tempfile::TempDir);

impl Tools {
    fn digests(&self, contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, (String, String)> {
        let names: Vec<String> = (0..contents.len()).map(|at| format!("f{at}")).collect();
        for (name, content) in names.iter().zip(contents.values()) {
            fs::write(self.0.path().join(name), content).unwrap();
        }
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            let output = command.args(arguments).args(&names).current_dir(self.0.path()).output().unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let sha256 = run("sha256sum", &[]);
        let sm3 = run("openssl", &["dgst", "-sm3", "-r"]);
        let first = |line: &str| line.split_whitespace().next().unwrap().to_owned();
        let pairs = sha256.lines().map(first).zip(sm3.lines().map(first));
        contents.keys().cloned().zip(pairs).collect()
    }
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn zip_of(pack: impl Fn(usize, &str, &[u8]) -> Entry, archive: Archive) -> Vec<u8> {
    let contents = contents();
    let entries = contents.iter().enumerate().map(|(at, (name, data))| pack(at, name, data)).collect();
    Archive { entries, ..archive }.build()
}

#[test]
fn every_digest_is_that_of_the_usual_tools() {
    if !has("sha256sum") || Command::new("openssl").args(["dgst", "-sm3"]).arg("/dev/null").output().is_err()
    {
        return;
    }
    let wide =
        |at: usize, name: &str, data: &[u8]| Entry { zip64: at.is_multiple_of(2), ..deflated(name, data) };
    let behind = |at: usize, name: &str, data: &[u8]| Entry {
        descriptor: Some((at.is_multiple_of(2), at.is_multiple_of(3))),
        ..deflated(name, data)
    };
    let flagged = |_: usize, name: &str, data: &[u8]| Entry { flags: 1 << 11, ..stored(name, data) };
    let tar = contents().iter().fold(Tar::default(), |tar, (name, data)| tar.file(name, data)).end();
    let inner = zip_of(|_, name, data| stored(name, data), Archive::default());
    let corpus = [
        ("stored", zip_of(|_, name, data| stored(name, data), Archive::default())),
        ("deflated", zip_of(|_, name, data| deflated(name, data), Archive::default())),
        ("zip64", zip_of(wide, Archive { zip64_end: true, ..Archive::default() })),
        ("descriptors", zip_of(behind, Archive::default())),
        ("flagged as UTF-8", zip_of(flagged, Archive { comment: b"PK".to_vec(), ..Archive::default() })),
        ("self-extracting", zip_of(wide, Archive { before: b"#!/bin/sh\n".to_vec(), ..Archive::default() })),
        ("tar", tar.clone()),
        ("tar.zst", zstd::encode_all(tar.as_slice(), 3).unwrap()),
        ("nested", archive([deflated("in.zip", &inner), stored("in.tar", &tar)])),
    ];
    let mut expected: BTreeMap<String, Vec<u8>> = contents().into_iter().collect();
    for holder in ["in.zip", "in.tar"] {
        expected.extend(contents().into_iter().map(|(name, data)| (format!("{holder}!/{name}"), data)));
    }
    expected.insert("in.zip".into(), inner);
    expected.insert("in.tar".into(), tar);
    let tools = Tools(tempfile::tempdir().unwrap()).digests(&expected);
    for (what, bytes) in corpus {
        let nested = what == "nested";
        let found = observe(&bytes, &Options { nested, ..Options::default() })
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let count = if nested { 2 + 2 * contents().len() } else { contents().len() };
        assert_eq!(found.observation.entries.len(), count, "{what}");
        for entry in &found.observation.entries {
            let (sha256, sm3) = &tools[entry.path.as_str()];
            assert_eq!(
                (&hex(&entry.digest.sha256), &hex(&entry.digest.sm3)),
                (sha256, sm3),
                "{what}: {}",
                entry.path
            );
        }
    }
}

#[test]
fn names_of_old_code_pages_are_refused_and_utf_8_is_taken_flagged_or_not() {
    // "grüße" in CP437, "源码" in GBK: no UTF-8, whatever the flag says.
    for name in [&b"gr\x81\xe1e"[..], b"\xd4\xb4\xc2\xeb"] {
        for flags in [0, 1 << 11] {
            let entry = Entry { name: name.into(), flags, ..stored("x", b"x") };
            assert!(reason(support::read(&archive([entry]))).contains("not UTF-8"));
        }
    }
    for flags in [0, 1 << 11] {
        let entry = Entry { flags, ..stored("源码", b"x") };
        assert_eq!(support::read(&archive([entry])).unwrap().observation.entries[0].path.as_str(), "源码");
    }
}

#[test]
fn more_entries_than_sixteen_bits_count() {
    let count = 66_000;
    let entries: Vec<Entry> =
        (0..count).map(|at| stored(&format!("d{}/f{at}", at % 100), at.to_string().as_bytes())).collect();
    let bytes = Archive { entries, zip64_end: true, ..Archive::default() }.build();
    let found = support::read(&bytes).unwrap();
    let seal = found.into_seal().unwrap();
    assert_eq!(seal.tree().entries().len(), count);
    for at in [0, 1, 65_534, 65_535, 65_536, count - 1] {
        let entry = seal.tree().entry(&format!("d{}/f{at}", at % 100)).unwrap();
        assert_eq!(entry.digest, gm::Dual::digest(at.to_string().as_bytes()), "{at}");
    }
    // The short end record alone counts modulo 2^16: that is another archive, and refused.
    let wrong = bytes.len() - 22;
    let mut lying = bytes;
    lying.drain(wrong - 76..wrong);
    assert!(support::read(&lying).is_err());
}

/// The same files, written in two orders.
fn write(root: &Path, reversed: bool) {
    let mut contents = contents();
    if reversed {
        contents.reverse();
    }
    for (name, data) in contents {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn two_file_systems_and_two_orders_give_one_root() {
    use std::os::unix::fs::MetadataExt as _;
    let here = tempfile::tempdir().unwrap();
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("SKIPPED: there is no /dev/shm");
        return;
    };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(here.path()) == device(memory.path()) {
        eprintln!("SKIPPED: the temporary folder is in memory too");
        return;
    }
    write(here.path(), false);
    write(memory.path(), true);
    let root = |path: &Path, threads| {
        let options = Options { threads, ..Options::default() };
        evidence::collect(path, &options, &|_, _| {}).unwrap().into_seal().unwrap().tree().roots()
    };
    let expected = root(here.path(), 1);
    for threads in [1, 2, 4] {
        assert_eq!(root(memory.path(), threads), expected, "{threads} threads");
    }
}
