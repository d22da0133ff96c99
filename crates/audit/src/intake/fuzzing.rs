//! Oracles for what comes over a network.

use crate::intake::otlp::{self, Encoding};
use crate::intake::{Form, Tokens, parse_query, split};

/// Any bytes as a body, and as the query of a target: elements lie within the body in order, and what a JSON reader
/// takes is split into the very elements that it sees.
pub fn http(data: &[u8]) {
    for form in [Form::Json, Form::Lines] {
        let Ok(parts) = split(data, form) else { continue };
        let mut from = data.as_ptr() as usize;
        for part in &parts {
            let at = part.as_ptr() as usize;
            assert!(at >= from && !part.is_empty());
            from = at + part.len();
        }
        assert!(from <= data.as_ptr() as usize + data.len());
    }
    if let Ok(serde_json::Value::Array(values)) = serde_json::from_slice::<serde_json::Value>(data) {
        let parts = split(data, Form::Json).unwrap_or_default();
        assert_eq!(parts.len(), values.len());
        for (part, value) in parts.iter().zip(&values) {
            assert_eq!(serde_json::from_slice::<serde_json::Value>(part).ok().as_ref(), Some(value));
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(query) = parse_query(text)
    {
        for (name, value) in query.iter() {
            assert_eq!(query.get(name), Some(value));
            assert!(name.len() + value.len() <= text.len());
        }
    }
}

/// Any text as a rules file: refused with a reason, or rules under which an engine comes to rest whatever it is told.
pub fn alerts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let rules = match crate::alert::Rules::parse(text) {
        Ok(rules) => rules,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let (count, mut engine) = (rules.rules.len(), crate::alert::Engine::new(rules, 0));
    for second in 0..20u32 {
        for stream in 0..count {
            let value = f64::from(second * second);
            engine.note(&crate::tap::Note { stream, key: "k".into(), value }, u64::from(second) * 1000);
        }
        let alerts = engine.advance(u64::from(second) * 1000);
        assert!(alerts.is_sorted_by_key(|alert| alert.at_ms));
    }
    // Two days, longer than any hold or quiet; a second look because a last window may end in the first.
    let _ = engine.advance(2 * 86_400_000);
    let _ = engine.advance(4 * 86_400_000);
    assert!(engine.raised().is_empty());
}

/// Any text in the place of the token file: refused with a reason, or tokens of which none is opened by a guess.
pub fn tokens(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Tokens::parse(text) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(tokens) => {
            assert_eq!(tokens.iter().count(), tokens.len());
            let Some(now) = event::Timestamp::from_unix(0, 0) else { return };
            for guess in text.split_ascii_whitespace() {
                assert!(tokens.find(guess, now).is_none());
            }
        }
    }
}

/// Any bytes as an OTLP request: refused with a reason, or records of which each becomes one JSON object that
/// admission can judge, and the same one when it is sent again.
pub fn otlp(data: &[u8]) {
    let Some(now) = event::Timestamp::from_unix(1_763_627_445, 0) else { return };
    let catalogue = event::Catalogue::standard();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let Ok(groups) = otlp::decode(data, encoding) else { continue };
        let records: usize = groups.iter().map(|group| group.records.len()).sum();
        let events = otlp::map(groups.clone(), Some("SYSTEM.ERROR"), now);
        assert_eq!(events.len(), records);
        assert_eq!(events, otlp::map(groups, Some("SYSTEM.ERROR"), now));
        for event in &events {
            assert!(serde_json::from_slice::<serde_json::Value>(event).is_ok_and(|value| value.is_object()));
            if let Err(refusal) = event::admit(event, &catalogue) {
                assert!(refusal.faults.iter().all(|fault| fault.rule != event::Rule::Json));
            }
        }
    }
}
