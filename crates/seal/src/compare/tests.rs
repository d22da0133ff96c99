use super::*;
use crate::{Tree, block_size_for};

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

fn file(name: &str, content: &str) -> Entry {
    Entry::file(path(name), 0o644, content.len() as u64, gm::Dual::digest(content.as_bytes()))
}

fn container(bytes: &[u8]) -> Container {
    let hash = |block: &[u8]| gm::Dual::digest(block).sha256;
    let block_size = block_size_for(0);
    let blocks = bytes.chunks(4096).map(hash).collect();
    Container { format: Format::Zip, size: bytes.len() as u64, block_size, blocks }
}

fn archive(bytes: &[u8], entries: Vec<Entry>) -> Observation {
    Observation {
        kind: ObservedKind::Archive(Format::Zip),
        digest: Some(gm::Dual::digest(bytes)),
        entries,
        container: Some(container(bytes)),
        places: Vec::new(),
        faults: Vec::new(),
        broken: None,
    }
}

fn sealed(found: &Observation) -> Seal {
    let subject = match found.kind {
        ObservedKind::Directory => Subject::Directory,
        ObservedKind::File => Subject::File,
        ObservedKind::Archive(_) => {
            Subject::Archive { digest: found.digest.unwrap(), container: found.container.clone().unwrap() }
        }
    };
    Seal::new("x", subject, Tree::new(found.entries.clone()).unwrap()).unwrap()
}

fn directory(entries: Vec<Entry>) -> Observation {
    Observation { kind: ObservedKind::Directory, digest: None, container: None, ..archive(b"", entries) }
}

