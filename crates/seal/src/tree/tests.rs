use super::*;
use crate::EntryPath;

fn file(path: &str) -> Entry {
    Entry::file(EntryPath::new(path).unwrap(), 0o644, 1, gm::Dual::digest(path.as_bytes()))
}

#[test]
fn order_of_entries_does_not_matter() {
    let paths = ["a", "b", "a-b", "c/d", "c.d"];
    let forward = Tree::new(paths.iter().map(|p| file(p)).collect()).unwrap();
    let backward = Tree::new(paths.iter().rev().map(|p| file(p)).collect()).unwrap();
    assert_eq!(forward, backward);
}

#[test]
fn every_field_is_bound_in_both_roots() {
    let before = file("a");
    let other = gm::Dual::digest(b"other");
    let changes: [fn(&mut Entry, DualDigest); 6] = [
        |e, _| e.path = EntryPath::new("b").unwrap(),
        |e, _| e.kind = EntryKind::Symlink,
        |e, _| e.mode = 0o755,
        |e, _| e.size = 2,
        |e, other| e.digest.sha256 = other.sha256,
        |e, other| e.digest.sm3 = other.sm3,
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut after = before.clone();
        change(&mut after, other);
        let (old, new) = (roots(std::slice::from_ref(&before)), roots(&[after]));
        assert!(old.sha256 != new.sha256 && old.sm3 != new.sm3, "change {at} is not bound");
    }
}

#[test]
fn a_path_appears_once() {
    let error = Tree::new(vec![file("a"), file("b"), file("a")]).unwrap_err();
    assert!(matches!(error, SealError::Duplicate { path } if path == "a"));
}

#[test]
fn nothing_stands_below_a_file_or_a_link() {
    let link = Entry::symlink(EntryPath::new("link").unwrap(), "/etc");
    let error = Tree::new(vec![link, file("link-x"), file("link/passwd")]).unwrap_err();
    assert!(matches!(error, SealError::NotADirectory { parent, .. } if parent == "link"));
    assert!(Tree::new(vec![file("a"), file("a/b/c")]).is_err());
    let directory = Entry::directory(EntryPath::new("d").unwrap(), 0o755);
    assert!(Tree::new(vec![directory, file("d/x")]).is_ok());
}

#[test]
fn entries_that_contradict_themselves_are_refused() {
    let link = Entry::symlink(EntryPath::new("l").unwrap(), "target");
    let directory = Entry::directory(EntryPath::new("d").unwrap(), 0o755);
    let bad = [
        Entry { target: Some("x".into()), ..file("a") },
        Entry { mode: 0o10_000, ..file("a") },
        Entry { target: Some("elsewhere".into()), ..link.clone() },
        Entry { target: None, ..link.clone() },
        Entry { mode: 0o755, ..link },
        Entry { size: 1, ..directory.clone() },
        Entry { digest: gm::Dual::digest(b"x"), ..directory },
    ];
    for entry in bad {
        assert!(Tree::new(vec![entry.clone()]).is_err(), "{entry:?} was taken");
    }
}

#[test]
fn case_collisions_are_listed() {
    let tree =
        Tree::new(vec![file("README"), file("Readme"), file("other"), file("ÄB"), file("äb")]).unwrap();
    assert_eq!(tree.case_collisions(), [vec!["README", "Readme"], vec!["ÄB", "äb"]]);
}

/// RFC 6962 §2.1 as it stands there, one hash after another.
fn by_the_book(leaves: &[Vec<u8>]) -> DualDigest {
    match leaves {
        [] => gm::Dual::digest(b""),
        [leaf] => gm::Dual::digest(&[&[LEAF][..], leaf].concat()),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            let (left, right) = (by_the_book(left), by_the_book(right));
            let sha256 = gm::Dual::digest(&[&[NODE][..], &left.sha256, &right.sha256].concat()).sha256;
            let sm3 = gm::Dual::digest(&[&[NODE][..], &left.sm3, &right.sm3].concat()).sm3;
            DualDigest { sha256, sm3 }
        }
    }
}

#[test]
fn roots_are_those_of_the_standard_around_every_batch() {
    let entries: Vec<Entry> =
        (0..2 * BATCH + 70).map(|n| file(&format!("{n}/x{}", "x".repeat(n % 90)))).collect();
    let around = |n: usize| n.saturating_sub(3)..=n + 3;
    let counts =
        (0..70).chain(around(BATCH / 2)).chain(around(BATCH)).chain(around(2 * BATCH)).chain([BATCH + 67]);
    for count in counts {
        let leaves: Vec<_> = entries[..count].iter().map(leaf_input).collect();
        assert_eq!(roots(&entries[..count]), by_the_book(&leaves), "{count} entries");
    }
}
