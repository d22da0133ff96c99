//! Directories: what is followed, what is refused, what is noticed.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use evidence::{Blame, EvidenceError, Limits, Options};
use seal::{Comparison, EntryKind, Exclude};
use support::{changed, collect, reason};

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("bin/deep")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("bin/app"), "program").unwrap();
    fs::set_permissions(root.join("bin/app"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(root.join("bin/deep/data"), vec![7; 200_000]).unwrap();
    symlink("bin/app", root.join("latest")).unwrap();
    dir
}

fn compare(seal: &seal::Seal, root: &Path) -> Comparison {
    let options = Options::for_comparison(seal, Limits::default());
    let found = evidence::collect(root, &options, &|_, _| {}).unwrap();
    Comparison::of(seal, &found.observation)
}

fn mkfifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn every_entry_is_there_whatever_the_number_of_threads() {
    let dir = tree();
    let expected = collect(dir.path()).unwrap().into_seal().unwrap();
    let found: Vec<_> = expected.tree().entries().iter().map(|e| (e.path.as_str(), e.kind)).collect();
    use EntryKind::{Directory, File, Symlink};
    let kinds = [
        ("bin", Directory),
        ("bin/app", File),
        ("bin/deep", Directory),
        ("bin/deep/data", File),
        ("empty", Directory),
        ("latest", Symlink),
    ];
    assert_eq!(found, kinds);
    assert_eq!(expected.tree().entry("bin/app").unwrap().mode, 0o755);
    for threads in 1..5 {
        let options = Options { threads, ..Options::default() };
        let seal = evidence::collect(dir.path(), &options, &|_, _| {}).unwrap().into_seal().unwrap();
        assert_eq!(seal, expected);
    }
}

#[test]
fn each_difference_is_named() {
    let dir = tree();
    let root = dir.path();
    let seal = collect(root).unwrap().into_seal().unwrap();
    assert!(compare(&seal, root).holds());
    fs::write(root.join("bin/app"), "progrAm").unwrap();
    assert_eq!(changed(&compare(&seal, root)), ["bin/app"]);
    fs::write(root.join("bin/app"), "program").unwrap();
    assert!(compare(&seal, root).holds());
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::remove_file(root.join("latest")).unwrap();
    symlink("/etc/passwd", root.join("latest")).unwrap();
    assert_eq!(changed(&compare(&seal, root)), ["empty", "latest"]);
    fs::remove_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join("empty2")).unwrap();
    let found = compare(&seal, root);
    assert_eq!((found.added, found.removed[0].as_str()), (vec!["empty2".to_owned()], "empty"));
}

#[test]
fn links_are_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "x").unwrap();
    let dir = tempfile::tempdir().unwrap();
    symlink(outside.path(), dir.path().join("folder")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    let seal = collect(dir.path()).unwrap().into_seal().unwrap();
    assert!(seal.tree().entries().iter().all(|e| e.kind == EntryKind::Symlink));
    assert_eq!(seal.tree().entries().len(), 2);
}

#[test]
fn special_files_are_refused_and_when_verifying_named() {
    let dir = tree();
    let seal = collect(dir.path()).unwrap().into_seal().unwrap();
    mkfifo(&dir.path().join("bin/pipe"));
    let error = reason(collect(dir.path()));
    assert!(error.contains("bin/pipe") && error.contains("FIFO"), "{error}");
    assert_eq!(compare(&seal, dir.path()).added, ["bin/pipe"]);
    fs::remove_file(dir.path().join("bin/app")).unwrap();
    fs::rename(dir.path().join("bin/pipe"), dir.path().join("bin/app")).unwrap();
    assert_eq!(changed(&compare(&seal, dir.path())), ["bin/app"]);
    let alone = reason(collect(&dir.path().join("bin/app")));
    assert!(alone.contains("special file"), "a FIFO by itself must not block: {alone}");
}

#[test]
fn names_that_are_not_utf8_are_refused_and_when_verifying_named() {
    let dir = tree();
    let seal = collect(dir.path()).unwrap().into_seal().unwrap();
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    let error = reason(collect(dir.path()));
    assert!(error.contains("`caf\\xe9`") && error.contains("UTF-8"), "{error}");
    assert_eq!(compare(&seal, dir.path()).added, ["caf\\xe9"]);
}

