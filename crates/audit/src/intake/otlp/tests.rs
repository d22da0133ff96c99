use super::*;
use event::{Catalogue, Timestamp, admit};
use serde_json::{Value, json};

fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T00:00:00Z").unwrap()
}

fn document() -> Value {
    json!({"resourceLogs": [{
    "resource": {"attributes": [
        {"key": "service.name", "value": {"stringValue": "payments"}},
        {"key": "host.name", "value": {"stringValue": "node-7"}}]},
    "scopeLogs": [{"scope": {"name": "bank/auth"}, "logRecords": [{
        "timeUnixNano": "1763627445123456789", "severityNumber": 13, "severityText": "WARN",
        "eventName": "AUTH.LOGIN.FAIL", "body": {"stringValue": "wrong password"},
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "unknown": [1],
        "attributes": [
            {"key": "user.id", "value": {"stringValue": "10086"}},
            {"key": "client.address", "value": {"stringValue": "192.168.3.5"}},
            {"key": "obj.table", "value": {"stringValue": "users"}},
            {"key": "attempt", "value": {"intValue": "3"}},
            {"key": "ratio", "value": {"doubleValue": 0.5}},
            {"key": "first", "value": {"boolValue": false}},
            {"key": "peer.service", "value": {"stringValue": "gateway"}},
            {"key": "raw", "value": {"bytesValue": "AAH/"}},
            {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": 1}]}}},
            {"key": "more", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}}
        ]}]}]}]})
}

fn events(document: &Value) -> Vec<Value> {
    let groups = decode(document.to_string().as_bytes(), Encoding::Json).unwrap();
    map(groups, None, now()).iter().map(|event| serde_json::from_slice(event).unwrap()).collect()
}

#[test]
fn a_record_becomes_the_event_of_the_document() {
    let groups = decode(document().to_string().as_bytes(), Encoding::Json).unwrap();
    let mapped = map(groups, None, now());
    let event = admit(&mapped[0], &Catalogue::standard()).unwrap();
    let event: Value = serde_json::from_slice(&event.canonical()).unwrap();
    let mut expected = json!({
        "act": "AUTH.LOGIN.FAIL", "severity": "WARN", "ts": "2025-11-20T08:30:45.123456789Z",
        "sub": {"user": "10086", "svc": "payments"}, "obj": {"table": "users"},
        "ctx": {"message": "wrong password", "ip": "192.168.3.5", "attempt": "3", "ratio": "0.5", "first": "false",
            "otel.peer.service": "gateway", "raw": "AAH/", "tags": "[\"a\",1]", "more": "{\"k\":\"v\"}",
            "trace_id": "5b8efff798038103d269b633813fc60c", "span_id": "eee19b7ec3c1b174", "scope": "bank/auth",
            "resource.host.name": "node-7"}});
    expected["id"] = event["id"].clone();
    assert_eq!(event, expected);
    assert!(
        event["id"].as_str().unwrap().starts_with("019aa063-2b83-"),
        "the time is in the id: {}",
        event["id"]
    );
}

