//! Modules: every witness is made to lie in turn, and each lie is seen for what it is.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evidence::modules::{Cache, Content, Copy, Database, Listed, Sum, SumOf, look_up, parse};
use support::sumdb::SumDb;
use support::text;
use support::zip::{Archive, Entry, deflated, stored};

const MODULE: &str = "example.org/Greet";
const PREFIX: &str = "example.org/Greet@v1.2.3";
const GO_MOD: &[u8] = b"module example.org/Greet\n\ngo 1.21\n";
const GREET: &[u8] = b"package greet\n\nfunc Greet() string { return \"hello\" }\n";

struct World {
    folder: tempfile::TempDir,
    sums: Vec<Sum>,
    database: SumDb,
}

impl World {
    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("sumdb")
    }

    fn zip(&self) -> PathBuf {
        self.cache().join("cache/download/example.org/!greet/@v/v1.2.3.zip")
    }

    fn content(&self) -> Vec<Content> {
        self.sums.iter().map(|sum| Cache(self.cache()).check(sum).unwrap()).collect()
    }

    fn listed(&self) -> Listed {
        let mut database = Database::new(Copy(self.copy()), self.database.signer.verifier());
        look_up(&mut database, &self.sums[0])
    }
}

fn module_zip(greet: &[u8]) -> Vec<u8> {
    let file = |name: &str, data: &[u8]| Entry { mode: 0, ..deflated(&format!("{PREFIX}/{name}"), data) };
    let entries = vec![file("greet.go", greet), file("go.mod", GO_MOD), file("testdata/big", &text(200_000))];
    Archive { entries, ..Archive::default() }.build()
}

/// What Go makes of a zip and a go.mod: `go mod download` out of a folder, without a database. The independent judge of
/// our hashes.
fn go_sum(download: &Path, folder: &Path) -> Option<String> {
    let go = std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into());
    fs::write(folder.join("go.mod"), format!("module x\n\ngo 1.21\n\nrequire {MODULE} v1.2.3\n")).unwrap();
    let mut command = Command::new(go);
    command.args(["mod", "download", "-modcacherw", MODULE]).current_dir(folder);
    command
        .env("GOPROXY", format!("file://{}", download.display()))
        .env("GONOSUMDB", "*")
        .env("GOFLAGS", "-mod=mod");
    command
        .env("GOMODCACHE", folder.join("go-cache"))
        .env("GOTOOLCHAIN", "local")
        .env("GOCACHE", folder.join("build"));
    let Ok(output) = command.output() else {
        eprintln!("SKIPPED: no Go (CUSTODY_GO) to judge the hashes of modules");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(fs::read_to_string(folder.join("go.sum")).unwrap())
}

fn world() -> Option<World> {
    let folder = tempfile::tempdir().unwrap();
    let download = folder.path().join("cache/cache/download");
    let beside = download.join("example.org/!greet/@v");
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("v1.2.3.zip"), module_zip(GREET)).unwrap();
    fs::write(beside.join("v1.2.3.mod"), GO_MOD).unwrap();
    fs::write(beside.join("v1.2.3.info"), "{\"Version\":\"v1.2.3\"}").unwrap();
    fs::write(beside.join("list"), "v1.2.3\n").unwrap();
    let project = folder.path().join("project");
    fs::create_dir(&project).unwrap();
    let lines = go_sum(&download, &project)?;
    // The folder that the compiler reads, as Go unpacked it.
    let unpacked = folder.path().join("cache/example.org/!greet@v1.2.3");
    fs::create_dir_all(unpacked.parent().unwrap()).unwrap();
    fs::rename(project.join("go-cache/example.org/!greet@v1.2.3"), unpacked).unwrap();
    let mut database = SumDb::new("sum.example.org");
    database.add(&lines);
    database.add("example.org/later v1.0.0 h1:y\n");
    let copy = folder.path().join("sumdb");
    database.write(&copy);
    let lookup = copy.join("lookup/example.org");
    fs::rename(lookup.join("Greet@v1.2.3"), lookup.join("!greet@v1.2.3")).unwrap();
    let sums = parse(&lines).unwrap();
    assert_eq!(sums.iter().map(|s| s.of).collect::<Vec<_>>(), [SumOf::Module, SumOf::GoMod]);
    Some(World { folder, sums, database })
}