#[test]
fn a_backslash_is_refused() {
    let dir = tree();
    fs::write(dir.path().join("a\\b"), "").unwrap();
    assert!(reason(collect(dir.path())).contains("backslash"));
}

/// Writes to `file` when the first bytes were read.
fn written_while_read(file: &Path, read: &Path) -> Result<evidence::Evidence, EvidenceError> {
    let written = AtomicBool::new(false);
    evidence::collect(read, &Options::default(), &|_, _| {
        if !written.swap(true, Ordering::Relaxed) {
            fs::OpenOptions::new().append(true).open(file).unwrap().write_all(b"more").unwrap();
        }
    })
}

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    for read in [dir.path(), &file] {
        let error = written_while_read(&file, read).unwrap_err();
        assert!(matches!(&error, EvidenceError::Unstable { path } if path.ends_with("log")), "{error}");
        assert_eq!(error.blame(), Blame::Environment);
    }
}

#[test]
fn a_file_that_is_written_over_while_it_is_read_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    // Older kernels stamp files with a clock that ticks every few milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let error = evidence::collect(dir.path(), &Options::default(), &|_, _| {
        let file = fs::OpenOptions::new().write(true).open(&file).unwrap();
        file.write_all_at(b"x", 0).unwrap();
    });
    assert!(
        matches!(error, Err(EvidenceError::Unstable { .. })),
        "the size is the same and the content is not"
    );
}

#[test]
fn an_archive_that_changes_while_it_is_read_is_noticed() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&support::zip::archive([support::zip::stored("a", b"x")])).unwrap();
    let error = written_while_read(file.path(), file.path()).unwrap_err();
    assert!(matches!(error, EvidenceError::Unstable { .. }), "{error}");
}

#[test]
fn what_is_left_out_is_left_out_again() {
    let dir = tree();
    fs::create_dir_all(dir.path().join(".git/objects")).unwrap();
    fs::write(dir.path().join("bin/debug.log"), "1").unwrap();
    let exclude = Exclude::new(vec![".git".into(), "bin/*.log".into()]).unwrap();
    let options = Options { exclude, ..Options::default() };
    let seal = evidence::collect(dir.path(), &options, &|_, _| {}).unwrap().into_seal().unwrap();
    assert!(seal.tree().entry(".git").is_none() && seal.tree().entry("bin/debug.log").is_none());
    fs::write(dir.path().join("bin/debug.log"), "2").unwrap();
    fs::write(dir.path().join(".git/objects/x"), "2").unwrap();
    assert!(compare(&seal, dir.path()).holds());
    fs::write(dir.path().join("debug.log"), "2").unwrap();
    assert_eq!(compare(&seal, dir.path()).added, ["debug.log"]);
}

#[test]
fn a_file_alone_needs_a_name_only_when_it_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::write(&odd, "x").unwrap();
    assert!(reason(collect(&odd)).contains("UTF-8"));
    fs::write(dir.path().join("even"), "x").unwrap();
    let seal = collect(&dir.path().join("even")).unwrap().into_seal().unwrap();
    assert!(compare(&seal, &odd).holds());
}

#[test]
fn too_many_entries_are_refused() {
    let dir = tree();
    let limits = Limits { entries: 5, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let error = evidence::collect(dir.path(), &options, &|_, _| {}).unwrap_err();
    assert!(matches!(error, EvidenceError::Limit { field: "entries", .. }), "{error}");
}

#[test]
fn a_deep_tree_ends_at_the_depth_of_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().to_path_buf();
    for _ in 0..260 {
        path.push("d");
        fs::create_dir(&path).unwrap();
    }
    assert!(reason(collect(dir.path())).contains("256 components"));
}

#[test]
fn what_is_not_there_is_the_environment() {
    let error = collect(Path::new("/does/not/exist")).unwrap_err();
    assert_eq!(error.blame(), Blame::Environment);
}