#[test]
fn a_repeated_request_has_the_same_ids_and_twins_in_one_have_not() {
    let mut twins = document();
    let record = twins["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0].clone();
    twins["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array_mut().unwrap().push(record);
    let first = events(&twins);
    assert_eq!(first, events(&twins));
    assert_eq!(first[0], events(&document())[0]);
    assert_ne!(first[0]["id"], first[1]["id"]);
    let mut named = document();
    let attributes = &mut named["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"];
    let id =
        json!({"key": "log.record.uid", "value": {"stringValue": "919108f7-52d1-4320-9bac-f847db4148a8"}});
    attributes.as_array_mut().unwrap().push(id);
    assert_eq!(events(&named)[0]["id"], "919108f7-52d1-4320-9bac-f847db4148a8");
}

#[test]
fn severities_are_those_of_the_data_model() {
    for (number, text, severity) in [
        (1, "", "DEBUG"),
        (8, "", "DEBUG"),
        (9, "ERROR", "INFO"),
        (16, "", "WARN"),
        (17, "", "ERROR"),
        (24, "", "CRITICAL"),
        (0, "warning", "WARN"),
        (0, "Fatal", "CRITICAL"),
        (0, "", "INFO"),
        (99, "", "INFO"),
    ] {
        let mut one = document();
        let record = &mut one["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        record["severityNumber"] = number.into();
        record["severityText"] = text.into();
        assert_eq!(events(&one)[0]["severity"], severity, "{number} {text}");
    }
}

#[test]
fn json_that_is_no_request_is_refused() {
    for bad in [
        "",
        "[]x",
        r#"{"resourceLogs":7}"#,
        r#"{"resourceLogs":[],"resourceLogs":[]}"#,
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"xyz"}]}]}]}"#,
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"-1"}]}]}]}"#,
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"bytesValue":"?"}}]}]}]}"#,
    ] {
        assert!(decode(bad.as_bytes(), Encoding::Json).is_err(), "{bad}");
    }
    let deep = |n: usize| {
        let value = format!("{}{{}}{}", r#"{"arrayValue":{"values":["#.repeat(n), "]}}".repeat(n));
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{value}}}]}}]}}]}}"#)
    };
    assert!(decode(deep(15).as_bytes(), Encoding::Json).is_ok());
    assert!(decode(deep(16).as_bytes(), Encoding::Json).is_err());
    assert!(decode(deep(100_000).as_bytes(), Encoding::Json).is_err());
    let many = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{}{{}}]}}]}}]}}"#,
        "{},".repeat(crate::intake::MAX_EVENTS)
    );
    assert_eq!(decode(many.as_bytes(), Encoding::Json), Err(OtlpError::TooMany));
}

/// A field of bytes, as an encoder writes it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_bytes(&mut out, number, bytes);
    out
}

#[test]
fn protobuf_that_is_no_request_is_refused_with_its_place() {
    let at = |body: &[u8]| match decode(body, Encoding::Protobuf) {
        Err(OtlpError::Wire { at, .. }) => at,
        other => panic!("{other:?}"),
    };
    assert_eq!(at(&[0x0a, 5, 1]), 2);
    assert_eq!(at(&[0x0b]), 1);
    assert_eq!(at(&[0x00]), 1);
    assert_eq!(at(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), 11);
    assert!(
        decode(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Encoding::Protobuf)
            .is_err()
    );
    let deep = |n: usize| {
        let value = (0..n).fold(Vec::new(), |value, _| field(5, &field(1, &value)));
        field(1, &field(2, &field(2, &field(5, &value))))
    };
    assert!(decode(&deep(15), Encoding::Protobuf).is_ok());
    assert!(decode(&deep(16), Encoding::Protobuf).is_err());
    assert_eq!(decode(&[], Encoding::Protobuf), Ok(Vec::new()));
    // Fields that are not known, of every type.
    let unknown = [0x98, 1, 7, 0x99, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x9a, 1, 1, 0, 0x9d, 1, 0, 0, 0, 0];
    assert_eq!(decode(&unknown, Encoding::Protobuf), Ok(Vec::new()));
}

#[test]
fn answers_are_those_of_the_specification() {
    assert_eq!(partial_success(Encoding::Protobuf, 0, ""), b"");
    assert_eq!(partial_success(Encoding::Json, 0, ""), b"{}");
    assert_eq!(partial_success(Encoding::Protobuf, 300, "no"), b"\x0a\x07\x08\xac\x02\x12\x02no");
    let json: Value = serde_json::from_slice(&partial_success(Encoding::Json, 3, "no")).unwrap();
    assert_eq!(json, json!({"partialSuccess": {"rejectedLogRecords": "3", "errorMessage": "no"}}));
    assert_eq!(status(Encoding::Protobuf, 503, "x"), b"\x08\x0e\x12\x01x");
}
