use super::*;
use crate::MAX_OFFERED;

const ID: &str = "0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10";

fn offer(text: &str) -> Result<Event<'static>, Vec<(String, Rule)>> {
    admit(text.as_bytes(), &Catalogue::standard())
        .map(Event::into_owned)
        .map_err(|e| e.faults.into_iter().map(|f| (f.path, f.rule)).collect())
}

fn event_with(rest: &str) -> String {
    format!(r#"{{"id":"{ID}","ts":"2026-11-20T08:30:45Z","severity":"INFO",{rest}}}"#)
}

fn faults(text: &str) -> Vec<(String, Rule)> {
    offer(text).unwrap_err()
}

#[test]
fn the_stored_form_is_canonical_and_passes_again() {
    let event = offer(&event_with(
        r#""ctx":{"mfa":"true","ip":"::1"},"sub":{"user":"10086","svc":"auth"},"obj":{},"act":"AUTH.LOGIN.OK""#,
    ))
    .unwrap();
    let stored = event.canonical();
    let expected = format!(
        "{{\"act\":\"AUTH.LOGIN.OK\",\"ctx\":{{\"ip\":\"::1\",\"mfa\":\"true\"}},\"id\":\"{ID}\",\
         \"severity\":\"INFO\",\"sub\":{{\"svc\":\"auth\",\"user\":\"10086\"}},\
         \"ts\":\"2026-11-20T08:30:45.000000000Z\"}}"
    );
    assert_eq!(String::from_utf8_lossy(&stored), expected);
    assert_eq!(read_stored(&stored).unwrap(), event);
}

#[test]
fn every_fault_is_named_at_once() {
    let found = faults(
        r#"{"id":"x","ts":"yesterday","severity":"info","sub":{"usr":"1","user":""},"act":"login",
            "ctx":{"ip":"300.1.1.1","n":5,"peer.pid":"1","a b":"c"},"obj":[],"extra":1}"#,
    );
    let expected = [
        ("$.extra", Rule::Unexpected),
        ("$.id", Rule::Form),
        ("$.ts", Rule::Form),
        ("$.severity", Rule::Form),
        ("$.sub.user", Rule::Form),
        ("$.sub.usr", Rule::Unknown),
        ("$.act", Rule::Form),
        ("$.obj", Rule::Type),
        ("$.ctx.ip", Rule::Form),
        ("$.ctx.n", Rule::Type),
        ("$.ctx['a b']", Rule::Name),
        ("$.ctx['peer.pid']", Rule::Reserved),
    ];
    let expected: Vec<_> = expected.map(|(path, rule)| (path.to_owned(), rule)).into();
    assert_eq!(found, expected);
}

