//! 7z archives as 7-Zip writes them hold the same tree as the directory that it packed; what cannot be read is refused
//! by name, and what is damaged is found.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use evidence::{Limits, Options};
use seal::{Comparison, Format, ObservedKind};
use support::{changed, collect, compare, reason, sealed, text};

/// Text, machine code (this test's own), nothing, zeros, a link and a folder without anything.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs::create_dir_all(root.join("ünï/码")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("zeros"), vec![0; 300_000]).unwrap();
    for number in 0..40 {
        fs::write(root.join(format!("ünï/码/{number}.txt")), text(number * 977)).unwrap();
    }
    let code = fs::read(std::env::current_exe().unwrap()).unwrap();
    fs::write(root.join("tool"), &code[..code.len().min(2_000_000)]).unwrap();
    for (name, mode) in [("tool", 0o755), ("nothing", 0o600), ("zeros", 0o644)] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("tool", root.join("latest")).unwrap();
    dir
}

/// Whether 7-Zip is here; says loudly when a test does without.
fn has_7zz() -> bool {
    let found = Command::new("7zz").arg("i").output().is_ok();
    if !found {
        eprintln!("SKIPPED: `7zz` is not installed");
    }
    found
}

/// `7zz a ARGUMENTS` in the folder that is to be packed.
fn pack(folder: &Path, arguments: &str) -> Vec<u8> {
    let archive = folder.join("../a.7z");
    let _ = fs::remove_file(&archive);
    let line = format!("7zz a -snl ../a.7z {arguments} . >&2");
    let done = Command::new("sh").args(["-ec", &line]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    fs::read(archive).unwrap()
}

#[test]
fn every_method_gives_the_tree_that_was_packed() {
    if !has_7zz() {
        return;
    }
    let dir = tree();
    let root = dir.path().join("tree");
    let unpacked = collect(&root).unwrap();
    for arguments in [
        "",
        "-mx=9",
        "-mx=1 -ms=off",
        "-mx=5 -mqs=on -ms=64k",
        "-m0=Copy -mhc=off",
        "-m0=Deflate",
        "-m0=LZMA:d=1m",
        "-mf=BCJ -m0=LZMA",
        "-mf=BCJ2 -mx=5",
        "-mf=ARM64 -mx=1",
        "-mf=ARM -mx=1",
        "-mf=ARMT -m0=LZMA -mx=1",
        "-mf=PPC -mx=1",
        "-mf=SPARC -mx=1",
        "-mf=IA64 -mx=1",
        "-mf=RISCV -mx=1",
        "-mf=Delta:4 -m0=LZMA -mx=1",
    ] {
        let seal = sealed(&pack(&root, arguments));
        let comparison = Comparison::of(&seal, &unpacked.observation);
        assert!(comparison.holds(), "{arguments}: {comparison:?}");
        assert!(seal.tree().entries().len() >= 46, "{arguments}");
    }
}

/// Packs the folder in its first argument into the file in its second, by Zstandard of the level in its third.
const PY7ZR: &str = "import os, sys, py7zr
filters = [{'id': py7zr.FILTER_ZSTD, 'level': int(sys.argv[3])}]
with py7zr.SevenZipFile(sys.argv[2], 'w', filters=filters) as out:
    for name in sorted(os.listdir(sys.argv[1])):
        out.writeall(os.path.join(sys.argv[1], name), name)";

/// The Python that `scripts/setup.sh` makes for it.
fn py7zr() -> Option<std::path::PathBuf> {
    let rig = std::env::var_os("CUSTODY_RIG_DIR").map(std::path::PathBuf::from);
    let rig = rig.or_else(|| std::env::home_dir().map(|home| home.join(".cache/custody/rig")))?;
    Some(rig.join("py7zr/bin/python")).filter(|python| python.is_file())
}

#[test]
fn zstandard_inside_gives_the_tree_that_was_packed() {
    let Some(python) = py7zr() else {
        eprintln!(
            "SKIPPED zstandard_inside_gives_the_tree_that_was_packed: no py7zr (scripts/setup.sh makes it)"
        );
        return;
    };
    let dir = tree();
    let root = dir.path().join("tree");
    let unpacked = collect(&root).unwrap();
    for level in ["1", "19"] {
        let archive = dir.path().join(format!("{level}.7z"));
        let done =
            Command::new(&python).args(["-c", PY7ZR]).arg(&root).arg(&archive).arg(level).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let bytes = fs::read(archive).unwrap();
        let seal = sealed(&bytes);
        let comparison = Comparison::of(&seal, &unpacked.observation);
        assert!(comparison.holds(), "{level}: {comparison:?}");
        // Of what is cut off or turned, nothing is taken for what was packed.
        for at in (0..bytes.len()).step_by(bytes.len() / 31) {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            assert!(!compare(&seal, &other).holds(), "byte {at}");
        }
        assert!(!compare(&seal, &bytes[..bytes.len() - 1]).holds());
    }
}

#[test]
fn an_archive_is_told_by_its_bytes_and_covered_to_the_last() {
    if !has_7zz() {
        return;
    }
    let dir = tree();
    let bytes = pack(&dir.path().join("tree"), "-mx=1");
    let found = support::read(&bytes).unwrap();
    assert_eq!(found.observation.kind, ObservedKind::Archive(Format::SevenZip));
    assert_eq!(found.observation.digest, Some(gm::Dual::digest(&bytes)));
    let seal = found.into_seal().unwrap();
    assert!(compare(&seal, &bytes).holds());
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert!(!compare(&seal, &other).holds(), "byte {at}");
        let _ = support::read(&other);
    }
    let appended = [&bytes[..], b"more"].concat();
    assert!(!compare(&seal, &appended).holds());
}

