//! The hand-written validator against the schema, judged by an independent JSON Schema implementation: the same
//! verdict and the same paths, on generated events and on ones with something wrong.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use event::{Rule, SCHEMA};

fn judge() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

/// Where the independent implementation sees faults, as JSON pointers.
fn judged(judge: &jsonschema::Validator, value: &Value) -> BTreeSet<String> {
    judge.iter_errors(value).map(|e| e.instance_path().to_string()).collect()
}

/// Where ours sees faults. JSON Schema reports a missing, unexpected or misnamed member at the object around it.
fn ours(value: &Value) -> BTreeSet<String> {
    let bytes = serde_json::to_vec(value).unwrap();
    assert_eq!(event::validate(&bytes), event::validate_generally(&bytes), "two ways of one validator");
    let Err(refusal) = event::validate(&bytes) else { return BTreeSet::new() };
    let place = |fault: &event::Fault| {
        let pointer = pointer(&fault.path);
        let empty_subject = fault.path == "$.sub" && value.get("sub").is_some();
        match fault.rule {
            Rule::Missing if empty_subject => pointer,
            Rule::Missing | Rule::Unexpected | Rule::Name => {
                pointer.rsplit_once('/').map_or(String::new(), |(parent, _)| parent.to_owned())
            }
            _ => pointer,
        }
    };
    refusal.faults.iter().map(place).collect()
}

/// `$.a['b.c']` as `/a/b.c`.
fn pointer(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path.strip_prefix('$').unwrap();
    while !rest.is_empty() {
        let (name, after) = if let Some(quoted) = rest.strip_prefix("['") {
            quoted.split_once("']").unwrap()
        } else {
            let name = rest.strip_prefix('.').unwrap();
            name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
        };
        out.push('/');
        out.push_str(&name.replace('~', "~0").replace('/', "~1"));
        rest = after;
    }
    out
}

fn agree(judge: &jsonschema::Validator, value: &Value) {
    assert_eq!(ours(value), judged(judge, value), "{value}");
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        1 => "[0-9a-fA-F]{8}-[0-9A-F]{4}-[1-8][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
        1 => "[0-9a-fg-]{35,37}",
    ]
}

fn ts() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z",
        2 => "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|z|\\+00:00)?",
        1 => "[ -~]{0,32}",
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,8}",
        3 => "(([a-z]{1,3}|)[._-]|)ip(_address|_addr|)",
        2 => "[A-Za-z_][A-Za-z0-9_.-]{0,70}",
        1 => "[a-z/~ é0-9]{0,5}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -~]{0,12}",
        2 => "([0-9]{1,3}\\.){3}[0-9]{1,3}",
        2 => "([0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}",
        1 => any::<[u8; 16]>().prop_map(|b| std::net::Ipv6Addr::from(b).to_string()),
        1 => any::<[u8; 4]>().prop_map(|b| std::net::Ipv4Addr::from(b).to_string()),
        1 => "\\PC{0,8}",
    ]
}

fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(1.5)),
        Just(json!([["x"], {"a": {}}])),
        Just(json!({})),
        Just(json!({"a": {"b": 1}})),
        Just(json!("")),
    ]
}

fn value_or_odd(value: impl Strategy<Value = String>) -> impl Strategy<Value = Value> {
    prop_oneof![12 => value.prop_map(Value::String), 1 => odd()]
}

fn fields() -> impl Strategy<Value = Value> {
    let map = |size| proptest::collection::btree_map(key(), value_or_odd(text()), size);
    let object = |m: std::collections::BTreeMap<_, _>| Value::Object(Map::from_iter(m));
    prop_oneof![30 => map(0..5).prop_map(object), 1 => map(60..70).prop_map(object), 1 => odd()]
}

