//! Hostile file names: the fuzz target's oracle on arbitrary text and on the shapes of real names.

use proptest::prelude::*;

proptest! {
    #[test]
    fn any_text(text in ".{0,90}") {
        keystore::fuzzing::file_names(text.as_bytes());
    }

    #[test]
    fn texts_like_file_names(text in "[a-z0-9@.-]{1,12}(\\.[0-9TZ]{16})?(\\.[0-9a-f]{8})?(\\.retired)?(\\.pub)?(\\.pem)?") {
        keystore::fuzzing::file_names(text.as_bytes());
    }
}

proptest! {
    #[test]
    fn any_kek_file(lines in proptest::collection::vec("[0-9]{0,20} ?[0-9a-f]{30,34}", 0..4)) {
        keystore::fuzzing::kek_file(format!("custody-kek 1\n{}", lines.join("\n")).as_bytes());
    }
}

#[test]
fn the_corpus() {
    fuzz_replay::corpus(&[
        ("keystore_file_names", keystore::fuzzing::file_names),
        ("keystore_kek_file", keystore::fuzzing::kek_file),
        ("keystore_policy", keystore::fuzzing::policy),
    ]);
    let text = |seed: Vec<u8>| String::from_utf8(seed).unwrap();
    let read = fuzz_replay::seeds("keystore_policy").into_iter().map(text);
    assert!(read.filter(|seed| keystore::Policy::parse(seed).is_ok()).count() > 0, "no seed is a policy");
}

#[test]
fn near_misses_of_policies() {
    fuzz_replay::near_misses(&[("keystore_policy", keystore::fuzzing::policy)], 256);
}