#[test]
fn go_and_the_database_agree_with_us() {
    let Some(world) = world() else { return };
    assert_eq!(world.content(), [Content::Holds, Content::Holds]);
    let Listed::Holds(proven) = world.listed() else { panic!("{:?}", world.listed()) };
    assert_eq!((proven.record, proven.size), (150, 302));
}

#[test]
fn every_copy_that_lies_is_named() {
    let Some(world) = world() else { return };
    let other = world.cache().join("example.org/!greet@v1.2.3/greet.go");
    fs::write(&other, "package greet // not what was published\n").unwrap();
    assert!(matches!(&world.content()[0], Content::Differs { copy: "folder", .. }));
    fs::write(&other, GREET).unwrap();
    fs::write(other.with_file_name("extra.go"), "package greet\n").unwrap();
    assert!(matches!(&world.content()[0], Content::Differs { copy: "folder", .. }), "a file more");
    fs::remove_file(other.with_file_name("extra.go")).unwrap();
    fs::write(world.zip(), module_zip(b"package greet // other\n")).unwrap();
    assert!(matches!(&world.content()[0], Content::Differs { copy: "zip", .. }));
    let link = Entry { mode: 0o120_777, ..stored(&format!("{PREFIX}/link"), b"/etc") };
    let strange = [link, stored("elsewhere/file", b"x")];
    for entry in strange {
        fs::write(world.zip(), Archive { entries: vec![entry], ..Archive::default() }.build()).unwrap();
        assert!(
            matches!(&world.content()[0], Content::Unreadable { copy: "zip", .. }),
            "{:?}",
            world.content()
        );
    }
    fs::write(world.zip().with_extension("mod"), "module other\n").unwrap();
    assert!(matches!(&world.content()[1], Content::Differs { copy: "mod", .. }));
    fs::remove_dir_all(world.cache()).unwrap();
    assert_eq!(world.content(), [Content::Absent, Content::Absent]);
}

#[test]
fn a_database_is_believed_only_with_its_proof() {
    let Some(mut world) = world() else { return };
    let lookup = world.copy().join("lookup/example.org/!greet@v1.2.3");
    let honest = fs::read_to_string(&lookup).unwrap();
    let unproven = |world: &World, why: &str| match world.listed() {
        Listed::Unproven { reason } => assert!(reason.contains(why), "{reason}"),
        other => panic!("{why}: {other:?}"),
    };
    // The record is not the one in the tree.
    let hash = world.sums[0].hash.clone();
    fs::write(&lookup, honest.replace(&hash, &format!("h1:{}=", "A".repeat(43)))).unwrap();
    unproven(&world, "does not prove");
    // It says to be another record.
    fs::write(&lookup, honest.replacen("150\n", "151\n", 1)).unwrap();
    unproven(&world, "does not prove");
    // Someone else signed.
    let stranger =
        signing::note::NoteSigner::new("sum.example.org", signing::Ed25519Signer::from_seed(&[8; 32]));
    let note = honest.split_once("\n\n").unwrap().1;
    let text = note.split_once("\n\n").unwrap().0;
    let forged = stranger.unwrap().sign(&format!("{text}\n")).unwrap();
    fs::write(&lookup, honest.replace(note, &forged)).unwrap();
    unproven(&world, "not signed");
    // A tile was changed, or is missing.
    fs::write(&lookup, &honest).unwrap();
    let tile = world.copy().join("tile/8/0/000");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[151 * 32] ^= 1;
    fs::write(&tile, &bytes).unwrap();
    unproven(&world, "does not prove");
    fs::remove_file(&tile).unwrap();
    unproven(&world, "not in this copy");
    // go.sum says something else than the proved record.
    bytes[151 * 32] ^= 1;
    fs::write(&tile, &bytes).unwrap();
    world.sums[0].hash = format!("h1:{}=", "B".repeat(43));
    assert_eq!(world.listed(), Listed::Differs { found: hash });
    fs::remove_file(&lookup).unwrap();
    assert_eq!(world.listed(), Listed::Absent);
}
