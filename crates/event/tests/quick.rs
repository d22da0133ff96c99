//! The quick way through admission against the general one: the same event or the same refusal for every document, whether
//! the quick way takes it or not.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
use event::{Catalogue, admit, admit_generally, read_stored, validate, validate_generally};
use proptest::prelude::*;

fn agree(document: &[u8], catalogue: &Catalogue) -> bool {
    let (quick, general) = (admit(document, catalogue), admit_generally(document, catalogue));
    assert_eq!(quick, general, "{}", String::from_utf8_lossy(document));
    let general = validate_generally(document);
    assert_eq!(validate(document), general, "{}", String::from_utf8_lossy(document));
    // What is taken for the canonical form is it, and nothing that is it is refused.
    let canonical = general.is_ok_and(|event| event.canonical() == document);
    assert_eq!(read_stored(document).is_ok(), canonical, "{}", String::from_utf8_lossy(document));
    if let Ok(event) = &quick {
        assert_eq!(read_stored(&event.canonical()).as_ref(), Ok(event));
    }
    quick.is_ok()
}

/// A value as JSON text: plain, escaped, not ASCII, or no string at all.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "\"[a-zA-Z0-9 .,:/_-]{0,40}\"",
        2 => "\"(192\\.0\\.2\\.[0-9]{1,3}|2001:db8::[0-9a-f]{1,4}|10086)\"",
        2 => "\"[汉字é€😀 ]{1,12}\"",
        1 => "\"(\\\\n|\\\\u0041|\\\\\"|\\\\\\\\|\u{7f}|a){1,4}\"",
        1 => "\"[\u{0}-\u{1f}a]{1,4}\"",
        1 => "(true|null|12|-0.5e3|\\[\\]|\\{\\}|\\{\"a\":\"b\"\\})",
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "(user|svc|pid|customer|ip|src_ip|client.ip_address|table|row|note|trace_id)",
        2 => "[A-Za-z_][A-Za-z0-9_.-]{0,12}",
        1 => "(peer|peer\\.pid|redaction|é|1a||a b|ip_address)",
    ]
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => "[ \n\t\r]{1,3}"]
}

fn map() -> impl Strategy<Value = String> {
    (prop::collection::vec((name(), value(), space()), 0..6), space()).prop_map(|(entries, space)| {
        let entries: Vec<String> =
            entries.iter().map(|(name, value, gap)| format!("{gap}\"{name}\"{gap}:{value}{gap}")).collect();
        format!("{{{space}{}}}", entries.join(","))
    })
}

/// The member of a field, by its number.
fn member(n: u8) -> BoxedStrategy<String> {
    match n {
        0 => Just(r#""id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10""#.to_owned()).boxed(),
        1 => Just(r#""ts":"2026-11-20T08:30:45.5Z""#.to_owned()).boxed(),
        2 => "(DEBUG|INFO|WARN|ERROR|CRITICAL|debug)".prop_map(|s| format!("\"severity\":\"{s}\"")).boxed(),
        3 => "(AUTH\\.LOGIN\\.FAIL|DATA\\.READ|NO\\.SUCH|data\\.read)"
            .prop_map(|act| format!("\"act\":\"{act}\""))
            .boxed(),
        4 => map().prop_map(|map| format!("\"sub\":{map}")).boxed(),
        5 => map().prop_map(|map| format!("\"obj\":{map}")).boxed(),
        _ => map().prop_map(|map| format!("\"ctx\" : {map}")).boxed(),
    }
}

/// Each field once, in any order; sometimes one more member, of any kind.
fn document() -> impl Strategy<Value = String> {
    let all: Vec<_> = (0..7).map(member).collect();
    let more = prop::option::weighted(0.2, (0u8..7).prop_flat_map(member));
    (all, more, any::<usize>(), space(), "(|\\}|x| )").prop_map(|(mut members, more, turn, space, behind)| {
        members.extend(more);
        let turn = turn % members.len();
        members.rotate_left(turn);
        format!("{space}{{{}}}{behind}", members.join(&format!(",{space}")))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_documents(document in document(), cut in 0usize..4000, byte in any::<u8>()) {
        let catalogue = Catalogue::standard();
        let _ = agree(document.as_bytes(), &catalogue);
        // And with one byte changed, or cut short.
        let mut changed = document.into_bytes();
        let at = cut % changed.len();
        changed[at] = byte;
        let _ = agree(&changed, &catalogue);
        let _ = agree(&changed[..at], &catalogue);
    }
}

/// That what a program writes is admitted at all here, in any order and with space: a test in which everything is refused
/// would hold of anything.
#[test]
fn what_programs_write_is_admitted() {
    let catalogue = Catalogue::standard();
    for document in [
        r#"{"act":"DATA.READ","ctx":{"ip":"192.0.2.1","trace_id":"4bf9"},"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","obj":{"table":"t"},"severity":"INFO","sub":{"svc":"a","user":"b"},"ts":"2026-11-20T08:30:45.123456789Z"}"#,
        "{\n \"ts\" : \"2026-11-20T08:30:45Z\", \"id\":\"0190B5A4-3C4E-7D10-9C3F-5A2B8D7E6F10\",\"severity\":\"WARN\",\n\"sub\":{\"user\":\"汉\",\"svc\":\"x\"},\"act\":\"AUTH.LOGIN.FAIL\",\"obj\":{ } }\n",
        r#"{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{"ip":"192.0.2.1"},"act":"DATA.READ"}"#,
    ] {
        assert!(agree(document.as_bytes(), &catalogue), "{document}");
    }
    for refused in [
        r#"{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{},"act":"DATA.READ"}"#,
        r#"{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{"user":""},"act":"DATA.READ"}"#,
        r#"{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{"user":"a","user":"b"},"act":"DATA.READ"}"#,
        r#"{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{"user":"a"},"act":"DATA.READ"}"#,
        r#"{"id":"0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{"user":"a"},"ctx":{"peer.pid":"1"},"act":"DATA.READ"}"#,
    ] {
        assert!(!agree(refused.as_bytes(), &catalogue), "{refused}");
    }
}
