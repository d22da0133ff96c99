//! The fuzzer's oracle on arbitrary frames and on the seeds of its corpus.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use proptest::prelude::*;

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just(r#"{"op":"status"}"#.to_owned()),
        Just(r#"{"op":"prove","selector":{"id":"x"}}"#.to_owned()),
        (any::<u64>()).prop_map(|n| format!(r#"{{"op":"consistency","old":{n}}}"#)),
        ("[a-z]{0,9}", any::<bool>()).prop_map(|(text, follow)| {
            format!(r#"{{"op":"query","filter":{{"act":"{text}","since":"{text}"}},"follow":{follow}}}"#)
        }),
        Just(r#"{"recorded":[{"id":"x","index":1},{"faults":[]}]}"#.to_owned()),
        Just(r#""end""#.to_owned()),
        "[ -~]{0,40}",
    ];
    proptest::collection::vec((text, -1i64..2), 0..5).prop_map(|frames| {
        let frame = |(text, error): (String, i64)| {
            let length = u32::try_from((text.len() as i64 + error).max(0)).unwrap();
            [&length.to_be_bytes(), text.as_bytes()].concat()
        };
        frames.into_iter().flat_map(frame).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_frames(bytes in frames()) {
        audit::fuzzing::socket(&bytes);
    }

    #[test]
    fn any_array(text in r#"\[[ \[\]{},:"\\a1]{0,30}\]?"#) {
        audit::fuzzing::http(text.as_bytes());
    }

    #[test]
    fn any_table(lines in proptest::collection::vec(r#"(name|minimum|maximum|keep|every|pattern|size) = ("[a-z0-9 %{}.-]{0,20}"|[0-9]{1,3})|\[\[regime\]\]|\[rolling\]"#, 0..8)) {
        audit::fuzzing::retention(format!("version = 1\n{}", lines.join("\n")).as_bytes());
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        audit::fuzzing::socket(&bytes);
        audit::fuzzing::http(&bytes);
        audit::fuzzing::otlp(&bytes);
        audit::fuzzing::spill(&bytes);
        audit::fuzzing::index(&[b"custody-index\0\0\x01".as_slice(), &bytes].concat());
        audit::fuzzing::backup(&[b"custody-backup\0\x01".as_slice(), &bytes].concat());
        audit::fuzzing::tokens(&[b"# custody-tokens-v1\n".as_slice(), &bytes].concat());
    }
}

#[test]
fn the_seeds_of_the_fuzzer_hold() {
    fuzz_replay::corpus(&[
        ("audit_socket", audit::fuzzing::socket),
        ("audit_catalogue", audit::fuzzing::catalogue),
        ("audit_http", audit::fuzzing::http),
        ("audit_alerts", audit::fuzzing::alerts),
        ("audit_spill", audit::fuzzing::spill),
        ("audit_otlp", audit::fuzzing::otlp),
        ("audit_tokens", audit::fuzzing::tokens),
        ("audit_index", audit::fuzzing::index),
        ("audit_retention", audit::fuzzing::retention),
        ("audit_backup", audit::fuzzing::backup),
    ]);
}