#[test]
fn each_required_field_is_missed() {
    let missing: Vec<_> = faults("{}").into_iter().map(|(path, _)| path).collect();
    assert_eq!(missing, ["$.id", "$.ts", "$.severity", "$.sub", "$.act"]);
    assert_eq!(faults(&event_with(r#""sub":{},"act":"DATA.READ""#)), [("$.sub".into(), Rule::Missing)]);
}

#[test]
fn names_given_twice_are_refused() {
    let twice = event_with(r#""act":"DATA.READ","act":"DATA.READ","sub":{"user":"1","user":"2"}"#);
    assert_eq!(faults(&twice), [("$.act".into(), Rule::Duplicate), ("$.sub.user".into(), Rule::Duplicate)]);
    let alias = event_with(r#""act":"DATA.READ","action":"DATA.READ","sub":{"user":"1"}"#);
    assert_eq!(faults(&alias), [("$.action".into(), Rule::Duplicate)]);
    let escaped = event_with(r#""act":"DATA.READ","sub":{"user":"1","us\u0065r":"2"}"#);
    assert_eq!(faults(&escaped), [("$.sub.user".into(), Rule::Duplicate)]);
}

#[test]
fn the_alias_profile_is_normalised() {
    let text = format!(
        r#"{{"event_id":"{ID}","timestamp":"2026-11-20T08:30:45Z","severity":"WARN","action":"DATA.EXPORT",
             "actor":{{"user":"7","ip_address":"192.168.3.5"}},"object":{{"table":"users"}}}}"#
    );
    let event = offer(&text).unwrap();
    assert_eq!(event.ctx.get("ip"), Some("192.168.3.5"));
    assert_eq!(event.sub.iter().collect::<Vec<_>>(), [("user", "7")]);
    assert_eq!(event.obj.get("table"), Some("users"));

    let only_address = text.replace(r#""user":"7","#, "");
    assert_eq!(offer(&only_address).unwrap().sub.get("ip"), Some("192.168.3.5"));
    let bad = text.replace("192.168.3.5", "192.168.3.500");
    assert_eq!(faults(&bad), [("$.actor.ip_address".into(), Rule::Form)]);
    assert!(validate(text.as_bytes()).is_err(), "aliases are for callers, not for the store");
}

#[test]
fn size_is_bounded_before_and_after_reading() {
    let huge = event_with(&format!(
        r#""sub":{{"user":"1"}},"act":"DATA.READ","obj":{{"x":"{}"}}"#,
        "y".repeat(70_000)
    ));
    assert_eq!(faults(&huge), [("$".into(), Rule::Size)]);
    let large = event_with(&format!(
        r#""sub":{{"user":"1"}},"act":"DATA.READ","obj":{{"x":"{}"}}"#,
        "y".repeat(17_000)
    ));
    assert_eq!(faults(&large), [("$".into(), Rule::Size)]);
    let spaced = event_with(&format!(r#""sub":{{"user":"1"}},{}"act":"DATA.READ""#, " ".repeat(40_000)));
    assert!(spaced.len() < MAX_OFFERED && offer(&spaced).is_ok());

    let head = event_with(r#""sub":{"user":"1"},"act":"DATA.READ","obj":{"x":"@"}"#);
    let room = MAX_EVENT - offer(&head).unwrap().canonical().len() + 1;
    assert!(offer(&head.replace('@', &"y".repeat(room))).is_ok(), "the last byte fits");
    assert_eq!(faults(&head.replace('@', &"y".repeat(room + 1))), [("$".into(), Rule::Size)]);
}

#[test]
fn hostile_nesting_and_non_json_are_one_fault_at_the_root() {
    let deep = format!(r#"{{"ctx":{}1{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    assert!(faults(&deep).contains(&("$.ctx".into(), Rule::Type)));
    let open = "[".repeat(60_000);
    for text in [open.as_str(), "", "[]", "1", "nul", "{\"id\":1}{}", "\u{feff}{}", "{\"a\":\"\\ud800\"}"] {
        let found = faults(text);
        assert_eq!((found.len(), found[0].0.as_str()), (1, "$"), "{}", &text[..text.len().min(20)]);
    }
    assert!(admit(b"{\"id\":\"\xff\"}", &Catalogue::standard()).is_err());
}

#[test]
fn ten_thousand_faults_are_bounded() {
    let many: String = (0..5000).map(|i| format!(r#","u{i}":1"#)).collect();
    let found = faults(&format!(r#"{{"act":"DATA.READ"{many}}}"#));
    assert!(found.len() <= 65, "{}", found.len());
}

#[test]
fn control_characters_in_values_are_stored_escaped() {
    let event = offer(&event_with(r#""sub":{"user":"a\u0000\n\u001b[31m"},"act":"DATA.READ""#)).unwrap();
    let stored = event.canonical();
    assert!(stored.iter().all(|&b| b >= 0x20));
    assert_eq!(read_stored(&stored).unwrap(), event);
    let spaced = [stored.as_slice(), b" "].concat();
    assert_eq!(read_stored(&spaced).unwrap_err().faults[0].rule, Rule::Canonical);
}

#[test]
fn the_id_of_a_stored_event_is_found_past_everything_that_looks_like_it() {
    let other = "919108f7-52d1-4320-9bac-f847db4148a8";
    for ctx in [
        format!(r#""id":"{other}""#),
        format!(r#""a":"\"}},\"id\":\"{other}","id":"{other}","z":"}},""#),
        r#""a":"","b":"\\""#.to_owned(),
        String::new(),
    ] {
        let stored = offer(&event_with(&format!(
            r#""sub":{{"user":"1"}},"act":"DATA.READ","obj":{{"id":"{other}"}},"ctx":{{{ctx}}}"#
        )));
        assert_eq!(stored_id(&stored.unwrap().canonical()), EventId::parse(ID), "{ctx}");
    }
    for other in
        ["", "{}", r#"{"act":"A.B"#, r#"{"act":"A.B","ctx":{"a":"b"}"#, r#"{"act":"A.B","id":"short"}"#]
    {
        assert_eq!(stored_id(other.as_bytes()), None);
    }
}