#[test]
fn each_difference_has_its_list() {
    let seal = sealed(&directory(vec![file("a", "1"), file("b", "2"), file("c", "3"), file("d", "4")]));
    let found = directory(vec![file("a", "1"), file("b", "changed"), file("new", "5"), file("e", "4")]);
    let comparison = Comparison::of(&seal, &found);
    assert_eq!(comparison.changed.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(comparison.added, ["e", "new"]);
    assert_eq!(comparison.removed, [path("c"), path("d")]);
    assert_eq!(comparison.renamed, [Rename { from: path("d"), to: path("e") }]);
    assert!(comparison.container.is_empty() && !comparison.holds());
}

#[test]
fn mode_type_and_target_are_compared() {
    let seal = sealed(&directory(vec![file("a", "1"), Entry::symlink(path("l"), "a"), file("s", "a")]));
    let changed = vec![
        Entry { mode: 0o755, ..file("a", "1") },
        Entry::symlink(path("l"), "/etc/passwd"),
        Entry::symlink(path("s"), "a"),
    ];
    assert_eq!(Comparison::of(&seal, &directory(changed)).changed.len(), 3);
}

#[test]
fn damage_outside_every_entry_has_its_range() {
    let mut bytes = vec![0u8; 20_000];
    let seal = sealed(&archive(&bytes, vec![file("a", "1")]));
    bytes[4096] = 1;
    bytes[8192] = 1;
    bytes[19_999] = 1;
    let comparison = Comparison::of(&seal, &archive(&bytes, vec![file("a", "1")]));
    let ranges: Vec<_> = comparison.container.iter().map(ToString::to_string).collect();
    assert_eq!(ranges, ["container:0x1000-0x2fff", "container:0x4000-0x4e1f"]);
}

#[test]
fn a_named_entry_explains_its_own_bytes_and_no_others() {
    let mut bytes = vec![0u8; 20_000];
    let seal = sealed(&archive(&bytes, vec![file("a", "1")]));
    bytes[5000] = 1;
    bytes[13_000] = 1;
    let mut found = archive(&bytes, vec![file("a", "2")]);
    found.places = vec![Place { path: path("a"), ranges: vec![4990..5010, 16_390..16_400] }];
    let comparison = Comparison::of(&seal, &found);
    assert_eq!(comparison.container, [DamagedRange { start: 12_288, end: 16_384 }]);
    assert_eq!(comparison.changed.len(), 1);
    // The block right behind an explained one is not explained with it.
    bytes[8192] = 1;
    let more =
        Observation { digest: Some(gm::Dual::digest(&bytes)), container: Some(container(&bytes)), ..found };
    let comparison = Comparison::of(&seal, &more);
    let expected = [DamagedRange { start: 8192, end: 16_384 }];
    assert_eq!(comparison.container, expected);
}

#[test]
fn what_was_cut_off_is_a_range() {
    let bytes = vec![7u8; 10_000];
    let seal = sealed(&archive(&bytes, vec![file("a", "1")]));
    let cut = Comparison::of(&seal, &archive(&bytes[..8192], vec![file("a", "1")]));
    assert_eq!(cut.container, [DamagedRange { start: 8192, end: 10_000 }]);
}

#[test]
fn digests_that_differ_never_hold() {
    let bytes = vec![7u8; 10_000];
    let seal = sealed(&archive(&bytes, vec![file("a", "1")]));
    let mut found = archive(&bytes, vec![file("a", "1")]);
    found.digest = Some(gm::Dual::digest(b"other"));
    assert!(!Comparison::of(&seal, &found).holds());
}

#[test]
fn what_lies_behind_a_break_is_unread_and_not_removed() {
    let bytes = vec![7u8; 10_000];
    let seal = sealed(&archive(&bytes, vec![file("a", "1"), file("b", "2"), file("c", "3")]));
    let mut found = archive(&[], vec![file("a", "1")]);
    found.broken = Some("it breaks off".into());
    found.faults = vec![Fault { path: "b".into(), reason: "half of it".into() }];
    let comparison = Comparison::of(&seal, &found);
    assert_eq!((comparison.unread, comparison.removed), (vec![path("c")], vec![]));
    assert_eq!(comparison.changed[0].reason, ChangeReason::Unreadable("half of it".into()));
    assert!(!comparison.container.is_empty());
}

#[test]
fn a_fault_at_an_unknown_path_is_an_addition() {
    let seal = sealed(&directory(vec![file("a", "1")]));
    let mut found = directory(vec![file("a", "1")]);
    found.faults = vec![Fault { path: "fifo".into(), reason: "a FIFO".into() }];
    assert_eq!(Comparison::of(&seal, &found).added, ["fifo"]);
}

#[test]
fn an_entry_that_is_there_twice_has_changed() {
    let seal = sealed(&archive(b"zip", vec![file("a", "1"), file("b", "2")]));
    let found = archive(b"zip and more", vec![file("a", "evil"), file("b", "2"), file("a", "1")]);
    let comparison = Comparison::of(&seal, &found);
    assert_eq!(comparison.changed.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_file_is_the_same_under_another_name() {
    let alone = |name, content| {
        let entry = file(name, content);
        let digest = Some(entry.digest);
        Observation { kind: ObservedKind::File, digest, ..directory(vec![entry]) }
    };
    let seal = sealed(&alone("payments", "1"));
    assert!(Comparison::of(&seal, &alone("payments (1)", "1")).holds());
    let changed = Comparison::of(&seal, &alone("payments", "2"));
    assert_eq!(changed.changed[0].path, path("payments"));
}

#[test]
fn an_archive_unpacked_holds_against_its_seal() {
    let seal = sealed(&archive(b"zip", vec![file("a/b/c", "1")]));
    let implied =
        vec![Entry::directory(path("a"), 0o755), Entry::directory(path("a/b"), 0o700), file("a/b/c", "1")];
    assert!(Comparison::of(&seal, &directory(implied.clone())).holds());
    let extra = [implied, vec![Entry::directory(path("x"), 0o755)]].concat();
    assert_eq!(Comparison::of(&seal, &directory(extra)).added, ["x"]);
}

#[test]
fn another_kind_of_artefact_is_a_difference() {
    let seal = sealed(&directory(vec![file("a", "1")]));
    let comparison = Comparison::of(&seal, &archive(b"", vec![]));
    assert_eq!(comparison.instead, Some(Instead { sealed: "directory", found: "archive" }));
    assert!(!comparison.holds());
}

fn program(name: &str, content: &str) -> Program {
    Program { path: path(name), size: 8, digest: gm::Dual::digest(content.as_bytes()) }
}

#[test]
fn a_program_that_was_signed_since_is_no_difference() {
    let entries = vec![file("a.exe", "one"), file("b.exe", "two"), file("c.exe", "three"), file("d", "four")];
    let seal = sealed(&directory(entries)).with_programs(vec![
        program("a.exe", "image one"),
        program("b.exe", "image two"),
        program("c.exe", "image three"),
    ]);
    let seal = seal.unwrap();
    let mut executable = file("c.exe", "three signed");
    executable.mode = 0o755;
    let found = directory(vec![
        file("a.exe", "one signed"),
        file("b.exe", "two exchanged"),
        executable,
        file("d", "four changed"),
    ]);
    let mut comparison = Comparison::of(&seal, &found);
    assert_eq!(comparison.changed.len(), 4);
    let now =
        [program("a.exe", "image one"), program("b.exe", "another image"), program("c.exe", "image three")];
    comparison.set_signed_apart(&seal, &found, &now);
    assert_eq!(comparison.signed, [path("a.exe")]);
    // Another image, another mode, and what is no program, stay changed.
    let changed: Vec<_> = comparison.changed.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(changed, ["b.exe", "c.exe", "d"]);
    assert!(!comparison.holds());
    let found = directory(vec![
        file("a.exe", "one signed"),
        file("b.exe", "two"),
        file("c.exe", "three"),
        file("d", "four"),
    ]);
    let mut comparison = Comparison::of(&seal, &found);
    comparison.set_signed_apart(&seal, &found, &now[..1]);
    assert!(comparison.holds() && comparison.signed == [path("a.exe")]);
}

/// An archive's own bytes are sealed too: a signed program in it is a change.
#[test]
fn in_an_archive_nothing_is_put_apart() {
    let found = archive(b"before", vec![file("a.exe", "one")]);
    let seal = sealed(&found).with_programs(vec![program("a.exe", "image")]).unwrap();
    let found = archive(b"behind", vec![file("a.exe", "one signed")]);
    let mut comparison = Comparison::of(&seal, &found);
    comparison.set_signed_apart(&seal, &found, &[program("a.exe", "image")]);
    assert!(!comparison.holds(), "{comparison:?}");
}