#[test]
fn a_damaged_block_loses_its_own_files_only() {
    if !has_7zz() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    ["a", "b", "c"].iter().for_each(|name| fs::write(root.join(name), text(50_000)).unwrap());
    let bytes = pack(&root, "-m0=Copy -ms=off");
    let seal = sealed(&bytes);
    let mut damaged = bytes.clone();
    damaged[32 + 60_000] ^= 0xff;
    let comparison = compare(&seal, &damaged);
    assert_eq!(changed(&comparison).len(), 1, "{comparison:?}");
    assert!(reason(support::read(&damaged)).contains("CRC"));
    let whole = pack(&root, "-mx=5");
    for cut in [3, 31, 40, whole.len() / 2, whole.len() - 1] {
        assert!(
            reason(support::read(&whole[..cut]).and_then(|found| match found.observation.kind {
                // Shorter than the magic: a file like any other.
                ObservedKind::File => Err(evidence::EvidenceError::NoArchive { path: "cut".into() }),
                _ => Ok(found),
            }))
            .len()
                > 3
        );
    }
}

#[test]
fn what_is_encrypted_or_not_known_is_refused_by_name() {
    if !has_7zz() {
        return;
    }
    let dir = tree();
    let root = dir.path().join("tree");
    for (arguments, why) in [
        ("-psecret", "it is encrypted"),
        ("-psecret -mhe=on", "its list of entries is encrypted"),
        ("-m0=PPMd", "PPMd"),
        ("-m0=BZip2", "bzip2"),
    ] {
        let said = reason(support::read(&pack(&root, arguments)));
        assert!(said.contains(why), "{arguments}: {said}");
    }
}

#[test]
fn bombs_end_at_the_limit() {
    if !has_7zz() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    let file = fs::File::create(root.join("zeros")).unwrap();
    file.set_len(300 << 20).unwrap();
    let bytes = pack(&root, "-mx=1");
    assert!(bytes.len() < 1 << 20);
    assert!(reason(support::read(&bytes)).contains("times its own size"));
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let options = Options { limits, tolerant: true, ..Options::default() };
    assert!(reason(support::observe(&bytes, &options)).contains("bytes when unpacked"));
    for number in 0..50 {
        fs::write(root.join(format!("f{number}")), "x").unwrap();
    }
    fs::remove_file(root.join("zeros")).unwrap();
    let options = Options { limits: Limits { entries: 49, ..Limits::default() }, ..Options::default() };
    assert!(reason(support::observe(&pack(&root, ""), &options)).contains("entries"));
}

#[test]
fn it_unpacks_to_what_it_was_packed_from() {
    if !has_7zz() {
        return;
    }
    let dir = tree();
    let root = dir.path().join("tree");
    pack(&root, "-mx=3");
    let out = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.7z");
    let found = evidence::unpack(&archive, out.path(), &Options::default(), &|_, _| {}).unwrap();
    let written = collect(out.path()).unwrap().into_seal().unwrap();
    let seal = found.into_seal().unwrap();
    for entry in seal.tree().entries() {
        assert_eq!(
            written.tree().entry(entry.path.as_str()).map(|e| e.digest),
            Some(entry.digest),
            "{}",
            entry.path
        );
    }
}