fn document() -> impl Strategy<Value = Value> {
    let severity = "DEBUG|INFO|WARN|ERROR|CRITICAL|info|FATAL";
    let act = prop_oneof![
        5 => "[A-Z]{1,6}(\\.[A-Z][A-Z0-9_]{0,6}){1,3}",
        1 => "[A-Za-z0-9_.]{0,12}",
        1 => "[A-Z]{30,34}(\\.[A-Z]{1,2}){0,7}",
    ];
    let members = (
        value_or_odd(id()),
        value_or_odd(ts()),
        value_or_odd(severity),
        fields(),
        value_or_odd(act),
        fields(),
        fields(),
    );
    let dropped = proptest::collection::vec(proptest::bool::weighted(0.07), 7);
    let extra = proptest::option::weighted(0.1, ("[a-z_]{1,8}", odd()));
    (members, dropped, extra).prop_map(|((id, ts, severity, sub, act, obj, ctx), dropped, extra)| {
        let names = ["id", "ts", "severity", "sub", "act", "obj", "ctx"];
        let members = names.into_iter().zip([id, ts, severity, sub, act, obj, ctx]).zip(dropped);
        let kept = members.filter(|(_, dropped)| !dropped).map(|((name, value), _)| (name.to_owned(), value));
        Value::Object(kept.chain(extra).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn verdict_and_paths_agree_with_the_schema(document in document()) {
        static JUDGE: std::sync::OnceLock<jsonschema::Validator> = std::sync::OnceLock::new();
        let judge = JUDGE.get_or_init(judge);
        agree(judge, &document);
        // What is admitted is stored in a form that the schema admits as well.
        if let Ok(event) = event::validate(&serde_json::to_vec(&document).unwrap()) {
            let stored: Value = serde_json::from_slice(&event.canonical()).unwrap();
            prop_assert!(judge.is_valid(&stored), "{stored}");
        }
    }

    #[test]
    fn admission_holds_on_any_document(document in document()) {
        event::fuzzing::admission(&serde_json::to_vec(&document).unwrap());
    }

    #[test]
    fn admission_holds_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        event::fuzzing::admission(&bytes);
        event::fuzzing::stored(&bytes);
    }
}

#[test]
fn the_seeds_of_the_fuzzer_hold() {
    fuzz_replay::corpus(&[
        ("event_admission", event::fuzzing::admission),
        ("event_stored", event::fuzzing::stored),
    ]);
}

#[test]
fn particular_cases_agree_with_the_schema() {
    let judge = judge();
    let base = json!({
        "id": "0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10", "ts": "2026-11-20T08:30:45Z", "severity": "INFO",
        "sub": {"user": "1"}, "act": "DATA.READ", "obj": {}, "ctx": {"ip": "192.168.3.5"}
    });
    assert!(ours(&base).is_empty());
    agree(&judge, &base);
    let cases = [
        ("ts", json!("2026-02-29T00:00:00Z")),
        ("ts", json!("2024-02-29T00:00:00Z")),
        ("ts", json!("2026-06-30T23:59:60Z")),
        ("ts", json!("0000-01-01T00:00:00Z")),
        ("ts", json!("2026-11-20T08:30:45.1234567891Z")),
        ("id", json!("a1b2c3d4-5678-90ef-ghij-klmnopqrstuv")),
        ("id", json!("0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10\n")),
        ("act", json!("DATA.READ\n")),
        ("ctx", json!({"ip": "01.2.3.4"})),
        ("ctx", json!({"ip": "::ffff:1.2.3.4"})),
        ("ctx", json!({"ip": "fe80::1%eth0"})),
        ("ctx", json!({"peer.ip": "1.2.3.4 "})),
        ("ctx", json!({"zip": "8000", "ship": "x", "client_ip_address": "y"})),
        ("sub", json!({"user": "", "ip": ""})),
        ("sub", json!({"": "x"})),
    ];
    for (field, value) in cases {
        let mut document = base.clone();
        document[field] = value;
        agree(&judge, &document);
    }
}

#[test]
fn the_example_of_the_document_is_an_event() {
    let document = include_str!("../../../docs/formats/event.md");
    let example = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let event = event::admit(example.as_bytes(), &event::Catalogue::standard()).unwrap();
    agree(&judge(), &serde_json::from_slice(&event.canonical()).unwrap());
}
